"""Which axes of a model's pictures are height, width and channels, as its graph shows it.

A convolution says it (`data_format`), of its input and so of what the input was made of by
transposing it, by giving it an axis, or axis by axis.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tfgig.image.axes import (
    AXES,
    DataFormat,
    as_picture,
    check_data_format,
    from_picture,
    picture_shape,
    rank_of,
)
from tfgig.models.graphs.cut import Concrete, Cut
from tfgig.models.graphs.inlining import inline
from tfgig.models.graphs.refusal import check
from tfgig.models.graphs.ways import SIZES
from tfgig.tracing import concrete

Axes = tuple[int | None, ...]  # of (height, width, channels), in a tensor; None where it has none
_LOOKING = (
    *("Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool", "FusedBatchNormV3"),
    *("FusedBatchNorm", "FusedBatchNormV2", "DepthToSpace", "SpaceToDepth"),
)
_RESIZING = ("ResizeBilinear", "ResizeNearestNeighbor", "ResizeArea", "ResizeBicubic")
_NATIVE: dict[bytes, DataFormat] = {b"NHWC": "channels_last", b"NCHW": "channels_first"}
# In which axes are brought together, or are others.
_MIXING = (
    *("Einsum", "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "GatherV2", "GatherNd"),
    *("TensorListStack", "While", "StatelessWhile", "PartitionedCall", "StatefulPartitionedCall"),
)
_MOST = 200  # operations, from an input to what looks at it


class Sight(NamedTuple):
    """How a model looks at a picture.

    Args:
        data_format: Of the picture.
        tensor: What the first operation takes that looks at positions.
        native: The format of that.
    """

    data_format: DataFormat
    tensor: tf.Tensor
    native: DataFormat


def sight_of(picture: tf.Tensor) -> Sight | None:
    """How a graph looks at one of its tensors; None if it does not show that, or not as a picture.

    Args:
        picture: [B, ...] of three or four axes.
    """
    if picture.shape.rank not in (3, 4):
        return None
    start: Axes = tuple(range(picture.shape.rank))
    waiting, seen = [(picture, start)], {picture.name}
    for tensor, axes in waiting:  # which grows
        for op in tensor.consumers():
            native = _looked_at(op, tensor)
            if native is not None:
                found = tuple(axes[axis] for axis in AXES[native] if axis is not None)
                formats = [name for name, own in AXES.items() if own == found]
                fits = formats and rank_of(formats[0]) == picture.shape.rank
                return Sight(formats[0], tensor, native) if fits else None
            output = op.outputs[0] if op.outputs and len(waiting) < _MOST else None
            moved = None if output is None else _moved(op, tensor, output, axes)
            if output is not None and moved is not None and output.name not in seen:
                seen.add(output.name)
                waiting.append((output, moved))
    return None


def formats_from(
    picture: tf.Tensor, data_format: DataFormat, operations: Sequence[tf.Operation]
) -> dict[str, DataFormat]:
    """The formats of what is laid out like a picture, by name; [B, ...] of four axes all.

    Args:
        picture: The picture.
        data_format: Its own.
        operations: Of its graph, in an order of computation.
    """
    own = AXES[data_format]
    start = [None] * picture.shape.rank
    for part, axis in enumerate(own):
        if axis is not None:
            start[axis] = part  # type: ignore[call-overload]
    known: dict[str, Axes] = {picture.name: tuple(start)}  # by axis: which part of the picture
    for op in operations:
        for before in [t for t in op.inputs if t.name in known][:1]:
            for output in op.outputs:
                moved = _moved(op, before, output, known[before.name])
                if moved is not None:
                    known.setdefault(output.name, moved)
    found: dict[str, DataFormat] = {}
    for name, axes in known.items():
        if name != picture.name and len(axes) == 4:
            # An axis that was given to a grey picture is that of its channels.
            parts = [2 if part is None and axis > 0 else part for axis, part in enumerate(axes)]
            for native, (height, width, channels) in AXES.items():
                if channels and (parts[height], parts[width], parts[channels]) == (0, 1, 2):
                    found[name] = native
    return found


def _looked_at(op: tf.Operation, tensor: tf.Tensor) -> DataFormat | None:
    """The format in which an operation takes a tensor, if it looks at positions."""
    if tensor.shape.rank != 4 or op.inputs[0] is not tensor:
        return None
    if op.type in _RESIZING:
        return "channels_last"
    return _NATIVE.get(op.get_attr("data_format")) if op.type in _LOOKING else None


def _moved(op: tf.Operation, before: tf.Tensor, after: tf.Tensor, axes: Axes) -> Axes | None:
    """Where axes are behind an operation; None if it mixes them, or says nothing of them."""
    rank = after.shape.rank
    if rank is None or op.type in (*_MIXING, *SIZES):
        return None
    if op.type == "Transpose":
        order = tf.get_static_value(op.inputs[1])
        return None if order is None else tuple(axes[axis] for axis in order)
    if op.type in ("ExpandDims", "Reshape", "Squeeze"):
        return _with_axes_of_one(before.shape.as_list(), after.shape.as_list(), axes)
    return axes if rank == len(axes) else None


def _with_axes_of_one(before: list, after: list, axes: Axes) -> Axes | None:
    """Where axes are behind a change of shape that gives or takes axes of size one alone."""
    at, found = 0, []
    for size in after:
        while at < len(before) and before[at] == 1 and size != 1:
            at += 1
        if at < len(before) and before[at] == size:
            found.append(axes[at])
            at += 1
        elif size == 1:
            found.append(None)
        else:
            return None
    return tuple(found) if all(size == 1 for size in before[at:]) else None


def is_other(cut: Cut) -> bool:
    """Whether what is explained is one picture of other axes than height, width, channels."""
    return not cut.parts and cut.format_of(0) not in (None, "channels_last")


def pictured(cut: Cut) -> Cut:
    """A cut at a picture as one at [None, height, width, channels]."""
    data_format = cut.format_of(0)
    if not is_other(cut) or data_format is None:
        return cut
    shape = picture_shape(cut.points.shape.as_list(), data_format)
    points = tf.TensorSpec(shape, cut.points.dtype, cut.points.name)

    def front(*inputs):
        explained, *context = cut.front(*inputs)
        return (as_picture(explained, data_format), *context)

    def forward(picture, *context):
        return inline(cut.forward, (from_picture(picture, data_format), *context), {})

    traced = concrete(forward, points, *cut.context)
    return dataclasses.replace(
        cut, points=points, front=front, forward=traced, formats=("channels_last",)
    )


class Pictures:
    """The pictures among a model's inputs.

    Args:
        serve: The model: its inputs to `ModelOutputs`.
        inputs: What it takes.
        data_format: Which axes are what, if the user says it.

    Raises:
        ValueError: no input has the axes of that format.
    """

    def __init__(
        self,
        serve: Concrete,
        inputs: Sequence[tf.TensorSpec],
        data_format: DataFormat | None = None,
    ) -> None:
        check_data_format(data_format)
        self._serve, self._said = serve, data_format
        self._given = dict(zip([spec.name for spec in inputs], serve.graph.inputs, strict=False))
        ranks = {spec.name: spec.shape.rank for spec in inputs}
        check(
            data_format is None or rank_of(data_format) in ranks.values(),
            f"data_format={data_format!r} is of pictures of another number of axes than what this "
            "model takes.",
            {spec.name: spec.shape for spec in inputs},
        )

    @functools.cached_property
    def sights(self) -> dict[str, Sight]:
        """How the model looks at its pictures, by the name of the input."""
        found = {}
        for name, tensor in self._given.items():
            seen = sight_of(tensor)
            if self._said is not None and tensor.shape.rank == rank_of(self._said):
                fits = seen is not None and seen.data_format == self._said
                seen = seen if fits else Sight(self._said, tensor, self._said)
            if seen is not None:
                found[name] = seen
        return found

    @functools.cached_property
    def others(self) -> list[Sight]:
        """Those whose axes are not height, width, channels."""
        return [seen for seen in self.sights.values() if seen.data_format != "channels_last"]

    @functools.cached_property
    def laid_out(self) -> dict[str, DataFormat]:
        """What is laid out like those, by name."""
        found: dict[str, DataFormat] = {}
        for name, seen in self.sights.items():
            if seen.data_format != "channels_last":
                operations = self._serve.graph.get_operations()
                found |= formats_from(self._given[name], seen.data_format, operations)
        return found

    def noted(self, cut: Cut, tensors: Sequence[tf.Tensor] = ()) -> Cut:
        """A cut with the formats of what is explained.

        Args:
            cut: At inputs or tensors of the model.
            tensors: What it explains in the graph; none at inputs.
        """
        if not self.sights or cut.formats:
            return cut
        known = {name: seen.data_format for name, seen in self.sights.items()}
        if not tensors:
            return dataclasses.replace(cut, formats=tuple(known.get(s.name) for s in cut.explained))
        known = {self._given[name].name: found for name, found in known.items()} | self.laid_out
        return dataclasses.replace(cut, formats=tuple(known.get(t.name) for t in tensors))
