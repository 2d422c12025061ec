"""Cuts in graphs: behind what parses or decodes the inputs, or at a tensor by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import tensorflow as tf

from tfgig.models.graphs.cut import Concrete, Cut, concrete, cut_behind
from tfgig.models.graphs.examples import Examples
from tfgig.models.graphs.gradients import missing_gradient, own_name, reached_from
from tfgig.models.graphs.graph_names import (
    PARSERS,
    is_decoded,
    is_sparse,
    layer_of,
    names_of,
    origin_of,
)
from tfgig.models.graphs.inlining import body_of, inline, needed_for, outputs_of
from tfgig.models.graphs.places import Survey
from tfgig.models.graphs.refusal import CannotExplain
from tfgig.models.graphs.row_trial import have_rows
from tfgig.models.graphs.ways import LOOK_UPS, inputs_of, ways_of, with_rows
from tfgig.spec import nearest

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
            "A gradient needs floating-point numbers, and the model takes none. Explain it at the "
            f"layer where its first ones come out{known}: load_model(handle, layer=...) "
            f"(--layer=...). Received: {self._received}."
        )


def cut_behind_decoding(serve: Concrete, inputs: Sequence[tf.TensorSpec], where: str) -> Cut:
    """The cut at the first floats that a model without float inputs makes of them.

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
    return cut_at_tensors(serve, inputs, decoded, where)


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
    passed = [t for t in _on_the_way(*body_of(serve)) if t.shape.rank != 0][:_MOST_LOOKED_AT]

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
    serve: Concrete, inputs: Sequence[tf.TensorSpec], tensors: Sequence[tf.Tensor], where: str
) -> Cut:
    """The cut at tensors of the model's graph."""
    names = names_of(tensors, serve, inputs)
    specs = []
    for tensor, name in zip(tensors, names, strict=True):
        shape = tensor.shape
        if shape.rank is None or shape.rank < 1 or shape[0] is not None:
            raise CannotExplain(
                "What is explained must have the batch as its first axis, [None, ...], and a known "
                f"rank. Received: {tensor.op.name!r} of shape {shape} in {where}."
            )
        specs.append(tf.TensorSpec(shape, tensor.dtype, name))

    def front(*values):
        return inline(serve, values, {}, wanted=[tensor.name for tensor in tensors])

    def forward(explained, *values):
        instead = {t.name: value for t, value in zip(tensors, explained, strict=True)}
        return inline(serve, values, {}, instead)

    return cut_behind(tuple(specs), front, forward, inputs)


def cut_at_layer(
    serve: Concrete, inputs: Sequence[tf.TensorSpec], where: str, layer: str | None
) -> Cut:
    """The cut at the output of a layer, an operation or a name scope of the model's graph.

    Args:
        serve, inputs, where: As for `cut_behind_decoding`.
        layer: The name; None for the last tensor [B, height, width, channels].

    Raises:
        ValueError: there is no such layer, or it has not one output of floats.
    """
    passed = list(_on_the_way(*body_of(serve)))
    if layer is None:
        found = [t for t in passed if t.shape.rank == 4 and 1 not in t.shape[1:3]][-1:]
    else:
        found = [t for t in passed if layer in (own_name(t.op.node_def), t.op.name)]
        scopes = [] if found else _scopes_of(passed, layer)
        if len(scopes) > 1:
            raise CannotExplain(
                f"Several scopes of the graph have this name, which Keras numbers anew when it "
                f"saves: {', '.join(scopes)}. Name one of them whole. Received: layer={layer!r} "
                f"for {where}."
            )
        found = found or [t for scope in scopes for t in _leaving(passed, scope)]
    if len(found) != 1:
        among = "it has several outputs" if found else "there is none such"
        raise CannotExplain(
            f"`layer` names one layer, scope or operation of floats; {among}. "
            f"{nearest(layer or '', _nameable(found or passed))} Received: layer={layer!r} for "
            f"{where}."
        )
    return cut_at_tensors(serve, inputs, found, where)


