"""Where the positions of a layer lie in the picture: the centres of what they look at.

With kernels, strides and padding known, position i of a layer looks at a stretch of the picture
whose centre is `offset + stride i`. Padding that is not even on both sides, as TensorFlow's "SAME"
is where a stride halves an even size, moves the centres: at MobileNetV2's blocks of 14 by 14
positions by 7.5 pixels, half a position.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import tensorflow as tf

from tfgig.image.layout import Axis

_WINDOWS = ("MaxPool", "AvgPool", "MaxPoolV2")
_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
_PADS = ("Pad", "PadV2", "MirrorPad")
_RESIZES = ("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic")
_UNKNOWN = ("Conv2DBackpropInput", "Transpose", "ReverseV2", "Roll")


Centres = tuple[Axis, Axis]


class _Stretch(NamedTuple):
    """What position 0 looks at, in pixels, and how far the next position is from it."""

    stride: float
    low: float
    high: float


def centres_of(picture: tf.Tensor, operations: Iterable[tf.Operation]) -> dict[str, Centres]:
    """The centres of the positions of all tensors [B, h, w, c], by name, where they are known.

    Args:
        picture: [B, height, width, c], in a graph with known sizes.
        operations: Those that are computed from it, in an order of computation.
    """
    known: dict[str, tuple[_Stretch, ...]] = {picture.name: (_Stretch(1.0, 0.0, 0.0),) * 2}
    for op in operations:
        for output in op.outputs:
            if output.shape.rank == 4 and None not in output.shape[1:3]:
                found = _of(op, output, known)
                if found is not None:
                    known[output.name] = found
    return {name: (_axis(rows), _axis(columns)) for name, (rows, columns) in known.items()}


def _axis(stretch: _Stretch) -> Axis:
    return Axis(stretch.stride, (stretch.low + stretch.high) / 2)


def _of(
    op: tf.Operation, output: tf.Tensor, known: dict[str, tuple[_Stretch, ...]]
) -> tuple[_Stretch, ...] | None:
    inputs = [tensor for tensor in op.inputs if tensor.name in known]
    if not inputs or op.type in _UNKNOWN:
        return None
    before = known[inputs[0].name]
    sizes = inputs[0].shape[1:3].as_list()
    if op.type in (*_CONVOLUTIONS, *_WINDOWS):
        return _of_windows(op, before, sizes)
    if op.type in _PADS:
        paddings = tf.get_static_value(op.inputs[1])
        if paddings is None:
            return None
        return tuple(_moved(axis, -int(paddings[i + 1][0])) for i, axis in enumerate(before))
    if op.type in _RESIZES:
        return _of_resize(op, before, sizes, output.shape[1:3].as_list())
    # Anything else works position by position, if it leaves their number as it is.
    same = [known[t.name] for t in inputs if t.shape[1:3] == output.shape[1:3]]
    strides = {tuple(axis.stride for axis in axes) for axes in same}
    if len(strides) != 1:
        return None
    return tuple(
        _Stretch(axes[0].stride, min(a.low for a in axes), max(a.high for a in axes))
        for axes in zip(*same, strict=True)
    )


def _moved(axis: _Stretch, by: float) -> _Stretch:
    """The stretch of the position `by` positions further."""
    return axis._replace(low=axis.low + by * axis.stride, high=axis.high + by * axis.stride)


def _of_windows(
    op: tf.Operation, before: tuple[_Stretch, ...], sizes: list[int]
) -> tuple[_Stretch, ...] | None:
    if op.type == "MaxPoolV2" or op.get_attr("data_format") != b"NHWC":
        return None
    convolves = op.type in _CONVOLUTIONS
    kernel = op.inputs[1].shape[:2].as_list() if convolves else op.get_attr("ksize")[1:3]
    if None in kernel:
        return None
    dilations = op.get_attr("dilations")[1:3] if convolves else (1, 1)
    padding, strides = op.get_attr("padding").decode(), op.get_attr("strides")[1:3]
    found = []
    for i, (axis, size) in enumerate(zip(before, sizes, strict=True)):
        reach, stride = (kernel[i] - 1) * dilations[i] + 1, strides[i]
        pad = 0
        if padding == "SAME":
            pad = max((math.ceil(size / stride) - 1) * stride + reach - size, 0) // 2
        elif padding == "EXPLICIT":
            pad = op.get_attr("explicit_paddings")[2 * (i + 1)]
        low = axis.low - pad * axis.stride
        high = axis.high + (reach - 1 - pad) * axis.stride
        found.append(_Stretch(axis.stride * stride, low, high))
    return tuple(found)


def _of_resize(
    op: tf.Operation, before: tuple[_Stretch, ...], sizes: list[int], after: list[int]
) -> tuple[_Stretch, ...] | None:
    if not op.get_attr("half_pixel_centers"):
        return None
    ratios = [size / new for size, new in zip(sizes, after, strict=True)]
    moved = [_moved(axis, (ratio - 1) / 2) for axis, ratio in zip(before, ratios, strict=True)]
    return tuple(
        axis._replace(stride=axis.stride * ratio) for axis, ratio in zip(moved, ratios, strict=True)
    )
