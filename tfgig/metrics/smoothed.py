"""A method whose map is smoothed before it is judged."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from tfgig.image.blur import gaussian_blur
from tfgig.image.channels import OF_PIXELS, one_number
from tfgig.methods import Method
from tfgig.spec import Spec, check, check_is


@dataclasses.dataclass(frozen=True)
class Smoothed(Spec):
    """A method whose map is blurred by a Gaussian, to show the effect of smoothness alone.

    A map of an inner layer is smooth and a pixel map is not, so a fair comparison includes a
    smoothed pixel map. The map only ranks pixels; its values are not shares of a score.

    Args:
        method: The pixel method.
        width: The Gaussian's standard deviation, as a share of the picture's shorter side: 1/28 is
            8 pixels of 224.
    """

    family = "smoothed"
    kind = "gaussian_map"
    method: Method
    width: float = 1 / 28

    def __post_init__(self) -> None:
        check_is(self.method, Method, "method")
        check(0 < self.width <= 1, "Smoothed(width=...) must be in (0, 1].", self.width)

    @property
    def complete(self) -> bool:
        """Always false: a smoothed map does not sum to a score."""
        return False

    def gather(self, attributions: np.ndarray, images: np.ndarray) -> np.ndarray:
        """The blurred strengths, float32 [B, height, width, 1].

        Args:
            attributions: Of the method, [B, height, width, channels], finite.
            images: [B, height, width, channels], in any units.
        """
        strengths = one_number(tf.constant(attributions, tf.float32), OF_PIXELS)
        sigma = tf.constant([self.width * min(images.shape[1:3])], tf.float32)
        return gaussian_blur(strengths, sigma).numpy()
