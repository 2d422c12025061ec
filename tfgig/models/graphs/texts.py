"""The texts of the positions of a sequence, where a model looks strings up inside its graph.

A client cannot know how the graph cut a sentence. So the graph is run once more with numbers in the
place of what the table answers: which number comes out at a position says which string went in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfgig.models.graphs.cut import Cut
from tfgig.models.graphs.inlining import body_of, inline, needed_for
from tfgig.models.graphs.ways import LOOK_UPS
from tfgig.tracing import concrete

_TABLES = ("LookupTableFind", "LookupTableFindV2")
_HASHES = ("StringToHashBucket", "StringToHashBucketFast", "StringToHashBucketStrong")
# By the operation's type, which of its inputs it moves without changing it.
_MOVING = {
    "Cast": 0,
    "ExpandDims": 0,
    "Identity": 0,
    "Pad": 0,
    "PadV2": 0,
    "RaggedTensorToTensor": 1,
    "Reshape": 0,
    "Slice": 0,
    "Squeeze": 0,
    "StridedSlice": 0,
}
_ELEMENTWISE = (
    *("Add", "AddV2", "Cast", "Equal", "FloorMod", "GreaterEqual", "Greater", "Identity", "Less"),
    *("LessEqual", "Maximum", "Minimum", "Mul", "NotEqual", "SelectV2", "Sub"),
)
_FIRST = 1 << 24  # numbers of strings start here, beyond the ids that padding may have


def texts_of(cut: Cut, inputs: Sequence[tf.TensorSpec]) -> Callable[..., tf.Tensor] | None:
    """The model's inputs to the texts, string [B, positions], "" where there is padding.

    Args:
        cut: Where the model is explained: points [B, positions, features].
        inputs: What the model takes.

    Returns:
        None where the graph does not show which string a position comes from: there is no look-up
        of strings or several, or what is looked up is computed with before it is a position.
    """
    if cut.parts or cut.points.shape.rank != 3:
        return None
    if not any(spec.dtype == tf.string for spec in inputs):
        return None
    front = concrete(lambda *values: cut.front(*values)[0], *inputs)
    graph, outputs = body_of(front)
    needed = needed_for(outputs)
    every = [op for op in graph.get_operations() if op.name in needed and _looks_up(op)]
    # Beside a table a hash is for what the table does not know.
    found = [op for op in every if op.type in _TABLES] or every
    at = _positions(graph, found[0], cut.points.shape[1]) if len(found) == 1 else None
    if at is None or not _embedded(graph, needed, at):
        return None
    strings, answer = _strings(found[0]).name, found[0].outputs[0]

    def read(*values: tf.Tensor) -> tf.Tensor:
        (looked_up,) = inline(front, values, {}, wanted=[strings])
        flat = tf.reshape(looked_up, [-1])
        numbers = _FIRST + tf.range(tf.size(flat))
        numbers = tf.reshape(tf.cast(numbers, answer.dtype), tf.shape(looked_up))
        (moved,) = inline(front, values, {}, {answer.name: numbers}, wanted=[at.name])
        index = tf.maximum(tf.cast(moved, tf.int64) - (_FIRST - 1), 0)
        texts = tf.gather(tf.concat([[""], flat], 0), index)
        return tf.ensure_shape(texts, [None, cut.points.shape[1]])

    return read


def _looks_up(op: tf.Operation) -> bool:
    return op.type in (*_TABLES, *_HASHES) and _strings(op).dtype == tf.string


def _strings(op: tf.Operation) -> tf.Tensor:
    return op.inputs[1 if op.type in _TABLES else 0]


def _positions(graph: tf.Graph, look_up: tf.Operation, count: int | None) -> tf.Tensor | None:
    """The last tensor [B, positions] that holds what was looked up, only moved."""
    moved, found = {look_up.outputs[0].name}, None
    for op in graph.get_operations():  # in an order of computation
        if op is not look_up and not _moves(op, moved):
            continue
        output = op.outputs[0]
        moved.add(output.name)
        if output.shape.rank == 2 and output.shape[1:].is_compatible_with([count]):
            found = output
    return found


def _embedded(graph: tf.Graph, needed: set[str], at: tf.Tensor) -> bool:
    """Whether all that is gathered by the ids stays at their positions on the way there."""
    derived, in_place, gathered = {at.name}, {at.name}, False
    for op in graph.get_operations():
        names = {tensor.name for tensor in op.inputs}
        if op.name not in needed or not names & derived:
            continue
        if op.type in LOOK_UPS:
            if op.inputs[1].name not in in_place:
                return False
            gathered = True
            continue  # what is embedded has positions; what becomes of it is not followed
        derived.update(tensor.name for tensor in op.outputs)
        if op.type in _ELEMENTWISE and names & derived <= in_place:
            in_place.add(op.outputs[0].name)
    return gathered


def _moves(op: tf.Operation, moved: set[str]) -> bool:
    """Whether an operation moves some of the values that are known to be only moved.

    A choice does, such as that of the mask for an empty string. Where the choice itself depends on
    what is looked up, only one that takes numbers beyond all ids for what they are.
    """
    if op.type == "SelectV2":
        condition, chosen, other = op.inputs
        by_value = any(tensor.name in moved for tensor in condition.op.inputs)
        if by_value and condition.op.type not in ("Equal", "Less"):
            return False
        return other.name in moved or (chosen.name in moved and not by_value)
    at = _MOVING.get(op.type)
    return at is not None and op.inputs[at].name in moved
