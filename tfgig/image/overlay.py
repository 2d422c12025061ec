"""Heat-maps over images: which pixels an explanation points at, drawn inside a graph."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfgig.image.blur import gaussian_blur
from tfgig.spec import Spec, check

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
class Overlay(Spec):
    """An explanation drawn as a heat-map over its image, dimmed to grey.

    Args:
        percentile: Pixels from this percentile of the image's saliency on are drawn at full
            strength, in (0, 100]; a single hot pixel does not darken all others.
        smoothing: The width of a Gaussian that joins neighbouring pixels before drawing, as a
            share of the image's shorter side; 0 draws single pixels.
        opacity: How much of the image the strongest colour covers, in [0, 1].
    """

    family = "overlay"
    kind = "heat"
    percentile: float = 99.0
    smoothing: float = 0.01
    opacity: float = 0.9

    def __post_init__(self) -> None:
        check(
            0 < self.percentile <= 100,
            "Overlay(percentile=...) must be in (0, 100].",
            self.percentile,
        )
        check(
            0 <= self.smoothing <= 0.5,
            "Overlay(smoothing=...) must be in [0, 0.5].",
            self.smoothing,
        )
        check(0 <= self.opacity <= 1, "Overlay(opacity=...) must be in [0, 1].", self.opacity)

    def saliency(self, attributions: tf.Tensor) -> tf.Tensor:
        """The strength of every pixel, float32 [B, height, width] in [0, 1], each image by itself.

        Args:
            attributions: [B, height, width, channels], signed; absolute values are added up over
                the channels.
        """
        strength = tf.reduce_sum(tf.abs(attributions), -1, keepdims=True)
        if self.smoothing > 0:
            height, width = tf.shape(strength)[1], tf.shape(strength)[2]
            sigma = self.smoothing * tf.cast(tf.minimum(height, width), tf.float32)
            strength = gaussian_blur(strength, sigma[tf.newaxis])
        strength = strength[..., 0]
        pixels = tf.reshape(
            strength, [tf.shape(strength)[0], tf.reduce_prod(tf.shape(strength)[1:])]
        )
        last = tf.cast(tf.shape(pixels)[1] - 1, tf.float32)
        rank = tf.cast(tf.math.round(self.percentile / 100 * last), tf.int32)
        full = tf.raw_ops.NthElement(input=pixels, n=rank)[:, tf.newaxis, tf.newaxis]
        # Where most pixels are 0 the percentile can be 0 too: then the largest counts.
        full = tf.where(full > 0, full, tf.reduce_max(strength, [1, 2], keepdims=True))
        return tf.clip_by_value(tf.math.divide_no_nan(strength, full), 0.0, 1.0)

    def draw(
        self, images: tf.Tensor, attributions: tf.Tensor, value_range: tuple[float, float]
    ) -> tf.Tensor:
        """The pictures, uint8 [B, height, width, 3].

        Args:
            images: [B, height, width, 1 or 3 (or 4)], in the model's input units.
            attributions: [B, height, width, channels].
            value_range: What is black and what is white in the images' units.
        """
        low, high = value_range
        images = tf.clip_by_value((tf.cast(images, tf.float32) - low) / (high - low), 0.0, 1.0)
        grey = images[..., :1] if images.shape[-1] < 3 else _luminance(images)
        saliency = self.saliency(attributions)[..., tf.newaxis]
        cover = self.opacity * saliency**0.7  # low strengths show, but do not veil the image
        picture = (1.0 - cover) * 0.75 * grey + cover * _colour(saliency[..., 0])
        return tf.cast(tf.math.round(255.0 * picture), tf.uint8)


def encode_png(pictures: tf.Tensor) -> tf.Tensor:
    """The PNG files, string [B], of pictures uint8 [B, height, width, 3]."""
    spec = tf.TensorSpec([], tf.string)
    return tf.map_fn(tf.io.encode_png, pictures, fn_output_signature=spec)


def _luminance(images: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(images[..., :3] * (0.299, 0.587, 0.114), -1, keepdims=True)


def _colour(strength: tf.Tensor) -> tf.Tensor:
    """The colours [..., 3] of strengths [...] in [0, 1], between the table's neighbours."""
    table = tf.constant(COLOURS)
    position = strength * (len(COLOURS) - 1)
    below = tf.minimum(tf.cast(position, tf.int32), len(COLOURS) - 2)
    part = (position - tf.cast(below, tf.float32))[..., tf.newaxis]
    return (1.0 - part) * tf.gather(table, below) + part * tf.gather(table, below + 1)
