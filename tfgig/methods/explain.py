"""One explanation of a batch: the method's answer, and whether each row can be trusted.

The Keras layer and the exported signatures both end here, so they cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfgig.methods.base import Method
from tfgig.methods.error import relative_error
from tfgig.objective import ModelObjective

Explanation = dict[str, "tf.Tensor"]


def explain(
    objective: ModelObjective,
    method: Method,
    inputs: tf.Tensor,
    target: tf.Tensor,
    context: Sequence[tf.Tensor] = (),
) -> Explanation:
    """Explains a batch, row by row; a bad row does not affect others.

    Args:
        objective: The model and the explained score.
        method: The method.
        inputs: [B, ...], in the model's own input units.
        target: int64 [B]; -1 explains the top class.
        context: The model's other inputs, [B, ...] each.

    Returns:
        `attributions` float32 [B, ...], signed, in the shape of the inputs; `target` int64 [B], as
        fixed at the inputs; `score` and `baseline_score` float32 [B]; `delta` float32 [B], the
        completeness gap: sum of attributions minus (score - baseline score); `error` float32 [B],
        the estimated error of the attributions by integration, `|attributions - those of ever more
        steps|_1 / |attributions|_1`: 0 for a method that does not integrate, 1 for an integral of
        one step, whose error is unknown; `ok` bool [B]. Where `ok` is false (an input, a score or a
        gradient is not finite, or the target does not exist) the target is -1 and every number 0.
    """
    inputs = tf.cast(inputs, tf.float32)
    readable = _all_finite(inputs)
    inputs = keep(readable, inputs)
    binding = objective.bind(inputs, target, context, readable)
    attributions, baseline_score, residual = method.attribute(binding.objective, inputs)
    total = tf.reduce_sum(tf.cast(attributions, tf.float64), _features(attributions))
    change = tf.cast(binding.score, tf.float64) - tf.cast(baseline_score, tf.float64)
    delta = tf.cast(total - change, tf.float32)
    ok = readable & binding.valid & _all_finite(attributions) & tf.math.is_finite(delta)
    return {
        "attributions": keep(ok, attributions),
        "target": tf.where(ok, binding.target, -tf.ones_like(binding.target)),
        "score": keep(ok, binding.score),
        "baseline_score": keep(ok, baseline_score),
        "delta": keep(ok, delta),
        "error": keep(ok, relative_error(attributions, residual)),
        "ok": ok,
    }


def _features(values: tf.Tensor) -> list[int]:
    return list(range(1, values.shape.rank))


def _all_finite(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(tf.math.is_finite(values), _features(values))


def keep(rows: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """`values` [B, ...] with zeros in the rows [B] that are not to be kept."""
    rows = tf.reshape(rows, [-1] + [1] * (values.shape.rank - 1))
    return tf.where(rows, values, tf.zeros_like(values))
