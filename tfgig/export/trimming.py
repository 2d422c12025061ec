"""Takes out of a written graph what its tracing noted and no runtime reads.

Each argument of each function carries a name of its own, a static shape and, if it is a weight,
that weight's type and shape: all of them, for every weight, in every function that hands it on. A
server copies all functions many times when it optimises the graph of one signature, so the notes
are a quarter of its work.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Collection, Iterable, Iterator

import tensorflow as tf
from tensorflow.core.framework import function_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tfgig.models.graphs.tensorflow_private import write_fingerprint

_FILE = "saved_model.pb"
_SHAPES_OF_ARGUMENTS = "_input_shapes"
_SHAPES_OF_OUTPUTS = "_output_shapes"


def trim(directory: str | os.PathLike, signatures: Collection[str]) -> None:
    """Trims the functions that only some signatures call; what they compute stays, bit for bit.

    What the other signatures call keeps its notes, so that a model can be loaded from there with
    all that is known of it. So do the functions that Python calls by name, but for the weights'.

    Args:
        directory: A SavedModel's, as `tf.saved_model.save` wrote it.
        signatures: The names of the signatures.

    Raises:
        OSError, tf.errors.OpError: the graph cannot be written again.
    """
    path = pathlib.Path(directory) / _FILE
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for graph in saved.meta_graphs:
        for function in _behind(graph, signatures):
            _trim_weights(function)
            if function.signature.name not in graph.object_graph_def.concrete_functions:
                _trim_shapes(function)
    path.write_bytes(saved.SerializeToString(deterministic=True))
    write_fingerprint(directory)


def _behind(
    graph: meta_graph_pb2.MetaGraphDef, signatures: Collection[str]
) -> list[function_pb2.FunctionDef]:
    """The functions that stand behind some signatures, and nowhere else."""
    functions = {f.signature.name: f for f in graph.graph_def.library.function}
    answers = {
        output.name.partition(":")[0]
        for name in signatures
        for output in graph.signature_def[name].outputs.values()
    }
    nodes = graph.graph_def.node
    ours = _called(functions, (node for node in nodes if node.name in answers))
    others = _called(functions, (node for node in nodes if node.name not in answers))
    return [functions[name] for name in ours - others]


def _called(
    functions: dict[str, function_pb2.FunctionDef], nodes: Iterable[node_def_pb2.NodeDef]
) -> set[str]:
    """The names of the functions that nodes call, and those call in turn."""
    found: set[str] = set()
    new = {name for node in nodes for name in _names(node)}
    while new:
        found |= new
        bodies = (functions[name].node_def for name in new)
        new = {name for body in bodies for node in body for name in _names(node)} - found
    return found


def _names(node: node_def_pb2.NodeDef) -> Iterator[str]:
    """The functions in a node's attributes."""
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)


def _trim_weights(function: function_pb2.FunctionDef) -> None:
    """Removes the names of weights, and the types of those that are only handed on."""
    readers = (node for node in function.node_def if not any(_names(node)))
    read = {name for node in readers for name in node.input}
    for index, argument in enumerate(function.signature.input_arg):
        if argument.type == tf.resource.as_datatype_enum:
            function.arg_attr.pop(index, None)
            if argument.name not in read:
                del argument.handle_data[:]


def _trim_shapes(function: function_pb2.FunctionDef) -> None:
    function.attr.pop(_SHAPES_OF_ARGUMENTS, None)
    for node in function.node_def:
        node.attr.pop(_SHAPES_OF_OUTPUTS, None)
