"""What stands before every signature: no request may stop the server, or get a wrong answer.

A server hands on whatever shape it is sent. Some kernels end the process at a wrong one, others
answer for another image than was meant. And a batch of no rows, which a convolution that is fused
with what follows it gets wrong, is answered without being computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfgig.models.graphs.inlining import GUARD
from tfgig.tracing import concrete

Outputs = dict[str, "tf.Tensor"]


def guarded(values: Sequence[tf.Tensor], specs: Sequence[tf.TensorSpec]) -> list[tf.Tensor]:
    """The values, bit for bit; a wrong rank or a wrong known size is INVALID_ARGUMENT."""
    return [
        tf.ensure_shape(value, spec.shape, name=f"input_{spec.name}")
        for value, spec in zip(values, specs, strict=True)
    ]


def unless_empty(
    function: Callable[..., Any], inputs: Sequence[tf.Tensor], outputs: Any = None
) -> Any:
    """`function(*inputs)`, a dictionary of outputs [B, ...]; for B = 0 it is not called.

    A size that an output leaves open is then 0. A function whose inputs or outputs do not all have
    rows is called whatever comes.

    Args:
        function: What is called.
        inputs: [B, ...] each.
        outputs: The specs of what it returns; None if it is to be traced to find out.
    """
    if outputs is None:
        function = traced = concrete(function, *inputs)
        outputs = traced.structured_outputs
    if not all(_has_rows(tensor) for tensor in (*inputs, *tf.nest.flatten(outputs))):
        return function(*inputs)

    def nothing():
        return tf.nest.map_structure(_no_rows, outputs)

    there_are_rows = tf.shape(inputs[0], tf.int64)[0] > 0
    return tf.cond(there_are_rows, lambda: function(*inputs), nothing, name=GUARD)


def _has_rows(tensor: tf.Tensor | tf.TensorSpec) -> bool:
    return bool(tensor.shape.rank) and tensor.shape[0] is None


def _no_rows(spec: tf.TensorSpec) -> tf.Tensor:
    return tf.zeros([size or 0 for size in spec.shape], spec.dtype)
