"""Gaussian blur with a width of its own for every image.

Each image may have its own width, the widths may be tensors, and no width is cut off by a fixed
window, which `tf.nn.depthwise_conv2d` would do. There are two ways:

`gaussian_blur`, as products with banded matrices: a separable filter is `M_rows x M_columns^T`,
where row i of `M` holds the kernel around i.

`cosine_transform`, for many blurs of one image with mirrored borders: there the cosine transform
(DCT-II) diagonalises every symmetric kernel, whatever its width, so a blurred image is the inverse
transform of the image's coefficients times the kernel's spectrum.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import tensorflow as tf

Padding = Literal["reflect", "zero"]
PADDINGS = get_args(Padding)
_TRUNCATE = 4.0  # the kernel ends at this many sigmas, as scipy.ndimage.gaussian_filter's does


def gaussian_blur(images: tf.Tensor, sigma: tf.Tensor, padding: Padding = "reflect") -> tf.Tensor:
    """Blurs each image with a Gaussian of its own standard deviation.

    Equal to `scipy.ndimage.gaussian_filter(image, sigma)` over rows and columns, with
    `mode="reflect"` or `mode="constant"`.

    Args:
        images: [N, height, width, channels], floating point.
        sigma: [N], or [1] for all, the standard deviations in pixels; 0 leaves an image unchanged.
        padding: What lies beyond the border: "reflect", the image's mirror image (brightness is
            kept); or "zero", zeros (the reference implementation of Blur IG).

    Returns:
        [N, height, width, channels], in the images' dtype.
    """
    rows = tf.cast(gaussian_matrix(tf.shape(images)[1], sigma, padding), images.dtype)
    columns = tf.cast(gaussian_matrix(tf.shape(images)[2], sigma, padding), images.dtype)
    return tf.einsum("...ij,...jwc,...vw->...ivc", rows, images, columns)


def gaussian_matrix(size: tf.Tensor, sigma: tf.Tensor, padding: Padding = "reflect") -> tf.Tensor:
    """The blur of one axis as matrices, float64 [N, size, size], for widths `sigma` [N]."""
    sigma = tf.cast(sigma, tf.float64)
    widest = tf.nn.relu(tf.reduce_max(sigma))  # 0, not minus infinity, of no images
    positions = tf.range(size)
    if padding == "zero":
        distances = tf.abs(positions[:, tf.newaxis] - positions)[tf.newaxis]
    else:
        distances = _distances_to_mirror_images(positions, size, widest)
    kernel = _half_kernels(sigma)
    weights = tf.gather(kernel, tf.minimum(distances, tf.shape(kernel)[1] - 1), axis=1)
    return tf.reduce_sum(weights, 1)


class Cosines(NamedTuple):
    """The orthonormal cosines of both axes of an image, by frequency and position."""

    rows: tf.Tensor  # [height, height]
    columns: tf.Tensor  # [width, width]


class Waves(NamedTuple):
    """The cosines of all distances within a kernel, by frequency; float64."""

    rows: tf.Tensor  # [distances, height]
    columns: tf.Tensor  # [distances, width]


def cosines(images: tf.Tensor) -> Cosines:
    """The tables of the cosine transform of images [N, height, width, channels], in their dtype."""
    return Cosines(*(_cosines(tf.shape(images)[axis], images.dtype) for axis in (1, 2)))


def waves(images: tf.Tensor, widest: float) -> Waves:
    """The tables of blurs of images [N, height, width, channels], for widths up to `widest`."""
    distances = tf.range(int(_TRUNCATE * widest + 0.5) + 3)  # one more than needed, for rounding

    def along(axis):
        size = tf.shape(images)[axis]
        return tf.cos(_angles(distances, tf.range(size), size))

    return Waves(along(1), along(2))


def cosine_transform(images: tf.Tensor, tables: Cosines) -> tf.Tensor:
    """The coefficients of images [N, height, width, channels] in products of cosines.

    Returns:
        [N, height, channels, width], in the images' dtype: the last axis next to memory.
    """
    return tf.einsum("ki,nijc,lj->nkcl", tables.rows, images, tables.columns)


def inverse_cosine_transform(coefficients: tf.Tensor, tables: Cosines) -> tf.Tensor:
    """Images [N, height, width, channels] of their coefficients [N, height, channels, width]."""
    shape = tf.shape(coefficients)
    # One large product, then one for each image: three axes in einsum would transpose more.
    inner = tf.reshape(coefficients, [-1, shape[3]]) @ tables.columns
    inner = tf.reshape(inner, [shape[0], shape[1], -1])
    outer = tf.matmul(tf.transpose(tables.rows), inner)
    images = tf.transpose(tf.reshape(outer, shape), [0, 1, 3, 2])
    return tf.ensure_shape(images, [coefficients.shape[axis] for axis in (0, 1, 3, 2)])


def blur_spectrum(sigma: tf.Tensor, tables: Waves, dtype: tf.DType) -> tf.Tensor:
    """By what blurs of `sigma` [N] multiply the coefficients: [N, height, 1, width] of `dtype`.

    Of the same kernels, cut off at the same place, as `gaussian_blur`'s with mirrored borders.

    Args:
        sigma: [N], no wider than the tables are made for.
        tables: Of the images' shape.
        dtype: That of the coefficients.
    """
    kernel = _half_kernels(tf.cast(sigma, tf.float64))

    def along(table):
        # Both sides, and distance 0 once.
        return tf.cast(2 * kernel @ table[: tf.shape(kernel)[1]] - kernel[:, :1], dtype)

    rows, columns = along(tables.rows), along(tables.columns)
    return rows[:, :, tf.newaxis, tf.newaxis] * columns[:, tf.newaxis, tf.newaxis, :]


def _half_kernels(sigma: tf.Tensor) -> tf.Tensor:
    """The weights by distance, from 0 to one past the widest kernel's end, where all are 0."""
    radius = tf.cast(tf.floor(_TRUNCATE * sigma + 0.5), tf.int32)
    farthest = tf.cast(_TRUNCATE * tf.nn.relu(tf.reduce_max(sigma)) + 0.5, tf.int32) + 1
    offsets = tf.range(farthest + 1)
    # sigma is 0 only where the radius is, and there the kernel is 1 at distance 0.
    width = tf.where(radius > 0, sigma, tf.ones_like(sigma))[:, tf.newaxis]
    kernel = tf.exp(-0.5 * tf.square(tf.cast(offsets, tf.float64) / width))
    kernel = tf.where(offsets <= radius[:, tf.newaxis], kernel, tf.zeros_like(kernel))
    return kernel / (2 * tf.reduce_sum(kernel, 1, keepdims=True) - 1)  # distance 0 once