def survey(serve: Concrete, inputs: Sequence[tf.TensorSpec], output: str | None) -> Survey:
    """The places of a model: its name scopes with one output, and its operations.

    Args:
        serve, inputs: As for `cut_behind_decoding`.
        output: The name of the explained output; None for the first.
    """
    traced = concrete(lambda *values: inline(serve, values, {}), *with_rows(inputs))
    passed = list(_on_the_way(traced.graph, outputs_of(traced)))

    def tensor_of(name):
        found = _named(passed, name)
        return found[0] if len(found) == 1 else None

    def name_of(tensor):
        whole = own_name(tensor.op.node_def)
        scope = whole.rpartition("/")[0]
        short = re.sub(r"_\d+$", "", scope.rpartition("/")[2])
        for name in (short, scope) if scope else ():
            leaving = [other.name for other in _leaving(passed, scope)]
            if leaving == [tensor.name] and _scopes_of(passed, name) == [scope]:
                return name
        return whole

    given = inputs_of(traced, inputs)
    return Survey(ways_of(traced, list(given.values()), output), given, name_of, tensor_of)


def _named(passed: Sequence[tf.Tensor], name: str) -> list[tf.Tensor]:
    """The tensors that a name may mean: of operations, or of what leaves a scope."""
    found = [t for t in passed if name in (own_name(t.op.node_def), t.op.name)]
    return found or [t for scope in _scopes_of(passed, name) for t in _leaving(passed, scope)]


def _arguments(body: tf.Graph) -> list[tf.Tensor]:
    """The body's inputs without the variables and tables that it captures."""
    return [tensor for tensor in body.inputs if tensor.dtype not in (tf.resource, tf.variant)]


def _carries(tensor: tf.Tensor) -> bool:
    """Whether a gradient may flow through a tensor: floats, and lists of them."""
    return tensor.dtype.is_floating or tensor.dtype in (tf.variant, tf.resource)


def _in_order(body: tf.Graph, outputs: Sequence[tf.Tensor]) -> Iterator[tf.Operation]:
    """The operations that the inputs reach and the outputs need, in an order of computation."""
    needed = needed_for([tensor for tensor in outputs if tensor.dtype.is_floating])
    reached = {tensor.op.name for tensor in _arguments(body)}
    for op in body.get_operations():  # they are listed as they were made, inputs first
        if op.name in reached or any(tensor.op.name in reached for tensor in op.inputs):
            reached.add(op.name)
            if op.name in needed:
                yield op


def _first_floats(body: tf.Graph, outputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The floats behind which the outputs are differentiable, and before which they are not."""
    first: dict[str, tuple[tf.Tensor, ...]] = {}  # by tensor: those that it is computed from
    for op in _in_order(body, outputs):
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


def _on_the_way(body: tf.Graph, outputs: Sequence[tf.Tensor]) -> Iterator[tf.Tensor]:
    """The floats between the inputs and the outputs, in order."""
    for op in _in_order(body, outputs):
        yield from (t for t in op.outputs if t.dtype.is_floating and op.type != "Placeholder")


def _scopes_of(tensors: Sequence[tf.Tensor], layer: str) -> list[str]:
    """The name scopes that a name may mean: itself, or what Keras made of it when it saved."""
    paths = [own_name(tensor.op.node_def).split("/")[:-1] for tensor in tensors]
    every = {"/".join(path[: depth + 1]) for path in paths for depth in range(len(path))}
    if "/" in layer:
        return [layer] if layer in every else []
    pattern = re.compile(rf"{re.escape(layer)}(_\d+)?")
    return sorted(scope for scope in every if pattern.fullmatch(scope.rpartition("/")[2]))


def _leaving(tensors: Sequence[tf.Tensor], scope: str) -> list[tf.Tensor]:
    """What is computed in a name scope and used outside of it."""

    def inside(op: tf.Operation) -> bool:
        return own_name(op.node_def).startswith(f"{scope}/")

    return [
        tensor
        for tensor in tensors
        if inside(tensor.op)
        and any(not inside(op) and op.type not in ("Shape", "NoOp") for op in tensor.consumers())
    ]


def _nameable(tensors: Sequence[tf.Tensor]) -> list[str]:
    """Scopes, outer ones first, and operations that are in none."""
    paths = [own_name(tensor.op.node_def).split("/") for tensor in tensors]
    names = [name for depth in range(8) for path in paths for name in path[:-1][depth : depth + 1]]
    names += [path[0] for path in paths if len(path) == 1]
    return list(dict.fromkeys(names))[:40]
