"""From the coarse parts of what an input adds to its baseline to the fine ones: Spectral IG."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import tensorflow as tf

from tfgig.baselines import Baseline, Constant
from tfgig.image.blur import cosine_transform, cosines, inverse_cosine_transform
from tfgig.paths.base import FixedPath, spread
from tfgig.spec import check, check_is

Transform = Literal["svd", "cosine"]
TRANSFORMS = get_args(Transform)


@dataclasses.dataclass(frozen=True)
class Spectral(FixedPath):
    """`x(alpha) = start + sum_i gate_i(alpha) D_i`, the strong components D_i before the weak ones.

        gate_i(alpha) = clip((alpha - (1 - overlap) (1 - q_i)) / overlap, 0, 1)

    The D_i sum to `input - start`, per channel. With "svd" they are its singular components, `D_i =
    s_i u_i v_i^T`, and `q_i = s_i / s_1`; with "cosine" the terms of its cosine transform (type II,
    orthonormal), and `q_i = 1 - r_i`, r the distance of a frequency from 0 as a share of the
    largest. Inputs are images, [B, height, width, channels].

    Args:
        baseline: Where the path starts.
        transform: "svd" or "cosine".
        overlap: How much of the path each component takes, in (0, 1]: at 1 all move together, on
            the straight line; lower values make them follow each other more strictly.

    References:
        Kim et al. (2026), Spectral Integrated Gradients, arXiv:2605.19607; with linear gates.
    """

    kind = "spectral"
    baseline: Baseline = Constant(0.0)
    transform: Transform = "svd"
    overlap: float = 0.4

    def __post_init__(self) -> None:
        check_is(self.baseline, Baseline, "baseline")
        check(
            self.transform in TRANSFORMS,
            f"Spectral(transform=...) must be one of {TRANSFORMS}.",
            self.transform,
        )
        check(0 < self.overlap <= 1, "Spectral(overlap=...) must be in (0, 1].", self.overlap)

    def starts(self, inputs, objective):
        check(
            inputs.shape.rank == 4,
            "Spectral explains images of shape [B, height, width, channels]; use Straight or "
            "Guided for other inputs.",
            tuple(inputs.shape),
        )
        return self.baseline(inputs, objective)

    def tabulate(self, ends):
        return cosines(ends.end) if self.transform == "cosine" else ()

    def prepare(self, ends):
        way = ends.end - ends.start
        if self.transform == "cosine":
            return (cosine_transform(way, ends.tables),)
        strengths, left, right = tf.linalg.svd(tf.transpose(way, [0, 3, 1, 2]))
        return strengths, left, right  # [W, C, k], [W, C, height, k], [W, C, width, k]

    def point(self, alpha, ends):
        moved = ends.start + self._components(self._gates(alpha, ends), ends)
        return tf.where(spread(alpha, moved) < 1, moved, ends.end)

    def displacement(self, lower, upper, ends):
        return self._components(self._gates(upper, ends) - self._gates(lower, ends), ends)

    def _gates(self, alpha, ends):
        if self.transform == "svd":
            strengths = ends.prepared[0]
            first = tf.math.divide_no_nan(strengths, strengths[..., :1])
        else:
            shape = tf.shape(ends.start)
            first = 1.0 - _distances(shape[1], shape[2])[tf.newaxis, :, tf.newaxis]
        begins = (1.0 - self.overlap) * (1.0 - first)
        return tf.clip_by_value((spread(alpha, begins) - begins) / self.overlap, 0.0, 1.0)

    def _components(self, gates, ends):
        """`sum_i gates_i D_i`, [W, height, width, C]."""
        if self.transform == "cosine":
            return inverse_cosine_transform(gates * ends.prepared[0], ends.tables)
        strengths, left, right = ends.prepared
        scaled = (gates * strengths)[..., tf.newaxis, :] * left
        return tf.transpose(tf.matmul(scaled, right, transpose_b=True), [0, 2, 3, 1])


def _distances(height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """How far each frequency is from 0, as a share of the farthest: [height, width]."""
    rows, columns = (
        tf.cast(tf.range(size), tf.float32) / tf.cast(tf.maximum(size - 1, 1), tf.float32)
        for size in (height, width)
    )
    distance = tf.sqrt(tf.square(rows[:, tf.newaxis]) + tf.square(columns))
    return tf.math.divide_no_nan(distance, tf.reduce_max(distance))