def _cosines(size: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """The orthonormal cosines, [frequencies, positions]."""
    frequencies = tf.range(size)
    cosines = tf.cos(_angles(frequencies, tf.cast(frequencies, tf.float64) + 0.5, size))
    norm = tf.where(frequencies > 0, tf.sqrt(tf.constant(2.0, tf.float64)), 1.0)
    return tf.cast(cosines * (norm / tf.sqrt(tf.cast(size, tf.float64)))[:, tf.newaxis], dtype)


def _angles(first: tf.Tensor, second: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """`pi first second / size`, float64 [first, second]."""
    first, second = (tf.cast(values, tf.float64) for values in (first, second))
    return math.pi / tf.cast(size, tf.float64) * first[:, tf.newaxis] * second


def _distances_to_mirror_images(positions, size, widest):
    """Distances [images, size, size] from every i to every j and to j's mirror images."""
    reach = tf.cast(tf.math.ceil(_TRUNCATE * widest + 1.0), tf.int32)
    periods = reach // (2 * size) + 1
    shifts = 2 * size * tf.range(-periods, periods + 1)
    once = tf.concat([positions + shifts[:, tf.newaxis], shifts[:, tf.newaxis] - 1 - positions], 0)
    return tf.abs(positions[:, tf.newaxis] - once[:, tf.newaxis, :])
