"""What a style is: how an explanation becomes a picture, inside a graph."""

from __future__ import annotations

import abc
import dataclasses

import tensorflow as tf

from tfgig.image.blur import gaussian_blur
from tfgig.image.channels import OF_LAYERS, OF_PIXELS, Channels, check_channels, one_number
from tfgig.image.layout import Layout
from tfgig.image.resize import MOST_COLOURS, over_picture
from tfgig.spec import Spec, check

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Style(Spec, abc.ABC):
    """A family of picture styles; strengths are scaled per image."""

    family = "style"

    @abc.abstractmethod
    def draw(self, images: tf.Tensor, attributions: tf.Tensor, value_range: Range) -> tf.Tensor:
        """The pictures, uint8 [B, height, width, 3].

        Args:
            images: [B, height, width, 1 or 3 (or 4)], in the model's input units.
            attributions: [B, height, width, channels].
            value_range: The values of black and white in the images' units.
        """

    def one_number(self, attributions: tf.Tensor, of_layer: bool = False) -> tf.Tensor:
        """The strength of each position before any drawing, [..., 1], of [..., channels].

        Args:
            attributions: Signed; those of a layer are reduced before they are aligned with the
                picture.
            of_layer: Whether they belong to an inner layer instead of pixels.
        """
        chosen = self.reduction or (OF_LAYERS if of_layer else OF_PIXELS)
        return one_number(attributions, chosen)

    @property
    def reduction(self) -> Channels | None:
        """How a position's channels become one number; None for the default."""
        return "signed"

    def laid_over(
        self, attributions: tf.Tensor, images: tf.Tensor, layout: Layout | None
    ) -> tf.Tensor:
        """The values to draw over images: float32 [B, height, width, channels].

        Args:
            attributions: Of pixels, [B, height, width, channels], or of a layer, [B, h, w,
                channels] or [B, tokens, channels], whose channels become one number first.
            images: [B, height, width, ...], of any size.
            layout: How the layer's positions map onto the picture; None for pixels, and if unknown.
        """
        if layout is None:
            many = attributions.shape[-1] is None or attributions.shape[-1] > MOST_COLOURS
            shown = self.one_number(attributions, of_layer=True) if many else attributions
            return over_picture(shown, images)
        strengths = self.one_number(attributions, of_layer=True)
        return layout.laid_over(strengths, tf.shape(images)[1:3])


def check_look(style: Style, percentile: float, smoothing: float, opacity: float = 1.0) -> None:
    """Raises `ValueError` unless the options that styles have in common are within their bounds."""
    name = type(style).__name__
    check(0 < percentile <= 100, f"{name}(percentile=...) must be in (0, 100].", percentile)
    check(0 <= smoothing <= 0.5, f"{name}(smoothing=...) must be in [0, 0.5].", smoothing)
    check(0 <= opacity <= 1, f"{name}(opacity=...) must be in [0, 1].", opacity)
    check_channels(style.reduction, f"{name}(channels=...)")


def brightness(images: tf.Tensor, value_range: Range) -> tf.Tensor:
    """Images in the model's input units as float32 in [0, 1]; beyond the range is clipped."""
    low, high = value_range
    return tf.clip_by_value((tf.cast(images, tf.float32) - low) / (high - low), 0.0, 1.0)


def grey(images: tf.Tensor) -> tf.Tensor:
    """The luminance [B, height, width, 1] of images [B, height, width, 1, 3 or 4]."""
    if images.shape[-1] < 3:
        return images[..., :1]
    return tf.reduce_sum(images[..., :3] * (0.299, 0.587, 0.114), -1, keepdims=True)


def smoothed(values: tf.Tensor, smoothing: float) -> tf.Tensor:
    """`values` [B, height, width], blurred by a share of the shorter side."""
    if smoothing == 0:
        return values
    shorter = tf.minimum(tf.shape(values)[1], tf.shape(values)[2])
    sigma = smoothing * tf.cast(shorter, tf.float32)
    return gaussian_blur(values[..., tf.newaxis], sigma[tf.newaxis])[..., 0]


def percentile(values: tf.Tensor, percent: float | tf.Tensor) -> tf.Tensor:
    """Percentiles [B, 1, 1] of `values` [B, height, width], linear between neighbours.

    Equal to `numpy.percentile` of each image.
    """
    pixels = tf.reshape(values, [tf.shape(values)[0], tf.reduce_prod(tf.shape(values)[1:])])
    position = percent / 100 * tf.cast(tf.shape(pixels)[1] - 1, tf.float64)
    below = tf.cast(tf.floor(position), tf.int32)
    above = tf.minimum(below + 1, tf.shape(pixels)[1] - 1)
    part = tf.cast(position - tf.floor(position), values.dtype)
    lower, upper = (tf.raw_ops.NthElement(input=pixels, n=n) for n in (below, above))
    return (lower + part * (upper - lower))[:, tf.newaxis, tf.newaxis]


def share(strength: tf.Tensor, percent: float) -> tf.Tensor:
    """Strengths [B, height, width], 0 or more, as shares of their percentile, at most 1."""
    full = percentile(strength, percent)
    # Where most pixels are 0 the percentile can be 0 too: then the largest counts.
    full = tf.where(full > 0, full, tf.reduce_max(strength, [1, 2], keepdims=True))
    return tf.clip_by_value(tf.math.divide_no_nan(strength, full), 0.0, 1.0)


def between(table: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """The colours [..., 3] of strengths [...] in [0, 1], between the table's neighbours."""
    last = table.shape[0] - 1
    position = strength * last
    below = tf.minimum(tf.cast(position, tf.int32), last - 1)
    part = (position - tf.cast(below, tf.float32))[..., tf.newaxis]
    return (1.0 - part) * tf.gather(table, below) + part * tf.gather(table, below + 1)


def pictures(values: tf.Tensor) -> tf.Tensor:
    """Values in [0, 1], [B, height, width, 1 or 3], as uint8 [B, height, width, 3]."""
    shape = tf.concat([tf.shape(values)[:3], [3]], 0)
    values = tf.broadcast_to(tf.cast(tf.math.round(255.0 * values), tf.uint8), shape)
    return tf.ensure_shape(values, [None, None, None, 3])


def encode_png(drawn: tf.Tensor) -> tf.Tensor:
    """The PNG files, string [B], of pictures uint8 [B, height, width, 3]."""
    spec = tf.TensorSpec([], tf.string)
    return tf.map_fn(tf.io.encode_png, drawn, fn_output_signature=spec)
