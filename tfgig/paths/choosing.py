"""How a step is made up: by the features that come first, a share of them at a time."""

from __future__ import annotations

import math
from typing import Literal, get_args

import tensorflow as tf

CLOSE = 1e-9  # Guided IG's reference's tolerance for "the step has gone far enough"
Selection = Literal["nth_element", "bisection"]
SELECTIONS = get_args(Selection)
_INFINITY = float("inf")


def gap_left(
    gap: tf.Tensor,
    need: tf.Tensor,
    length: tf.Tensor,
    key: tf.Tensor,
    fraction: float,
    selection: Selection = "nth_element",
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
        selection: How the lowest keys are found: "nth_element", an operation that TensorFlow has
            for CPUs only; or "bisection", which runs where the rest does. The answers are equal.
    """
    nth = nth_by_bisection if selection == "bisection" else _nth_element

    count = tf.cast(tf.shape(key)[1], tf.float64)
    rank = tf.cast(tf.floor(fraction * (count - 1.0)), tf.int32)

    def turn(gap, need, ordered, gone):  # gone: what has no way left, or was moved the turn before
        ordered = tf.where(gone, tf.constant(_INFINITY, key.dtype), ordered)
        # The order statistic alone, far cheaper than sorting; equal keys go along.
        threshold = tf.minimum(nth(ordered, rank), key.dtype.max)
        chosen = ordered <= threshold[:, tf.newaxis]
        moved = tf.where(chosen, gap, tf.constant(0.0, gap.dtype))
        reach = dot(moved, length)
        whole = need > reach
        ratio = tf.where(whole, tf.ones_like(need), tf.math.divide_no_nan(need, reach))
        left = tf.where(whole & (reach > 0), need - reach, tf.zeros_like(need))
        # With ratio 1 this is 0 exactly: the feature is as far ahead as it may be.
        return gap - ratio[:, tf.newaxis] * moved, left, ordered, chosen

    gap, *_ = tf.while_loop(
        lambda _, need, *__: tf.reduce_any(need > 0),
        turn,
        (gap, need, key, gap <= 0),
        maximum_iterations=math.ceil(1 / fraction) + 1,
        parallel_iterations=1,
    )
    return gap


def _nth_element(values: tf.Tensor, n: tf.Tensor) -> tf.Tensor:
    return tf.raw_ops.NthElement(input=values, n=n)


def nth_by_bisection(values: tf.Tensor, n: tf.Tensor) -> tf.Tensor:
    """The n-th lowest number of each row, [W], from 0, by operations that every device has.

    Floats are ordered as their bits are, read as integers (of negative ones, the other bits
    inverted). The answer is the largest of those with at most n numbers below, found bit by bit.
    Exact but for subnormal numbers, which TensorFlow's comparisons take for 0.

    Args:
        values: float32 or float64 [W, N], above -infinity and no NaN.
        n: int32 [], below N.
    """
    whole = tf.int32 if values.dtype == tf.float32 else tf.int64
    count = 8 * whole.size

    def number(order):
        bits = tf.where(order < 0, tf.bitwise.bitwise_xor(order, whole.max), order)
        return tf.bitcast(bits, values.dtype)

    def turn(k, found):
        bit = tf.bitwise.left_shift(tf.constant(1, whole), tf.cast(count - 1 - k, whole))
        candidate = tf.bitwise.bitwise_xor(found, bit)
        # Beyond infinity stands NaN, which nothing reaches. Counts in float64: GPUs sum no int32.
        below = ~(values >= number(candidate)[:, tf.newaxis])
        below = tf.reduce_sum(tf.cast(below, tf.float64), 1)
        return k + 1, tf.where(below <= tf.cast(n, tf.float64), candidate, found)

    lowest = tf.fill([tf.shape(values)[0]], tf.constant(whole.min, whole))
    return number(tf.while_loop(lambda k, _: k < count, turn, (0, lowest))[1])


def dot(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """The inner products [W] of two [W, N]; one pass over memory where product and sum take two."""
    return tf.einsum("wn,wn->w", first, second)
