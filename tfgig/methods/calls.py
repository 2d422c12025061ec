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


def sums_by_row(
    function: Callable[[tf.Tensor], list[tf.Tensor]],
    walks: tf.Tensor,
    size: int,
    like: list[tf.Tensor],
) -> list[tf.Tensor]:
    """The sums float64 [B, ...] of each of `function(walks [G])` [G, ...], `size` walks at a time.

    Walk w belongs to row `w % B`. Only sums are kept, so memory does not grow with the walks.

    Args:
        function: What is summed.
        walks: How many walks there are, a multiple of B.
        size: How many of them at once.
        like: Tensors [B, ...] of the sums' shapes.
    """
    rows = tf.shape(like[0])[0]

    def turn(first, totals):
        group = tf.range(first, tf.minimum(first + size, walks))
        index = (group % rows)[:, tf.newaxis]
        return first + size, [
            tf.tensor_scatter_nd_add(total, index, tf.cast(values, tf.float64))
            for total, values in zip(totals, function(group), strict=True)
        ]

    start = (0, [tf.zeros_like(values, tf.float64) for values in like])
    return tf.while_loop(lambda first, _: first < walks, turn, start, parallel_iterations=1)[1]
