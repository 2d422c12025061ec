"""Tensors of a graph by their names: operations, and the name scopes that layers are saved as."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import tensorflow as tf

from tfgig.models.graphs.cut import Concrete, concrete
from tfgig.models.graphs.gradients import own_name
from tfgig.models.graphs.inlining import body_of, inline, needed_for, outputs_of
from tfgig.models.graphs.places import Survey
from tfgig.models.graphs.refusal import CannotExplain
from tfgig.models.graphs.ways import inputs_of, ways_of, with_rows
from tfgig.spec import nearest


def find(
    serve: Concrete, where: str, names: Sequence[str]
) -> tuple[Concrete, list[list[tf.Tensor]], list[str]]:
    """The tensors of layers, operations or name scopes of the model's graph.

    Args:
        serve, where: As for `graph_cut.decoded_of`.
        names: Of the layers.

    Returns:
        The model; for each name the tensor in its body; and what they are called: if there is
        one, as the graph does.

    Raises:
        ValueError: there is no such layer, or it has not one output of floats or whole numbers.
    """
    body, outputs = body_of(serve)
    passed = list(on_the_way(body, outputs))
    whole = [t for op in in_order(body, outputs) for t in op.outputs if t.dtype.is_integer]
    tensors = [[_tensor_of(passed, whole, name, where)] for name in names]
    return serve, tensors, list(names) if len(names) > 1 else []


def _tensor_of(
    passed: Sequence[tf.Tensor], whole: Sequence[tf.Tensor], layer: str, where: str
) -> tf.Tensor:
    """The one tensor that a name means: of floats, or else of whole numbers, as ids are."""
    if not _named(passed, layer) and len(of_ids := _named(whole, layer)) == 1:
        return of_ids[0]
    found = [t for t in passed if layer in (own_name(t.op.node_def), t.op.name)]
    if not found:
        scopes = _scopes_of(passed, layer)
        if len(scopes) > 1:
            raise CannotExplain(
                "Several scopes of the graph have this name, because Keras renumbers names when it "
                f"saves: {', '.join(scopes)}. Give the full name of one, or of all uses of a layer "
                f"that is used several times. Received: layer={layer!r} for {where}."
            )
        found = [t for scope in scopes for t in _leaving(passed, scope)]
    if len(found) != 1:
        among = "it has several outputs" if found else "there is none of this name"
        raise CannotExplain(
            f"`layer` must name one layer, scope or operation with float output; {among}. "
            f"{nearest(layer, _nameable(found or passed))} Received: layer={layer!r} for {where}."
        )
    return found[0]


def survey(serve: Concrete, inputs: Sequence[tf.TensorSpec], output: str | None) -> Survey:
    """The places of a model: its name scopes with one output, and its operations.

    Args:
        serve, inputs: As for `graph_cut.decoded_of`.
        output: The name of the explained output; None for the first.
    """
    traced = concrete(lambda *values: inline(serve, values, {}), *with_rows(inputs))
    passed = list(on_the_way(traced.graph, outputs_of(traced)))

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


def on_the_way(body: tf.Graph, outputs: Sequence[tf.Tensor]) -> Iterator[tf.Tensor]:
    """The floats between the inputs and the outputs, in order."""
    for op in in_order(body, outputs):
        yield from (t for t in op.outputs if t.dtype.is_floating and op.type != "Placeholder")


def in_order(body: tf.Graph, outputs: Sequence[tf.Tensor]) -> Iterator[tf.Operation]:
    """The operations that the inputs reach and the outputs need, in an order of computation."""
    needed = needed_for([tensor for tensor in outputs if tensor.dtype.is_floating])
    reached = {tensor.op.name for tensor in _arguments(body)}
    for op in body.get_operations():  # they are listed as they were made, inputs first
        if op.name in reached or any(tensor.op.name in reached for tensor in op.inputs):
            reached.add(op.name)
            if op.name in needed:
                yield op


def _arguments(body: tf.Graph) -> list[tf.Tensor]:
    """The body's inputs without the variables and tables that it captures."""
    return [tensor for tensor in body.inputs if tensor.dtype not in (tf.resource, tf.variant)]


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
