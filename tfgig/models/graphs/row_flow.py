"""What a graph shows of rows: whether row i of a tensor depends on row i of the inputs alone.

A tensor is free of the inputs, or tells only their sizes, or holds rows: its first axis is the
batch, or so many times the batch (`[batch * positions, width]`), and what belongs to one example
depends on nothing of another. Of all else nothing is claimed. Recurrence, sparse tensors and
control flow are such; they are tried out instead (`row_trial.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfgig.models.graphs.cut import Concrete
from tfgig.models.graphs.inlining import CALLS, called, needed_for
from tfgig.models.graphs.row_rules import FREE, SIZES, State, of_rows

_READING = (  # stateful, and yet the same at each call
    *("ReadVariableOp", "VarHandleOp", "VariableV2", "Variable", "ResourceGather", "Assert"),
    *("HashTableV2", "MutableHashTableV2", "LookupTableFindV2", "LookupTableSizeV2", "Placeholder"),
)


def rows_shown(function: Concrete, count: int, outputs: Sequence[tf.Tensor]) -> bool:
    """Whether the graph shows that outputs hold the rows of the first `count` inputs.

    Args:
        function: Whose graph it is.
        count: How many of its arguments hold rows; the others are captured.
        outputs: Tensors of its graph.
    """
    graph = function.graph
    states: list[State] = [1] * count + [FREE] * (len(graph.inputs) - count)
    return all(state == 1 for state in _outputs(graph, states, outputs))


def _outputs(graph: tf.Graph, inputs: Sequence[State], outputs: Sequence[tf.Tensor]) -> list[State]:
    known = {tensor.name: state for tensor, state in zip(graph.inputs, inputs, strict=True)}
    needed = needed_for(outputs)
    for op in graph.get_operations():  # as they were made, so inputs come first
        if op.name not in needed or (op.outputs and op.outputs[0].name in known):
            continue
        found = _of(op, [known.get(tensor.name) for tensor in op.inputs])
        several = found if isinstance(found, list) else [found] * len(op.outputs)
        known |= {t.name: state for t, state in zip(op.outputs, several, strict=True)}
        if found is None and op.op_def.is_stateful:
            return [None] * len(outputs)  # it may change what others read
    return [known.get(tensor.name) for tensor in outputs]


def _of(op: tf.Operation, states: Sequence[State]) -> State | list[State]:
    """What the outputs of an operation are, given what its inputs are."""
    if op.type == "IdentityN":
        return list(states)
    if op.type in CALLS:
        body = called(op.graph, op)
        return _outputs(body, states, body.outputs)
    if op.op_def is None or (op.op_def.is_stateful and op.type not in _READING):
        return None
    if None in states:
        return None
    if not any(isinstance(state, int) for state in states):
        return _without_rows(op, states)
    return of_rows(op, states)


def _without_rows(op: tf.Operation, states: Sequence[State]) -> State:
    if SIZES not in states:
        return FREE
    if op.type in ("BroadcastTo", "Tile", "Fill"):
        # One row, such as the token of the class, for every example: where it meets rows, which
        # have as many, it is a row of each.
        one = op.inputs[1 if op.type == "Fill" else 0].shape
        sizes = states[0 if op.type == "Fill" else 1]
        repeated = one.rank is not None and (one.rank == 0 or one[0] == 1) and sizes == SIZES
        open_batch = op.outputs[0].shape.rank and op.outputs[0].shape[0] is None
        return 1 if repeated and open_batch else SIZES
    return SIZES
