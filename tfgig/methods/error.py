"""How exact an explanation is: the size of what integration leaves, from the nodes themselves.

A sum over n nodes is split into that over the odd and that over the even ones. Each stands for the
same integral at half the density, so their difference is as large as what the density leaves:

    error = ratio * caution(n) * |odd - even|_1 / |odd + even|_1

`ratio` is that of the true error to the difference, measured (`docs/accuracy.md`) and nearly the
same for all networks and images, because the gradient along a path behaves much like a random
walk. With few nodes the difference is often too small by chance, and `caution` raises it.

It is the error of the sum alone. It does not cover what the integral is taken of: the choice of
the baseline, of an adaptive path (whose steps choose where it leads), or of the noise.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_UNSURE = 7.0  # nodes below which a difference is hardly to be trusted


def caution(nodes: Any) -> Any:
    """By how much the difference of few nodes is raised: `1 + (7 / nodes)^2`."""
    return 1.0 + (_UNSURE / nodes) ** 2


def exceeds_change(delta: Any, score: Any, baseline_score: Any) -> Any:
    """Whether the completeness gap [B] is larger than the change of the score that it is of.

    Then the attributions say nothing of the score: a path runs through a jump, or has too few steps
    by far. Gaps below a thousandth of the scores do not count.
    """
    floor = 1e-3 * (abs(score) + abs(baseline_score))
    return abs(delta) > abs(score - baseline_score) + floor


def relative_error(attributions: tf.Tensor, residual: tf.Tensor) -> tf.Tensor:
    """`|residual|_1 / |attributions|_1`, float32 [B], 0 or more and finite.

    Args:
        attributions: [B, ...].
        residual: [B, ...], as `Attribution` has it.

    Returns:
        0 where there is no residual; 1 where there is one and it cannot be compared, because the
        attributions are 0 everywhere or the numbers are out of range.
    """
    features = list(range(1, attributions.shape.rank))
    left, whole = (
        tf.reduce_sum(tf.abs(tf.cast(values, tf.float64)), features)
        for values in (residual, attributions)
    )
    error = tf.cast(left / whole, tf.float32)
    error = tf.where(tf.math.is_finite(error), error, tf.ones_like(error))
    return tf.where(left > 0, error, tf.zeros_like(error))
