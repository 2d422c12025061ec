"""Means over noisy copies of the inputs, which lie along the batch and share model calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfgig import noise
from tfgig.methods.base import Attribution
from tfgig.methods.calls import points_per_call, repeat_rows
from tfgig.objective import Objective

# (objective [N], noisy copies [N, ...], the inputs they are of [N, ...]), N = C B
OfCopies = Callable[[Objective, "tf.Tensor", "tf.Tensor"], Attribution]


class Moments(NamedTuple):
    """Means over noisy copies: of their maps, the squares, the baseline scores, the residuals.

    float64 [B, ...], and [B] of the scores: the mean of equal values is that value exactly.
    """

    mean: tf.Tensor
    mean_square: tf.Tensor
    baseline_score: tf.Tensor
    residual: tf.Tensor
    residual_of_squares: tf.Tensor  # that of a square is 2 map residual, to first order


class Copies(NamedTuple):
    """How many noisy copies, how noisy, drawn with which seed, and how many at once."""

    samples: int
    sigma: tf.Tensor  # to broadcast against inputs [B, ...]
    seed: int
    internal_batch_size: int | None


def moments(explain: OfCopies, objective: Objective, inputs: tf.Tensor, copies: Copies) -> Moments:
    """The moments of `explain` over noisy copies of `inputs` [B, ...].

    Only sums are kept, so memory does not grow with the samples.
    """
    rows = tf.shape(inputs)[0]
    size = points_per_call(copies.internal_batch_size)
    at_once = tf.maximum(size // tf.maximum(rows, 1), 1)
    disturbances = noise.normal(copies.samples, inputs, copies.seed)  # [samples, 1, ...]

    def turn(first, total, squares, scores, residuals, of_squares):
        stop = tf.minimum(first + at_once, copies.samples)
        noisy = inputs + copies.sigma * disturbances[first:stop]  # [C, B, ...]
        flat = tf.reshape(noisy, tf.concat([[-1], tf.shape(inputs)[1:]], 0))
        flat = tf.ensure_shape(flat, [None, *inputs.shape[1:]])
        same = objective.rows(tf.tile(tf.range(rows), [stop - first]))
        found = explain(same, flat, repeat_rows(inputs, stop - first))
        maps, residual = (
            tf.cast(tf.reshape(values, tf.shape(noisy)), tf.float64)
            for values in (found.attributions, found.residual)
        )
        score = tf.cast(tf.reshape(found.baseline_score, [stop - first, rows]), tf.float64)
        return (
            stop,
            total + tf.reduce_sum(maps, 0),
            squares + tf.reduce_sum(maps * maps, 0),
            scores + tf.reduce_sum(score, 0),
            residuals + tf.reduce_sum(residual, 0),
            of_squares + tf.reduce_sum(2 * maps * residual, 0),
        )

    zeros = tf.zeros_like(inputs, tf.float64)
    _, *sums = tf.while_loop(
        lambda first, *_: first < copies.samples,
        turn,
        (0, zeros, zeros, tf.zeros([rows], tf.float64), zeros, zeros),
        parallel_iterations=1,
    )
    return Moments(*(total / copies.samples for total in sums))
