"""Heat-maps over images: which pixels an explanation points at."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfgig.image.channels import Channels
from tfgig.image.style import (
    Style,
    between,
    brightness,
    check_look,
    grey,
    pictures,
    share,
    smoothed,
)

# From black over red to bright yellow, perceptually even (matplotlib's "inferno", CC0), 0 to 1.
COLOURS = (
    (0.001, 0.000, 0.014),
    (0.087, 0.045, 0.225),
    (0.258, 0.039, 0.406),
    (0.416, 0.090, 0.433),
    (0.578, 0.148, 0.404),
    (0.736, 0.216, 0.330),
    (0.865, 0.317, 0.226),
    (0.955, 0.469, 0.100),
    (0.988, 0.645, 0.040),
    (0.965, 0.844, 0.273),
    (0.988, 0.998, 0.645),
)


@dataclasses.dataclass(frozen=True)
class Overlay(Style):
    """An explanation drawn as a heat-map over its image, dimmed to grey.

    Args:
        percentile: Pixels at or above this percentile of the image's saliency, in (0, 100], are
            drawn at full strength, so that a single strong pixel does not darken all others.
        smoothing: The width of a Gaussian that joins neighbouring pixels before drawing, as a
            share of the image's shorter side; 0 draws single pixels.
        opacity: How much of the image the strongest colour covers, in [0, 1].
        channels: How a position's channels become one number: "positive", the sum of the positive
            values; "absolute", the sum of absolute values; "signed", the sum; None takes "absolute"
            for pixels and "positive" for a layer.
    """

    kind = "overlay"
    percentile: float = 99.0
    smoothing: float = 0.01
    opacity: float = 0.9
    channels: Channels | None = None

    def __post_init__(self) -> None:
        check_look(self, self.percentile, self.smoothing, self.opacity)

    @property
    def reduction(self):
        return self.channels

    def saliency(self, attributions: tf.Tensor) -> tf.Tensor:
        """The strength of every pixel, float32 [B, height, width] in [0, 1], scaled per image.

        Args:
            attributions: [B, height, width, channels], signed; absolute values are summed over the
                channels.
        """
        strength = self.one_number(attributions)[..., 0]
        return share(smoothed(strength, self.smoothing), self.percentile)

    def draw(self, images, attributions, value_range):
        saliency = self.saliency(attributions)
        # Low strengths show, but do not veil the image.
        cover = self.opacity * saliency[..., tf.newaxis] ** 0.7
        ground = 0.75 * grey(brightness(images, value_range))
        return pictures((1.0 - cover) * ground + cover * between(tf.constant(COLOURS), saliency))
