"""Maps laid over images of another size."""

from __future__ import annotations

import tensorflow as tf

from tfgig.spec import check

MOST_COLOURS = 4  # red, green, blue and opacity


def resize_bilinear(maps: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Maps float32 [B, h, w, channels] at another `size` (int32 [2]); B may be 0.

    TensorFlow's own operation refuses an empty batch. Bilinear interpolation is a matrix for each
    axis: what becomes of its unit vectors.
    """
    rows = _interpolation(tf.shape(maps)[1], size[0])
    columns = _interpolation(tf.shape(maps)[2], size[1])
    return tf.einsum("bhwc,Hh,Ww->bHWc", maps, rows, columns)


def resize_linear(maps: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """The same of series [B, steps, c] and of volumes [B, depth, height, width, c], too."""
    if maps.shape.rank == 4:
        return resize_bilinear(maps, size)
    for axis in range(1, maps.shape.rank - 1):
        weights = _interpolation(tf.shape(maps)[axis], size[axis - 1])
        letters = "bdhwc" if maps.shape.rank == 5 else "bhc"
        one = letters[axis]
        after = letters.replace(one, one.upper())
        maps = tf.einsum(f"{letters},{one.upper()}{one}->{after}", maps, weights)
    return maps


def _interpolation(before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    units = tf.eye(before)[tf.newaxis, :, :, tf.newaxis]
    return tf.image.resize(units, [after, before])[0, :, :, 0]


def over_picture(attributions: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Attributions [B, h, w, c] of pixels or of an inner layer, at the size of images.

    The many channels of a layer are added up: [B, height, width, 1].

    Args:
        attributions: float32 [B, h, w, c].
        images: [B, height, width, ...].
    """
    check(
        attributions.shape.rank == 4,
        'Heat-maps need a height and a width; export this endpoint with kind="attributions".',
        f"attributions of shape {attributions.shape}",
    )
    if attributions.shape[-1] is None or attributions.shape[-1] > MOST_COLOURS:
        attributions = tf.reduce_sum(attributions, -1, keepdims=True)
    if attributions.shape[1:3] == images.shape[1:3]:
        return attributions
    return resize_bilinear(attributions, tf.shape(images)[1:3])
