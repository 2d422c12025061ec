"""What the operations of a graph cost, and which of them bring positions together."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import tensorflow as tf

from tfgig.models.graphs.inlining import CALLS, called
from tfgig.models.graphs.tensorflow_private import function_graph

ROWS = 1009  # traced with so many examples, an axis of this size is the batch, and no other is

_CONVOLUTIONS = ("Conv2D", "Conv3D", "DepthwiseConv2dNative")
_TRANSPOSED = ("Conv2DBackpropInput", "Conv3DBackpropInputV2")
_MATRICES = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
PRODUCTS = (*_CONVOLUTIONS, *_TRANSPOSED, *_MATRICES, "Einsum")  # most of them with weights
_LOOPS = ("While", "StatelessWhile")


def cost_of(op: tf.Operation) -> float:
    """The multiplications of an operation; of any that is no product, its output's numbers."""
    outputs = sum(_size(tensor.shape) for tensor in op.outputs)
    if op.type in _CONVOLUTIONS:
        kernel = op.inputs[1].shape
        depthwise = op.type == "DepthwiseConv2dNative"
        return outputs * _size(kernel[:2] if depthwise else kernel[:-1], ())
    if op.type in _TRANSPOSED:
        return _size(op.inputs[2].shape) * _size(op.inputs[1].shape[:-1], ())
    if op.type in _MATRICES:
        flipped = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
        return outputs * _size(op.inputs[0].shape[-2 if flipped else -1 :][:1], ())
    if op.type == "Einsum":
        return _size_of_einsum(op)
    if op.type in CALLS:
        return sum(map(cost_of, called(op.graph, op).get_operations()))
    if op.type in _LOOPS:
        return _turns(op) * sum(map(cost_of, _body(op).get_operations()))
    return outputs


def joins_positions(op: tf.Operation, reached: Collection[str]) -> bool:
    """Whether an operation brings positions together: a convolution, attention, a recurrence.

    Args:
        op: The operation.
        reached: The names of the tensors that the model's inputs reach: a product of two of them
            is attention, one with a weight is not.
    """
    if op.type in (*_CONVOLUTIONS, *_TRANSPOSED):
        spatial = slice(0, 3 if op.type.startswith("Conv3D") else 2)
        # A kernel as large as its input flattens it.
        return _size(op.inputs[1].shape[spatial], ()) > 1 < _size(op.outputs[0].shape[1:-1], ())
    if op.type in (*_MATRICES, "Einsum"):
        return sum(tensor.name in reached for tensor in op.inputs) > 1
    if op.type in CALLS:
        body = called(op.graph, op)
        inside = {tensor.name for each in body.get_operations() for tensor in each.outputs}
        return any(joins_positions(each, inside) for each in body.get_operations())
    return op.type in _LOOPS


def _size(shape: tf.TensorShape, rows: Sequence[int] = (ROWS,)) -> int:
    """How many numbers there are; of an open first axis `rows`, of any other open one 1."""
    if shape.rank is None:
        return 1
    sizes = list(shape)
    first = [ROWS if size is None else size for size in sizes[: len(rows)]]
    return math.prod(first + [size or 1 for size in sizes[len(rows) :]])


def _size_of_einsum(op: tf.Operation) -> int:
    """The product of all axes; axes behind an ellipsis count as they come."""
    given = op.get_attr("equation").decode().partition("->")[0].split(",")
    axes: dict[str, int] = {}
    for letters, tensor in zip(given, op.inputs, strict=True):
        before, _, after = letters.partition("...")
        sizes = [size or 1 for size in (tensor.shape if tensor.shape.rank is not None else [])]
        middle = sizes[len(before) : len(sizes) - len(after)]
        axes |= dict(zip(before, sizes, strict=False))
        axes |= dict(zip(after, sizes[len(sizes) - len(after) :], strict=False))
        axes["..."] = max(axes.get("...", 1), math.prod(middle))
    return math.prod(axes.values())


def _body(op: tf.Operation) -> tf.Graph:
    return function_graph(op.graph, op.get_attr("body").name)


def _turns(op: tf.Operation) -> int:
    """How often a loop goes round: no more than any whole number that it is given says."""
    given = [tf.get_static_value(tensor) for tensor in op.inputs if tensor.dtype.is_integer]
    return max([1, *(int(value) for value in given if value is not None and value.ndim == 0)])
