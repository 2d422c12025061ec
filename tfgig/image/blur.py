"""Gaussian blur with a width of its own for every image, as products with banded matrices.

A separable filter is `M_rows x M_columns^T`, where row i of `M` holds the kernel around i. Each
image may have its own width, the widths may be tensors, and no width is cut off by a fixed
window, which `tf.nn.depthwise_conv2d` would do.
"""

from __future__ import annotations

from typing import Literal, get_args

import tensorflow as tf

Padding = Literal["reflect", "zero"]
PADDINGS = get_args(Padding)
_TRUNCATE = 4.0  # the kernel ends at this many sigmas, as scipy.ndimage.gaussian_filter's does


def gaussian_blur(images: tf.Tensor, sigma: tf.Tensor, padding: Padding = "reflect") -> tf.Tensor:
    """Blurs each image with a Gaussian of its own width.

    Equal to `scipy.ndimage.gaussian_filter(image, sigma)` over rows and columns, with
    `mode="reflect"` or `mode="constant"`.

    Args:
        images: [N, height, width, channels], floating point.
        sigma: [N], the standard deviations in pixels; 0 leaves an image as it is.
        padding: What lies beyond the border: "reflect", the image's mirror image (brightness is
            kept); or "zero", black (the reference implementation of Blur IG).

    Returns:
        [N, height, width, channels], in the images' dtype.
    """
    rows = gaussian_matrix(tf.shape(images)[1], sigma, padding)
    columns = gaussian_matrix(tf.shape(images)[2], sigma, padding)
    return tf.einsum(
        "nij,njwc,nvw->nivc", tf.cast(rows, images.dtype), images, tf.cast(columns, images.dtype)
    )


def gaussian_matrix(size: tf.Tensor, sigma: tf.Tensor, padding: Padding = "reflect") -> tf.Tensor:
    """The blur of one axis as matrices, float64 [N, size, size], for widths `sigma` [N]."""
    sigma = tf.cast(sigma, tf.float64)
    widest = tf.nn.relu(tf.reduce_max(sigma))  # 0, not minus infinity, of no images
    positions = tf.range(size)
    if padding == "zero":
        distances = tf.abs(positions[:, tf.newaxis] - positions)[tf.newaxis]
    else:
        distances = _distances_to_mirror_images(positions, size, widest)
    radius = tf.cast(tf.floor(_TRUNCATE * sigma + 0.5), tf.int32)
    # One past the widest kernel, where the weight is always 0.
    farthest = tf.cast(_TRUNCATE * widest + 0.5, tf.int32) + 1
    offsets = tf.range(farthest + 1)
    # sigma is 0 only where the radius is, and there the kernel is 1 at distance 0.
    width = tf.where(radius > 0, sigma, tf.ones_like(sigma))[:, tf.newaxis]
    kernel = tf.exp(-0.5 * tf.square(tf.cast(offsets, tf.float64) / width))
    kernel = tf.where(offsets <= radius[:, tf.newaxis], kernel, tf.zeros_like(kernel))
    kernel /= 2 * tf.reduce_sum(kernel, 1, keepdims=True) - 1  # both sides, and distance 0 once
    weights = tf.gather(kernel, tf.minimum(distances, farthest), axis=1)
    return tf.reduce_sum(weights, 1)


def _distances_to_mirror_images(positions, size, widest):
    """Distances [images, size, size] from every i to every j and to j's mirror images."""
    reach = tf.cast(tf.math.ceil(_TRUNCATE * widest + 1.0), tf.int32)
    periods = reach // (2 * size) + 1
    shifts = 2 * size * tf.range(-periods, periods + 1)
    once = tf.concat([positions + shifts[:, tf.newaxis], shifts[:, tf.newaxis] - 1 - positions], 0)
    return tf.abs(positions[:, tf.newaxis] - once[:, tf.newaxis, :])
