"""Which tensors of a graph are laid out like the input: a picture, a series, a volume.

A tensor [B, tokens, heads, width] of an attention has four axes, too, and no height or width. So
positions are followed from the input on, through what keeps them or takes windows of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from tfgig.image.axes import picture_shape
from tfgig.models.graphs.cut import Concrete
from tfgig.models.graphs.formats import Pictures
from tfgig.models.graphs.graph_find import on_the_way
from tfgig.models.graphs.inlining import body_of, needed_for
from tfgig.models.graphs.refusal import CannotExplain

# In which axes change their place, or are brought together.
_MIXING = (
    *("Transpose", "Einsum", "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"),
    *("GatherV2", "GatherNd", "TensorListStack", "While", "StatelessWhile"),
)
_RESHAPING = ("Reshape",)


def last_of(
    serve: Concrete, inputs: Sequence[tf.TensorSpec], where: str, pictures: Pictures
) -> tf.Tensor:
    """The last tensor that is laid out like the input, [B, height, width, channels] say.

    Args:
        serve: The model: its inputs to `ModelOutputs`.
        inputs: What it takes.
        where: What was loaded, for the error.
        pictures: Those among the inputs.

    Raises:
        ValueError: there is none.
    """
    body, outputs = body_of(serve)
    floats = [tensor for tensor in outputs if tensor.dtype.is_floating]
    classes = [tensor for tensor in floats if tensor.shape.rank == 2]
    passed = list(on_the_way(body, classes or outputs))
    needed = needed_for(classes or floats)
    # An operation may have outputs that nothing is computed from, as a swish's of its own gradient.
    used = {t.name for op in body.get_operations() if op.name in needed for t in op.inputs}
    others = [seen for seen in pictures.others if body is serve.graph]
    if others:
        starts = [seen.tensor for seen in others if seen.native == "channels_last"]
        known = _grids(body, passed, 4, starts) | _known_formats(passed, pictures)
    else:
        rank = _most_axes(passed, inputs)
        known = _grids(body, passed, rank, _starts(body, passed, inputs, serve, rank))
    ends = {tensor.name for tensor in outputs}
    found = [
        tensor
        for tensor in passed
        if tensor.name in used and tensor.name in known and tensor.name not in ends
    ]
    if not found:
        raise CannotExplain(
            "The model has no layer with the input's positions, such as a height and a width, that "
            "the score depends on; name one with layer=... (At(place, method)). Received: "
            f"{where}."
        )
    return found[-1]


def _grids(
    body: tf.Graph,
    passed: Sequence[tf.Tensor],
    rank: int,
    starts: Sequence[tf.Tensor],
) -> set[str]:
    """The names of tensors that are laid out like others, of the same number of axes."""
    known: dict[str, tuple[int | None, ...]] = {}  # by tensor: how many positions along each axis
    tokens: dict[str, tuple[int | None, ...]] = {}  # of those where they lie in one row
    for tensor in starts:
        known[tensor.name] = tuple(tensor.shape[1:-1])
    for op in body.get_operations():
        before = [known[t.name] for t in op.inputs if t.name in known]
        in_a_row = [tokens[t.name] for t in op.inputs if t.name in tokens]
        if not (before or in_a_row) or op.type in _MIXING:
            continue
        for output in op.outputs:
            shape = output.shape
            if shape.rank is None or output.name in known:
                continue
            kept = (before or in_a_row)[0]
            reshaped = op.type in _RESHAPING
            if tuple(shape[1 : 1 + len(kept)]) == kept and shape.rank > len(kept) + 1:
                known[output.name] = kept  # a group of channels may have become an axis
            elif before and not reshaped and rank - 1 <= shape.rank <= rank + 1:
                known[output.name] = _positions(output, rank) or kept
            elif shape.rank == 3 and shape[1] is not None and shape[1] == _product(kept):
                tokens[output.name] = kept
    by_name = {tensor.name: tensor for tensor in passed}
    return {
        name
        for name in known
        if name in by_name
        and by_name[name].shape.rank == rank
        and 1 not in by_name[name].shape[1:-1]
        and by_name[name].op.type != "Placeholder"
    }


def _known_formats(passed: Sequence[tf.Tensor], pictures: Pictures) -> set[str]:
    """The names of what is laid out like pictures of other axes."""
    found = set()
    for tensor in passed:
        data_format = pictures.laid_out.get(tensor.name)
        if data_format is not None:
            _, height, width, _ = picture_shape(tensor.shape.as_list(), data_format)
            if 1 not in (height, width):
                found.add(tensor.name)
    return found


def _product(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def _positions(tensor: tf.Tensor, rank: int) -> tuple[int | None, ...] | None:
    return tuple(tensor.shape[1:-1]) if tensor.shape.rank == rank else None


def _most_axes(passed: Sequence[tf.Tensor], inputs: Sequence[tf.TensorSpec]) -> int:
    """The rank of what is laid out: of the inputs' or, of encoded images, four."""
    ranks = [spec.shape.rank or 0 for spec in inputs]
    return max(ranks) if max(ranks) >= 3 else 4


def _starts(
    body: tf.Graph,
    passed: Sequence[tf.Tensor],
    inputs: Sequence[tf.TensorSpec],
    serve: Concrete,
    rank: int,
) -> list[tf.Tensor]:
    """Where positions come in: inputs of that many axes, or else the first such tensor."""
    if body is serve.graph:
        given = [t for t in serve.graph.inputs[: len(inputs)] if t.shape.rank == rank]
        if given:
            return given
    return [tensor for tensor in passed if tensor.shape.rank == rank][:1]
