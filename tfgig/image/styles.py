"""Other pictures of explanations: the image through a mask, signed colours, plain grey."""

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
    percentile,
    pictures,
    share,
    smoothed,
)

# From blue over white to red (ColorBrewer's "RdBu", Apache 2.0, its ends), 0 to 1.
BLUE_TO_RED = (
    (0.020, 0.188, 0.380),
    (0.263, 0.576, 0.765),
    (0.969, 0.969, 0.969),
    (0.839, 0.376, 0.302),
    (0.404, 0.000, 0.122),
)


@dataclasses.dataclass(frozen=True)
class Mask(Style):
    """The unchanged image where attributions are high, darkened elsewhere.

    Args:
        percentile: Pixels at or above this percentile of the image's saliency are visible.
        smoothing: The width of a Gaussian that joins neighbouring pixels before selection and
            softens the mask's edge, as a share of the image's shorter side.
        opacity: How strongly the rest is darkened, in [0, 1].
        channels: How a position's channels become one number: "positive", the sum of the positive
            values; "absolute", the sum of absolute values; "signed", the sum; None takes "absolute"
            for pixels and "positive" for a layer.

    References:
        Leino et al. (2018), Influence-Directed Explanations for Deep Convolutional Networks,
        arXiv:1802.03788, whose authors' TruLens draws such masks.
    """

    kind = "mask"
    percentile: float = 90.0
    smoothing: float = 0.02
    opacity: float = 0.85
    channels: Channels | None = None

    def __post_init__(self) -> None:
        check_look(self, self.percentile, self.smoothing, self.opacity)

    @property
    def reduction(self):
        return self.channels

    def draw(self, images, attributions, value_range):
        strength = smoothed(self.one_number(attributions)[..., 0], self.smoothing)
        # A pixel without any attribution is not important, however many there are of them.
        chosen = (strength >= percentile(strength, self.percentile)) & (strength > 0)
        seen = smoothed(tf.cast(chosen, tf.float32), self.smoothing)[..., tf.newaxis]
        images = brightness(images, value_range)[..., :3]
        return pictures(images * (1.0 - self.opacity * (1.0 - tf.minimum(seen, 1.0))))


@dataclasses.dataclass(frozen=True)
class Diverging(Style):
    """The signs: red for the target, blue against it.

    Args:
        percentile: Pixels at or above this percentile of the absolute sums over the channels are
            drawn at full strength.
        smoothing: The width of a Gaussian that joins neighbouring pixels before drawing, as a share
            of the image's shorter side; where signs alternate, it shows the prevailing one.
        opacity: How much of the grey image the colours cover, in [0, 1]; at 1 the image is hidden
            and white is 0.
    """

    kind = "diverging"
    percentile: float = 99.0
    smoothing: float = 0.02
    opacity: float = 1.0

    def __post_init__(self) -> None:
        check_look(self, self.percentile, self.smoothing, self.opacity)

    def draw(self, images, attributions, value_range):
        signed = smoothed(self.one_number(attributions)[..., 0], self.smoothing)
        signed = tf.sign(signed) * share(tf.abs(signed), self.percentile)
        colours = between(tf.constant(BLUE_TO_RED), (signed + 1.0) / 2)
        ground = grey(brightness(images, value_range))
        return pictures((1.0 - self.opacity) * ground + self.opacity * colours)


@dataclasses.dataclass(frozen=True)
class Grayscale(Style):
    """The map alone, black to white, as in the reference implementations.

    `clip((m - min(m)) / (percentile(m) - min(m)), 0, 1)` of the absolute sums over the channels.

    Args:
        percentile: Values at or above this percentile are white.
        smoothing: The width of a Gaussian that joins neighbouring pixels before drawing, as a
            share of the image's shorter side; 0 draws single pixels.
        channels: How a position's channels become one number: "positive", the sum of the positive
            values; "absolute", the sum of absolute values; "signed", the sum; None takes "absolute"
            for pixels and "positive" for a layer.
    """

    kind = "grayscale"
    percentile: float = 99.0
    smoothing: float = 0.0
    channels: Channels | None = None

    def __post_init__(self) -> None:
        check_look(self, self.percentile, self.smoothing)

    @property
    def reduction(self):
        return self.channels

    def draw(self, images, attributions, value_range):
        strength = smoothed(self.one_number(attributions)[..., 0], self.smoothing)
        above = strength - tf.reduce_min(strength, [1, 2], keepdims=True)
        return pictures(share(above, self.percentile)[..., tf.newaxis])
