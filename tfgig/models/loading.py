"""SavedModels as they are loaded: which graph, and which signatures it has."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

# The registry of operations has no public name.
from tensorflow.python.framework import op_def_registry

from tfgig.spec import nearest

CALL = "__call__"
SERVING_DEFAULT = "serving_default"
_DEFAULTS = (SERVING_DEFAULT, "default")  # the latter is what TensorFlow 1 hub modules have


@dataclasses.dataclass(frozen=True)
class Signature:
    """A signature of a loaded object: its inputs by name, and the function that takes them."""

    name: str
    inputs: dict[str, tf.TensorSpec]
    call: Callable[..., Any]


def meta_graph_of(directory: pathlib.Path) -> meta_graph_pb2.MetaGraphDef:
    """The graph that is served: the one with the tag "serve", or with no tag, or the only one.

    Raises:
        ValueError: the file is damaged, or has several graphs and none of these.
    """
    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString((directory / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise ValueError(
            f"'saved_model.pb' is damaged or was cut short; copy it again ({error}). "
            f"Received: {str(directory)!r}."
        ) from error
    graphs = {tuple(sorted(graph.meta_info_def.tags)): graph for graph in saved.meta_graphs}
    for tags in (("serve",), ()):
        if tags in graphs:
            return graphs[tags]
    if len(graphs) != 1:
        raise ValueError(
            'One graph of a SavedModel is served: the one with the tag "serve". '
            f"Received: {str(directory)!r} with the tags {[list(tags) for tags in graphs]}."
        )
    return next(iter(graphs.values()))


def load(directory: pathlib.Path, meta_graph: meta_graph_pb2.MetaGraphDef) -> Any:
    """The loaded object.

    Args:
        directory: The directory that holds `saved_model.pb`.
        meta_graph: Which of its graphs.

    Raises:
        ValueError: it needs an operation that TensorFlow does not have.
    """
    unknown = unknown_operations(meta_graph.graph_def)
    if unknown:
        raise ValueError(
            f"The model needs operations that TensorFlow does not have: {', '.join(unknown)}. "
            "Load the library that defines them first, with tf.load_op_library(...); every server "
            f"of the model needs it, too. Received: {str(directory)!r}."
        )
    return tf.saved_model.load(str(directory), tags=list(meta_graph.meta_info_def.tags))


def unknown_operations(definition: tf.compat.v1.GraphDef) -> list[str]:
    """The types of operations in a graph that this process cannot run."""
    functions = {function.signature.name for function in definition.library.function}
    used = {node.op for node in definition.node}
    for function in definition.library.function:
        used.update(node.op for node in function.node_def)
    return sorted(name for name in used - functions if op_def_registry.get(name) is None)


def signatures_of(loaded: Any) -> dict[str, Signature]:
    """The signatures of a loaded object and, as `__call__`, its own call if it has one."""
    found = {}
    for name, function in loaded.signatures.items():
        _, inputs = function.structured_input_signature
        found[name] = Signature(name, dict(inputs), function)
    call = getattr(loaded, CALL, None)
    for function in getattr(call, "concrete_functions", ()):
        arguments, named = function.structured_input_signature
        rest = [*arguments[1:], *named.values()]
        if not arguments or not isinstance(arguments[0], tf.TensorSpec) or True in rest:
            continue  # several inputs, or a function for training
        if any(isinstance(value, tf.TensorSpec) for value in rest):
            continue
        name = arguments[0].name or "inputs"
        found[CALL] = Signature(CALL, {name: arguments[0]}, _calling(function, name, rest))
        break
    return found


def _calling(function: Callable[..., Any], name: str, rest: list[Any]) -> Callable[..., Any]:
    return lambda **inputs: function(inputs[name], *rest)


def choose(loaded: Any, name: str | None, where: str) -> Signature:
    """The signature of that name; for None `serving_default`, or the only one.

    Raises:
        ValueError: there is none such, or it is not clear which.
    """
    found = signatures_of(loaded)
    if not found:
        raise ValueError(
            "The SavedModel has no signatures and cannot be called: it holds weights only. Save "
            f"it with tf.saved_model.save(model, path, signatures=...). Received: {where}."
        )
    if name is not None:
        if name not in found:
            raise ValueError(f"No such signature. {nearest(name, found)} Received: {name!r}.")
        return found[name]
    for default in _DEFAULTS:
        if default in found:
            return found[default]
    if len(found) > 1 and CALL not in found:
        raise ValueError(
            f"The SavedModel has several signatures; choose one with signature=... "
            f"Received: {where} with {', '.join(found)}."
        )
    return found[CALL] if CALL in found else next(iter(found.values()))
