"""Noise that does not depend on the batch: drawn once per position, shared by all rows.

So a row gets the same answer alone and in a batch, and at every call.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfgig.spec import check, is_whole


def normal(samples: int, inputs: tf.Tensor, seed: int) -> tf.Tensor:
    """Standard normal numbers [samples, 1, ...] for inputs [B, ...]."""
    return tf.random.stateless_normal(
        _shape(samples, inputs), (seed, 0), dtype=inputs.dtype, alg="philox"
    )


def uniform(samples: int, inputs: tf.Tensor, seed: int) -> tf.Tensor:
    """Numbers from [0, 1), [samples, 1, ...], for inputs [B, ...]."""
    return tf.random.stateless_uniform(
        _shape(samples, inputs), (seed, 0), dtype=inputs.dtype, alg="philox"
    )


def width(inputs: tf.Tensor, spread: float, relative: bool) -> tf.Tensor:
    """The standard deviation that `spread` stands for, to broadcast against inputs [B, ...].

    Relative, it is a share of each row's own range, from its smallest to its largest value.
    """
    if not relative:
        return tf.constant(spread, inputs.dtype)
    features = list(range(1, inputs.shape.rank))
    largest = tf.reduce_max(inputs, features, keepdims=True)
    return spread * (largest - tf.reduce_min(inputs, features, keepdims=True))


def check_samples(samples: Any, seed: Any, owner: str) -> None:
    """Raises `ValueError` unless there is at least one sample and the seed is a whole number."""
    message = f"{owner}(samples=...) must be a whole number of at least 1."
    check(is_whole(samples) and samples >= 1, message, samples)
    check(
        is_whole(seed) and 0 <= seed < 2**31,
        f"{owner}(seed=...) must be a whole number of at least 0.",
        seed,
    )


def check_spread(spread: Any, owner: str) -> None:
    """Raises `ValueError` unless a spread is a number of at least 0."""
    good = isinstance(spread, (int, float)) and 0 <= spread < float("inf")
    check(good, f"{owner}(spread=...) must be a number of at least 0.", spread)


def _shape(samples: int, inputs: tf.Tensor) -> tf.Tensor:
    return tf.concat([[samples, 1], tf.shape(inputs)[1:]], 0)
