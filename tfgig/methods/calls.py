"""How work is cut into model calls: no more points in one than memory is meant for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfgig.spec import check, is_whole

_POINTS_ON_CPU = 8  # MobileNetV2 at 224 was fastest so: larger calls fall out of the cache
_POINTS_ON_GPU = 32


def check_internal_batch_size(size: Any) -> None:
    """Raises `ValueError` unless `size` is a whole number of at least 1, or None."""
    check(
        size is None or (is_whole(size) and size >= 1),
        "`internal_batch_size` must be a whole number of at least 1, or None.",
        size,
    )


def points_per_call(internal_batch_size: int | None) -> int:
    """The given size, or where it is None what suits the machine on which the graph is traced."""
    if internal_batch_size is not None:
        return internal_batch_size
    return _POINTS_ON_GPU if tf.config.list_physical_devices("GPU") else _POINTS_ON_CPU


def repeat_rows(values: tf.Tensor, times: tf.Tensor) -> tf.Tensor:
    """`values` [G, ...] repeated as a whole: [times G, ...], point-major."""
    ones = tf.ones([tf.rank(values) - 1], tf.int32)
    return tf.tile(values, tf.concat([[times], ones], 0))


def in_groups(
    function: Callable[[tf.Tensor], tf.Tensor], count: tf.Tensor, size: int, shape: tf.TensorShape
) -> tf.Tensor:
    """`function(walks [G])`, float32 [G, *shape], for walks 0 .. count - 1, `size` at a time."""
    size = tf.minimum(size, tf.maximum(count, 1))
    groups = -(-count // size)
    results = tf.TensorArray(tf.float32, groups, infer_shape=False, element_shape=[None, *shape])

    def turn(group, results):
        walks = tf.range(group * size, tf.minimum((group + 1) * size, count))
        return group + 1, results.write(group, function(walks))

    _, results = tf.while_loop(
        lambda group, _: group < groups, turn, (0, results), parallel_iterations=1
    )
    return results.concat()
