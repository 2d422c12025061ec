"""The range of values within which paths stay that lead away from the input."""

from __future__ import annotations

import tensorflow as tf

from tfgig.baselines.base import Range


def bounds(value_range: Range | None, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The least and the largest value allowed, to broadcast against `inputs` [W, ...].

    Args:
        value_range: (low, high); None takes the smallest and the largest value of each input.
        inputs: [W, ...].
    """
    if value_range is not None:
        low, high = value_range
        return tf.constant(low, inputs.dtype), tf.constant(high, inputs.dtype)
    features = tf.range(1, tf.rank(inputs))
    return (
        tf.reduce_min(inputs, features, keepdims=True),
        tf.reduce_max(inputs, features, keepdims=True),
    )
