"""What another library has to say of itself to be timed."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

NOISE = 0.15  # of `smooth_grad`: its standard deviation, as a share of the images' range
# Explains the images in so many gradients each, with so many points in a call of the model.
Explains = Callable[[np.ndarray, int, int], Any]


class Peer(abc.ABC):
    """Another library, and a network of its framework with random weights.

    An instance is made in the environment of the library, and only its methods import it. Files of
    other peers are not imported there.

    Args:
        network: Which network, one of `networks`.
    """

    name: ClassVar[str]  # as it is imported, and as its environment is called
    title: ClassVar[str]
    requirements: ClassVar[tuple[str, ...]]  # what pip installs in its environment
    python: ClassVar[str] = "3"
    networks: ClassVar[tuple[str, ...]] = ("mobilenet_v2", "inception_v3")
    one_by_one: ClassVar[frozenset[str]] = frozenset()  # methods that take one point a call

    @abc.abstractmethod
    def __init__(self, network: str): ...

    @abc.abstractmethod
    def gradients(self, images: np.ndarray) -> np.ndarray:
        """The bare gradients of the first class at the images, [points, height, width, 3]."""

    @abc.abstractmethod
    def methods(self) -> Mapping[str, Explains]:
        """What it computes, by the names of our presets."""
