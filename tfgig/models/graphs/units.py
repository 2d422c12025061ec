"""What is black and what is white in a model's image, read off the first arithmetic on it.

Keras models and SavedModels alike: whatever scales, centres or standardises the pixels shows in the
graph as a line `scale x + offset` for each channel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfgig.models.graphs.cut import Concrete, concrete
from tfgig.models.graphs.inlining import body_of, inline, needed_for
from tfgig.models.graphs.ways import SIZES

Range = tuple[float, float]
Line = tuple[np.ndarray, np.ndarray]  # scale and offset, each one number or one for each channel

RANGES: Sequence[Range] = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))
_SCALED = ((0.0, 1.0), (-1.0, 1.0), (-0.5, 0.5))  # what models see
_KEEPING = ("Identity", "Cast", "StopGradient", "Reshape", "Pad", "PadV2", "Slice", "CheckNumerics")
_RESIZING = ("ResizeBilinear", "ResizeNearestNeighbor", "ResizeArea", "ResizeBicubic")
_REVERSING = ("StridedSlice", "ReverseV2")  # red, green and blue, or a part of the picture
_SUMS = ("AddV2", "Add", "BiasAdd")
_QUOTIENTS = ("RealDiv", "Div")
_MOST = 40  # operations


def range_of(serve: Concrete, inputs: Sequence[tf.TensorSpec], name: str) -> Range | None:
    """The value range of an image that is one of a model's inputs; None if its graph tells none.

    Nothing of the model but its constants is run, and nothing at all while a graph is only read.

    Args:
        serve: The model: its inputs to `ModelOutputs`.
        inputs: What it takes.
        name: Of the image.
    """
    body, outputs = body_of(serve)
    if body is not serve.graph or not tf.executing_eagerly():
        return None
    place = [spec.name for spec in inputs].index(name)
    at = serve.graph.inputs[place]
    needed = needed_for([tensor for tensor in outputs if tensor.dtype.is_floating])
    scale, offset = np.ones([]), np.zeros([])
    for _ in range(_MOST):
        users = [op for op in at.consumers() if op.type not in SIZES and op.name in needed]
        stacked = _stacked_again(users)
        if stacked is not None:
            at = stacked
            continue
        if len(users) != 1:
            break
        (op,) = users
        line = _line(op, at, serve, inputs)
        if line is None:
            break
        scale, offset = line[0] * scale, line[0] * offset + line[1]
        found = _scaled(scale, offset)
        if found is not None:
            return found
        at = op.outputs[0]
    return _standardised(scale, offset)


def _stacked_again(users: Sequence[tf.Operation]) -> tf.Tensor | None:
    """What some operations do that take channels apart, to put them together in another order."""
    if len(users) < 2 or any(op.type != "StridedSlice" for op in users):
        return None
    joined = {user for op in users for user in op.outputs[0].consumers()}
    (only,) = joined if len(joined) == 1 else (None,)
    return only.outputs[0] if only is not None and only.type in ("Pack", "ConcatV2") else None


def _line(
    op: tf.Operation, at: tf.Tensor, serve: Concrete, inputs: Sequence[tf.TensorSpec]
) -> Line | None:
    """What an operation does to the numbers of one of its inputs; None if that is no line."""
    if op.type in (*_KEEPING, *_RESIZING, *_REVERSING):
        return (np.ones([]), np.zeros([])) if op.inputs[0] is at else None
    if op.type not in ("Mul", "Sub", *_SUMS, *_QUOTIENTS):
        return None
    first = op.inputs[0] is at
    found = _constant(op.inputs[1 if first else 0], serve, inputs)
    if found is None or (found.size > 1 and found.size != found.shape[-1]):
        return None
    value = found.astype(np.float64).reshape([-1] if found.size > 1 else [])
    one, none = np.ones([]), np.zeros([])
    if op.type == "Mul":
        return value, none
    if op.type in _SUMS:
        return one, value
    if op.type == "Sub":
        return (one, -value) if first else (-one, value)
    return (np.divide(1.0, value), none) if first and np.all(value) else None


def _constant(
    tensor: tf.Tensor, serve: Concrete, inputs: Sequence[tf.TensorSpec]
) -> np.ndarray | None:
    """The value of a tensor that does not depend on the inputs, variables included."""
    static = tf.get_static_value(tensor)
    if static is not None:
        return np.asarray(static)
    given = {placeholder.op.name for placeholder in serve.graph.inputs[: len(inputs)]}
    if given & needed_for([tensor]):
        return None

    def fetch(*values):
        return inline(serve, values, {}, wanted=[tensor.name])

    blanks = [tf.zeros([0, *(size or 1 for size in spec.shape[1:])], spec.dtype) for spec in inputs]
    (value,) = concrete(fetch, *inputs)(*blanks)
    return np.asarray(tf.cast(value, tf.float64)) if value.dtype.is_floating else None


def _scaled(scale: np.ndarray, offset: np.ndarray) -> Range | None:
    """The range that a line, the same for all channels, maps to what models see."""
    for low, high in RANGES:
        ends = [scale * end + offset for end in (low, high)]
        for wanted in _SCALED:
            if all(
                np.all(np.abs(end - to) < 1e-2) for end, to in zip(ends, wanted, strict=True)
            ) and not _is_untouched(scale, offset):
                return (low, high)
    return None


def _standardised(scale: np.ndarray, offset: np.ndarray) -> Range | None:
    """The range whose mean and deviation a line seems to take out: (x - mean) / deviation."""
    if not np.all(scale > 0) or not np.all(offset):
        return None
    mean, deviation = -offset / scale, 1.0 / scale
    for low, high in RANGES[:2]:  # what is around zero is not centred again
        width = high - low
        middle = np.all((mean > low + 0.25 * width) & (mean < low + 0.75 * width))
        spread = np.all((deviation > 0.1 * width) & (deviation < 0.5 * width))
        centred = width > 2 and np.all(np.abs(deviation - 1.0) < 1e-3)  # and not scaled
        if middle and (spread or centred):
            return (low, high)
    return None


def _is_untouched(scale: np.ndarray, offset: np.ndarray) -> bool:
    return bool(np.all(scale == 1.0) and np.all(offset == 0.0))
