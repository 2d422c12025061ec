"""From attributions to one score a pixel, and to the pixels' order."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import numpy as np

from tfgig.metrics.base import Metric
from tfgig.spec import check

Channels = Literal["absolute", "signed"]
CHANNELS = get_args(Channels)


def pixel_saliency(attributions: np.ndarray, channels: Channels = "absolute") -> np.ndarray:
    """The strength of each pixel, float64 [...], of attributions [..., channels].

    Args:
        attributions: [..., channels], signed.
        channels: "absolute" adds absolute values up over the channels: how much a pixel matters,
            either way; "signed" adds the values up: what speaks against the class comes last.
    """
    check(channels in CHANNELS, f"`channels` is one of {CHANNELS}.", channels)
    attributions = np.asarray(attributions, np.float64)
    return (np.abs(attributions) if channels == "absolute" else attributions).sum(-1)


def ranking(saliency: np.ndarray, seed: int) -> np.ndarray:
    """The flat indices of pixels, int64 [H * W], the most salient first.

    Equally salient pixels come in a random order, so that a map that says nothing is worth as
    much as chance, and not what the pixels at the top of the image happen to be worth.
    """
    saliency = np.asarray(saliency).ravel()
    chance = np.random.default_rng(seed).permutation(saliency.size)
    return np.lexsort((chance, -saliency))


@dataclasses.dataclass(frozen=True)
class PixelMetric(Metric):
    """A metric of pixels.

    Args:
        channels: How attributions become one score a pixel: "absolute", the sum of absolute
            values over the channels, or "signed", the sum of the values.
    """

    channels: Channels = dataclasses.field(default="absolute", kw_only=True)

    def __post_init__(self) -> None:
        check(self.channels in CHANNELS, f"`channels` is one of {CHANNELS}.", self.channels)
