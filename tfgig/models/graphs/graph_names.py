"""What tensors of a graph are called, and where the numbers in them come from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tfgig.models.graphs.cut import Concrete
from tfgig.models.graphs.gradients import own_name
from tfgig.models.graphs.inlining import body_of, needed_for
from tfgig.models.graphs.parsed import PARSERS, parsed_feature, parsed_row_by_row
from tfgig.models.graphs.refusal import CannotExplain

_PASSING_ON = ("Identity", "Reshape", "ExpandDims", "Squeeze", "Cast", "StridedSlice")
# A map over rows, such as of images that are decoded, is a loop whose results are stacked.
_DECODERS = (*PARSERS, "TensorListStack", "StringToNumber")
# What a sparse feature is filled up by; before it, there is one value for each that is present.
_FILLING_UP = {  # the place of its values
    "SparseToDense": 2,
    "ScatterNd": 1,
    "TensorScatterUpdate": 2,
    "RaggedTensorToTensor": 1,
}


class First(NamedTuple):
    """The first floats made of an input.

    Args:
        tensor: In the body of the model's function.
        origins: The inputs, or the parsed features, whose values are in it.
    """

    tensor: tf.Tensor
    origins: frozenset[str]


def names_of(
    tensors: Sequence[tf.Tensor], serve: Concrete, inputs: Sequence[tf.TensorSpec]
) -> list[str]:
    """Words for tensors: the feature that was parsed, or the input that was cast or decoded."""
    placeholders = [tensor.op for tensor in serve.graph.inputs[: len(inputs)]]
    names: list[str] = []
    for tensor in tensors:
        name = feature_of(tensor)
        origin = _before_passing_on(tensor).op
        if origin in placeholders:
            name = inputs[placeholders.index(origin)].name
        elif name is None and is_decoded(tensor) and len(inputs) == 1:
            name = f"decoded_{inputs[0].name}"
        name = re.sub(r"\W+", "_", name or own_name(tensor.op.node_def)).strip("_")
        names.append(name if name not in names else f"{name}_{len(names)}")
    return names


def names_of_firsts(firsts: Sequence[First], layers: Sequence[str]) -> list[str]:
    """What the first floats of inputs are called: as the input that they alone are made of.

    Args:
        firsts: The floats.
        layers: The names of the layers, where they are known, for those that share an input.
    """
    alone = [next(iter(first.origins)) if len(first.origins) == 1 else None for first in firsts]
    names: list[str] = []
    for first, origin in zip(firsts, alone, strict=True):
        name = origin if origin is not None and alone.count(origin) == 1 else None
        if name is None:
            name = layer_of(first.tensor, layers) or own_name(first.tensor.op.node_def)
        name = re.sub(r"\W+", "_", name).strip("_")
        names.append(name if name not in names else f"{name}_{len(names)}")
    return names


def layer_of(tensor: tf.Tensor, layers: Sequence[str]) -> str | None:
    """The innermost of the layers that a tensor is computed in; of none, its operation's name."""
    name = own_name(tensor.op.node_def)
    for part in reversed(name.split("/")):
        for layer in layers:
            if re.fullmatch(rf"{re.escape(layer)}(_\d+)?", part):
                return layer
    return None if layers else name


def as_floats(tensor: tf.Tensor, serve: Concrete, where: str) -> list[tf.Tensor]:
    """A tensor as it is or, of whole numbers, the floats that become of it, such as one-hot rows.

    Raises:
        CannotExplain: nothing makes floats of them without looking them up.
    """
    if tensor.dtype.is_floating:
        return [tensor]
    _, outputs = body_of(serve)
    needed = needed_for([output for output in outputs if output.dtype.is_floating])
    found, waiting = [], [tensor]
    while waiting:
        for op in waiting.pop(0).consumers():
            if op.name not in needed or op.type not in _PASSING_ON:
                continue
            found += [output for output in op.outputs if output.dtype.is_floating]
            waiting += [output for output in op.outputs if not output.dtype.is_floating]
    if not found:
        raise CannotExplain(
            "A gradient needs floating-point numbers, and this layer's output never becomes float: "
            f"name a later layer. Received: {own_name(tensor.op.node_def)!r} of "
            f"{tensor.dtype.name} in {where}."
        )
    return found


def is_sparse(tensor: tf.Tensor) -> bool:
    """Whether a tensor is the values of a sparse feature, of which an example may have none."""
    return tensor.shape.rank == 1 and parsed_feature(tensor)[1] in ("sparse", "ragged")


def is_decoded(tensor: tf.Tensor) -> bool:
    """Whether a tensor holds the numbers of an input, and nothing computed from them."""
    if tensor.op.type == "Cast" and not tensor.op.inputs[0].dtype.is_integer:
        return False  # a mask
    op = origin_of(tensor)
    return op.type in ("Placeholder", *_DECODERS) or op.type.startswith("Decode")


def origin_of(tensor: tf.Tensor) -> tf.Operation:
    """What the numbers of a tensor come from: what parses, decodes or computes them."""
    return _before_passing_on(tensor).op


def _before_passing_on(tensor: tf.Tensor) -> tf.Tensor:
    while tensor.op.type in (*_PASSING_ON, *_FILLING_UP):
        tensor = tensor.op.inputs[_FILLING_UP.get(tensor.op.type, 0)]
    inner = parsed_row_by_row(tensor)
    if inner is not None:
        inner = _before_passing_on(inner)
        return inner if inner.op.type in PARSERS else tensor
    return tensor


def feature_of(tensor: tf.Tensor) -> str | None:
    """The key of the feature of tf.Example that a tensor holds, if it is one."""
    return parsed_feature(_before_passing_on(tensor))[0]
