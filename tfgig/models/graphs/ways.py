"""The ways that gradients take through a graph, and the tensors that all of them lead through."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import tensorflow as tf

from tfgig.models.graphs.costs import ROWS
from tfgig.models.graphs.cut import Concrete
from tfgig.models.graphs.gradients import missing_gradient
from tfgig.models.graphs.inlining import needed_for

LOOK_UPS = ("Gather", "GatherV2", "ResourceGather", "GatherNd", "ResourceGatherNd")
_CONSTANT = ("ZerosLike", "OnesLike")
SIZES = ("Shape", "ShapeN", "Size", "Rank", *_CONSTANT)  # which say nothing of values
_MASKS = ("Select", "SelectV2")


class Ways:
    """The ways of gradients through a traced graph, from what is explained to a score.

    Args:
        graph: The model, traced with `ROWS` examples.
        inputs: Its inputs in the graph.
        score: What is explained, in the graph.
    """

    def __init__(self, graph: tf.Graph, inputs: Sequence[tf.Tensor], score: tf.Tensor) -> None:
        self.score = score
        needed = needed_for([score])
        # They are listed as they were made, so in an order of computation.
        self.operations = [op for op in graph.get_operations() if op.name in needed]
        self.sources = _sources(self.operations, inputs)
        self.ways = ways_from(self.sources, self.operations)
        if score.op not in self.ways and all(tensor is not score for tensor in self.sources):
            # What lies behind the operations at which gradients end can be explained all the same.
            behind = _first_floats(self.operations, inputs, self.sources)
            self.sources = [t for t in behind if score.op in ways_from([t], self.operations)]
            self.ways = ways_from(self.sources, self.operations)

    @property
    def looks_up(self) -> bool:
        """Whether what is explained is looked up in a table, as words are."""
        return any(source.op.type in LOOK_UPS for source in self.sources)

    @functools.cached_property
    def cuts(self) -> list[tf.Tensor]:
        """The tensors that every way to the score leads through, in order."""
        return self.cuts_of(self.sources)

    def cuts_of(self, sources: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Those that every way from some of the sources leads through."""
        ways = ways_from(sources, self.operations)
        if self.score.op not in ways and all(t is not self.score for t in sources):
            return []
        last_use = {t.name: index for index, op in enumerate(ways) for t in op.inputs}
        last_use[self.score.name] = len(ways)
        # In an order of computation, a tensor is on every way if no other passes it by.
        passing = {tensor.name for tensor in sources if tensor.name in last_use}
        found = [tensor for tensor in sources if passing == {tensor.name}]
        for index, op in enumerate(ways):
            passing = {name for name in passing if last_use[name] > index}
            passing |= {t.name for t in op.outputs if last_use.get(t.name, -1) > index}
            found += [tensor for tensor in op.outputs if passing == {tensor.name}]
        return found

    def behind(self, tensor: tf.Tensor) -> list[tf.Operation]:
        """The operations on the ways from a tensor on."""
        return ways_from([tensor], self.operations)

    def goes_round(self, tensors: Sequence[tf.Tensor]) -> bool:
        """Whether a way leads from what tensors are computed from to the score, and round them."""
        behind = needed_for(tensors)
        apart = {tensor.name for tensor in tensors}
        own = [t for t in self.sources if t.op.name in behind and t.name not in apart]
        # Of what goes on from them, all that is not cut off.
        passing = {tensor.name for tensor in own}
        for op in self.operations:
            if _passes_on(op) and any(tensor.name in passing for tensor in op.inputs):
                passing |= {t.name for t in op.outputs if _carries(t)} - apart
        return self.score.name in passing


def with_rows(inputs: Sequence[tf.TensorSpec]) -> list[tf.TensorSpec]:
    """The inputs of a graph whose batch can be told from its other axes."""
    return [tf.TensorSpec([ROWS, *spec.shape[1:]], spec.dtype, spec.name) for spec in inputs]


def inputs_of(traced: Concrete, inputs: Sequence[tf.TensorSpec]) -> dict[str, tf.Tensor]:
    """The inputs in the graph of a model, by name."""
    tensors = traced.graph.inputs[: len(inputs)]
    return {spec.name: tensor for spec, tensor in zip(inputs, tensors, strict=True)}


def ways_of(traced: Concrete, inputs: Sequence[tf.Tensor], output: str | None) -> Ways:
    """The ways through a model that was traced `with_rows`, to one of its outputs.

    Args:
        traced: The inputs to `ModelOutputs`.
        inputs: The inputs in its graph.
        output: The output's name; None for the first of floats.
    """
    values = traced.structured_outputs.values
    floats = [value for value in values.values() if value.dtype.is_floating]
    score = values.get(output, (floats or list(values.values()))[0])
    while score.op.type == "Identity":  # which a trace puts at its end
        score = score.op.inputs[0]
    return Ways(traced.graph, inputs, score)


def _sources(operations: Sequence[tf.Operation], inputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Where gradients end: the inputs of floats or, where there are none, the first floats."""
    made = set(operations)
    floats = [t for t in inputs if t.dtype.is_floating and t.op in made]
    return floats or _first_floats(operations, inputs, ())


def _first_floats(
    operations: Sequence[tf.Operation], inputs: Sequence[tf.Tensor], known: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    """The floats computed from the inputs to which no gradient comes from those that are known."""
    first: list[tf.Tensor] = []
    reached, carried = {tensor.op for tensor in inputs}, {tensor.name for tensor in known}
    for op in operations:
        if op.type in SIZES or not reached.intersection(tensor.op for tensor in op.inputs):
            continue
        reached.add(op)
        if any(tensor.name in carried for tensor in op.inputs) and _passes_on(op):
            carried |= {tensor.name for tensor in op.outputs if _carries(tensor)}
        elif not _is_mask(op):
            begin = [tensor for tensor in op.outputs if tensor.dtype.is_floating]
            carried |= {tensor.name for tensor in begin}
            first += begin
    return first


def ways_from(
    sources: Sequence[tf.Tensor], operations: Sequence[tf.Operation]
) -> list[tf.Operation]:
    """The operations that pass on what the sources hold, in order."""
    carried = {tensor.name for tensor in sources}
    found = []
    for op in operations:
        if any(tensor.name in carried for tensor in op.inputs) and _passes_on(op):
            carried |= {tensor.name for tensor in op.outputs if _carries(tensor)}
            found.append(op)
    return found


def _passes_on(op: tf.Operation) -> bool:
    return op.type not in _CONSTANT and missing_gradient(op.node_def) is None


def _carries(tensor: tf.Tensor) -> bool:
    """Whether a gradient may flow through a tensor: floats, and lists of them."""
    return tensor.dtype.is_floating or tensor.dtype in (tf.variant, tf.resource)


def _is_mask(op: tf.Operation) -> bool:
    """Whether the floats of an operation only say where something is."""
    return op.type in _MASKS or (op.type == "Cast" and op.inputs[0].dtype == tf.bool)
