"""Features of `tf.Example`: which tensors of a graph hold them, and what they are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from tfgig.models.graphs.tensorflow_private import function_graph

PARSERS = ("ParseExampleV2", "ParseExample", "ParseSingleExample")
Kind = Literal["dense", "sparse", "ragged"]
Constant = Callable[[str], np.ndarray | None]  # the value of what a node takes, if it is constant

_LOOPS = ("While", "StatelessWhile")
_INPUTS_OF_KEYS = {"sparse": 2, "dense": 3, "ragged": 4}  # of ParseExampleV2


def parsed_feature(tensor: tf.Tensor) -> tuple[str | None, Kind | None]:
    """The key of the feature whose values a parser's output holds, and of which kind it is."""
    op = tensor.op
    if op.type not in PARSERS:
        return None, None
    node = op.node_def
    sparse = node.attr["Nsparse" if op.type == "ParseExample" else "num_sparse"].i
    dense = len(node.attr["Tdense"].list.type)
    # All indices, all values and all shapes of sparse ones; dense ones; values of ragged ones.
    place = tensor.value_index
    kind: Kind = "sparse"
    if place >= 3 * sparse + dense:
        place, kind = place - 3 * sparse - dense, "ragged"
    elif place >= 3 * sparse:
        place, kind = place - 3 * sparse, "dense"
    else:
        place %= sparse
    keys = keys_of(node, lambda name: _constant_in(op.graph, name), kind)
    return (keys[place].decode() if place < len(keys) else None), kind


def keys_of(node: tf.compat.v1.NodeDef, constant: Constant, kind: Kind) -> Sequence[bytes]:
    """The names of the features of a kind that a node parses; none if they are not known."""
    if node.op == "ParseSingleExample":
        return list(node.attr[f"{kind}_keys"].list.s)
    if node.op == "ParseExample":
        sparse, dense = node.attr["Nsparse"].i, node.attr["Ndense"].i
        first, count = {"sparse": (2, sparse), "dense": (2 + sparse, dense)}.get(kind, (0, 0))
        found = [constant(name) for name in node.input[first : first + count]]
        keys = [np.ravel(key)[0] for key in found if key is not None]
        return keys if len(keys) == count else []
    every = constant(node.input[_INPUTS_OF_KEYS[kind]])
    return [] if every is None else every.reshape(-1).tolist()


def constant_among(nodes: Iterable[tf.compat.v1.NodeDef]) -> Constant:
    """The constants of a graph or a function, by what nodes call what they take."""
    known = {node.name: node for node in nodes if node.op == "Const"}

    def constant(name: str) -> np.ndarray | None:
        node = known.get(name.removeprefix("^").partition(":")[0])
        return None if node is None else tf.make_ndarray(node.attr["value"].tensor)

    return constant


def parsed_row_by_row(tensor: tf.Tensor) -> tf.Tensor | None:
    """Of the stacked results of a map over rows: what is stacked, in the body of its loop."""
    if tensor.op.type != "TensorListStack":
        return None
    stacked = tensor.op.inputs[0]
    while stacked.op.type == "Identity":
        stacked = stacked.op.inputs[0]
    if stacked.op.type not in _LOOPS:
        return None
    body = function_graph(stacked.graph, stacked.op.get_attr("body").name)
    written = body.outputs[stacked.value_index]
    while written.op.type == "Identity":
        written = written.op.inputs[0]
    return written.op.inputs[2] if written.op.type == "TensorListSetItem" else None


def _constant_in(graph: tf.Graph, name: str) -> np.ndarray | None:
    op = graph.get_operation_by_name(name.removeprefix("^").partition(":")[0])
    return tf.make_ndarray(op.get_attr("value")) if op.type == "Const" else None
