"""How a step is made up: by the features that come first, a share of them at a time."""

from __future__ import annotations

import math

import tensorflow as tf

CLOSE = 1e-9  # Guided IG's reference's tolerance for "the step has gone far enough"
_INFINITY = float("inf")


def gap_left(
    gap: tf.Tensor, need: tf.Tensor, length: tf.Tensor, key: tf.Tensor, fraction: float
) -> tf.Tensor:
    """How far each feature may still go after a step, [W, N].

    Of all N features the `fraction` with the lowest keys moves as far as it may and, where that is
    not enough, the next fraction; of the last one, all move by the same share of their gaps.
    Features with equal keys move together. A walk with `need` 0 stays as it is. So does one in
    which nothing can move any more (a rounding residue): every turn closes a gap or ends the
    walk's step.

    Args:
        gap: [W, N], how far each feature may go, as a share of its way.
        need: [W], the L1 length that the step has to make up.
        length: [W, N], the length of each feature's way.
        key: [W, N], finite; what the features are ordered by.
        fraction: In (0, 1].
    """

    def turn(gap, need):
        # Of walks whose step is made all keys are equal, which are found at once.
        free = (gap > 0) & (need > 0)[:, tf.newaxis]
        ordered = tf.where(free, key, tf.constant(_INFINITY, key.dtype))
        count = tf.cast(tf.shape(key)[1], tf.float64)
        rank = tf.cast(tf.floor(fraction * (count - 1.0)), tf.int32)
        # The order statistic alone, far cheaper than sorting; equal keys go along. TensorFlow
        # has it for CPUs only: on a GPU machine, this one operation runs beside the GPU.
        threshold = tf.raw_ops.NthElement(input=ordered, n=rank)
        threshold = tf.minimum(threshold, key.dtype.max)
        chosen = ordered <= threshold[:, tf.newaxis]
        moved = tf.where(chosen, gap, tf.constant(0.0, gap.dtype))
        reach = dot(moved, length)
        whole = need > reach
        ratio = tf.where(whole, tf.ones_like(need), tf.math.divide_no_nan(need, reach))
        left = tf.where(whole & (reach > 0), need - reach, tf.zeros_like(need))
        # With ratio 1 this is 0 exactly: the feature is as far ahead as it may be.
        return gap - ratio[:, tf.newaxis] * moved, left

    gap, _ = tf.while_loop(
        lambda _, need: tf.reduce_any(need > 0),
        turn,
        (gap, need),
        maximum_iterations=math.ceil(1 / fraction) + 1,
        parallel_iterations=1,
    )
    return gap


def dot(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """The inner products [W] of two [W, N]; one pass over memory where product and sum take two."""
    return tf.einsum("wn,wn->w", first, second)
