"""Cuts in graphs: behind what parses or decodes the inputs, or at a tensor by its name."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import tensorflow as tf

from tfgig.models.graphs.cut import Concrete, Cut, concrete, cut_behind
from tfgig.models.graphs.examples import Examples
from tfgig.models.graphs.gradients import missing_gradient, reached_from
from tfgig.models.graphs.graph_find import in_order, on_the_way
from tfgig.models.graphs.graph_names import (
    is_decoded,
    is_sparse,
    layer_of,
    names_of,
    origin_of,
)
from tfgig.models.graphs.inlining import body_of, inline, needed_for
from tfgig.models.graphs.parsed import PARSERS
from tfgig.models.graphs.refusal import CannotExplain
from tfgig.models.graphs.row_trial import have_rows
from tfgig.models.graphs.ways import LOOK_UPS

_MOST_LOOKED_AT = 60  # tensors, to find one with rows


class NoFloats(CannotExplain):
    """A model takes no floats, nor makes any of its inputs alone.

    Args:
        received: The inputs, and what was loaded.
        found: The first floats that it computes.
    """

    def __init__(self, received: str, found: Sequence[tf.Tensor]) -> None:
        self._received, self._found = received, found
        super().__init__(self._words(None))

    def names_among(self, layers: Sequence[str]) -> list[str]:
        """What the user may call the first floats: layers, or operations where none are known."""
        named = (layer_of(tensor, layers) for tensor in self._found)
        return [name for name in named if name is not None]

    def advising(self, layer: str | None) -> CannotExplain:
        """The same with a layer to name."""
        return CannotExplain(self._words(layer))

    def _words(self, layer: str | None) -> str:
        known = f", such as layer={layer!r}" if layer else ""
        return (
            "A gradient needs floating-point numbers, and the model has no float input. Explain it "
            f"at the first layer with float output{known}: load_model(handle, layer=...) "
            f"(--layer=...). Received: {self._received}."
        )


def decoded_of(serve: Concrete, inputs: Sequence[tf.TensorSpec], where: str) -> list[tf.Tensor]:
    """The first floats that a model without float inputs makes of one of them alone.

    That is what comes out of a cast of pixels, of the parsing of tf.Example, of the decoding of
    images; of sparse features, once they are filled up. Where ids are looked up in a table, there
    is nothing to explain before the table, and the user names the layer.

    Args:
        serve: The model: its inputs to `ModelOutputs`.
        inputs: What it takes.
        where: What was loaded, for the error.

    Raises:
        NoFloats: there are no such floats.
    """
    found = _first_floats(*body_of(serve))
    decoded = [tensor for tensor in found if is_decoded(tensor)]
    looked_up = [tensor for tensor in found if tensor.op.type in LOOK_UPS]
    if looked_up and not any(origin_of(tensor).type in PARSERS for tensor in decoded):
        decoded = []
    if not decoded:
        names = " and ".join(f"{spec.name!r} ({spec.dtype.name})" for spec in inputs)
        raise NoFloats(f"the input {names} of {where}", looked_up or found)
    return decoded


def names_of_rows(
    serve: Concrete,
    inputs: Sequence[tf.TensorSpec],
    examples: Examples,
    layers: Sequence[str] = (),
) -> list[str]:
    """The names of what is computed from floats without rows, and has rows again; in order.

    Such as what the embeddings of a bag of words are combined to. Of operations or, if the layers
    are known, of these.

    Args:
        serve: The model: its inputs to `ModelOutputs`.
        inputs: What it takes.
        examples: Rows that it may take.
        layers: The names that the user may choose among; none for those in the graph.
    """
    passed = [t for t in on_the_way(*body_of(serve)) if t.shape.rank != 0][:_MOST_LOOKED_AT]

    def fetch(*values):
        return inline(serve, values, {}, wanted=[tensor.name for tensor in passed])

    held = have_rows(concrete(fetch, *inputs), examples)
    if held is None:
        return []
    without = [tensor for tensor, holds in zip(passed, held, strict=True) if not holds]
    behind = {op.name for tensor in without for op in reached_from(tensor)}
    named = [
        layer_of(tensor, layers)
        for tensor, holds in zip(passed, held, strict=True)
        if holds and tensor.op.name in behind
    ]
    return [name for name in named if name is not None]


def cut_at_tensors(
    serve: Concrete,
    inputs: Sequence[tf.TensorSpec],
    tensors: Sequence[tf.Tensor],
    where: str,
    names: Sequence[str] = (),
) -> Cut:
    """The cut at tensors of the model's graph, of which some may be its inputs.

    Args:
        serve, inputs, where: As for `decoded_of`.
        tensors: What is explained, in the body of `serve`.
        names: What each is called; none for words of the graph's.

    Raises:
        ValueError: a tensor has no rows, or the outputs do not depend on one of several.
    """
    names = list(names) or names_of(tensors, serve, inputs)
    body, _ = body_of(serve)
    # In the body of a call, the order of the inputs is another.
    known = serve.graph.inputs[: len(inputs)] if body is serve.graph else []
    given = {t.name: index for index, t in enumerate(known)}
    specs = []
    for tensor, name in zip(tensors, names, strict=True):
        shape = tensor.shape
        if shape.rank is None or shape.rank < 1 or shape[0] is not None:
            raise CannotExplain(
                "The explained tensor must have the batch as its first axis, [None, ...], and a "
                f"known rank. Received: {tensor.op.name!r} of shape {shape} in {where}."
            )
        at_input = tensor.name in given
        specs.append(
            inputs[given[tensor.name]] if at_input else tf.TensorSpec(shape, tensor.dtype, name)
        )
    if len(tensors) > 1:
        _check_each_matters(serve, tensors, names, given)
    inner = [tensor for tensor in tensors if tensor.name not in given]

    def front(*values):
        made = iter(inline(serve, values, {}, wanted=[t.name for t in inner]) if inner else ())
        return [values[given[t.name]] if t.name in given else next(made) for t in tensors]

    def forward(explained, *values):
        instead = {tensor.name: value for tensor, value in zip(tensors, explained, strict=True)}
        passed = list(values)
        for name in given.keys() & instead.keys():
            passed[given[name]] = instead.pop(name)
        return inline(serve, passed, {}, instead)

    return cut_behind(tuple(specs), front, forward, inputs)


def _check_each_matters(
    serve: Concrete,
    tensors: Sequence[tf.Tensor],
    names: Sequence[str],
    given: Collection[str],
) -> None:
    """Raises `ValueError` if nothing of the outputs comes through one of several tensors alone."""
    body, every = body_of(serve)
    outputs = [tensor for tensor in every if tensor.dtype.is_floating]
    passing = needed_for(outputs, {tensor.name for tensor in tensors})
    used = {t.name for op in body.get_operations() if op.name in passing for t in op.inputs}
    for tensor, name in zip(tensors, names, strict=True):
        if tensor.name not in given and tensor.name not in used:
            raise CannotExplain(
                "Each of several places must contribute to the score without passing through the "
                f"others; {name!r} reaches the output only through others, or not at all. Leave it "
                f"out. Received: {', '.join(names)}."
            )


def _carries(tensor: tf.Tensor) -> bool:
    """Whether a gradient may flow through a tensor: floats, and lists of them."""
    return tensor.dtype.is_floating or tensor.dtype in (tf.variant, tf.resource)


def _first_floats(body: tf.Graph, outputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The floats behind which the outputs are differentiable, and before which they are not."""
    first: dict[str, tuple[tf.Tensor, ...]] = {}  # by tensor: those that it is computed from
    for op in in_order(body, outputs):
        carried = [source for t in op.inputs if _carries(t) for source in first.get(t.name, ())]
        open_to_gradients = carried and missing_gradient(op.node_def) is None
        for output in op.outputs:
            if open_to_gradients and _carries(output):
                first[output.name] = tuple(dict.fromkeys(source.ref() for source in carried))
                first[output.name] = tuple(ref.deref() for ref in first[output.name])
            elif output.dtype.is_floating and op.type != "Placeholder" and not is_sparse(output):
                first[output.name] = (output,)
    unique = {t.name: t for output in outputs for t in first.get(output.name, ())}
    return list(unique.values())
