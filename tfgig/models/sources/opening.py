"""SavedModels as they are loaded: which graph, and which signatures it has."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.exported.directory import meta_graph_of, unloadable
from tfgig.exported.signatures import SERVING_DEFAULT
from tfgig.exported.signatures import defaults_of as named_defaults_of
from tfgig.models.graphs.tensorflow_private import is_registered
from tfgig.spec import nearest

CALL = "__call__"
_DEFAULTS = (SERVING_DEFAULT, "default")  # the latter is what TensorFlow 1 hub modules have


@dataclasses.dataclass(frozen=True)
class Signature:
    """A signature of a loaded object: its inputs by name, and the function that takes them."""

    name: str
    inputs: dict[str, tf.TensorSpec]
    call: Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Opened:
    """A SavedModel that was loaded: what the user called it, its graph, and its object."""

    handle: str
    directory: pathlib.Path
    meta_graph: meta_graph_pb2.MetaGraphDef
    loaded: Any


def open_saved_model(directory: pathlib.Path, handle: str | None = None) -> Opened:
    """Loads the graph that is served.

    Args:
        directory: The directory that holds `saved_model.pb`.
        handle: What the user called it; None for the directory.

    Raises:
        ValueError: a file is damaged or missing, or needs what this TensorFlow does not have.
    """
    handle = handle or str(directory.resolve())
    meta_graph = meta_graph_of(directory)
    unknown = unknown_operations(meta_graph.graph_def)
    if unknown:
        raise ValueError(
            f"The model needs operations that are not part of TensorFlow: {', '.join(unknown)}. "
            "Load the library that defines them first, with tf.load_op_library(...); every server "
            f"of the model needs it, too. Received: {handle!r}."
        )
    tags = list(meta_graph.meta_info_def.tags)
    try:
        loaded = tf.saved_model.load(str(directory), tags=tags)
    except Exception as error:  # whatever a file makes TensorFlow raise, it is the file's
        raise unloadable(error, handle) from error
    return Opened(handle, directory, meta_graph, loaded)


def unknown_operations(definition: tf.compat.v1.GraphDef) -> list[str]:
    """The types of operations in a graph that this process cannot run."""
    functions = {function.signature.name for function in definition.library.function}
    used = {node.op for node in definition.node}
    for function in definition.library.function:
        used.update(node.op for node in function.node_def)
    return sorted(name for name in used - functions if not is_registered(name))


def signatures_of(loaded: Any) -> dict[str, Signature]:
    """The signatures of a loaded object and, as `__call__`, its own call if it has one."""
    found = {}
    for name, function in loaded.signatures.items():
        _, inputs = function.structured_input_signature
        found[name] = Signature(name, dict(inputs), function)
    call = getattr(loaded, CALL, None)
    functions = getattr(call, "concrete_functions", None)
    if functions is None:  # none, or a concrete function, as one is that was loaded and saved again
        functions = [call] if hasattr(call, "structured_input_signature") else []
    for function in functions:
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


def defaults_of(opened: Opened, signature: str) -> dict[str, np.ndarray]:
    """The inputs of a signature that may be left out, and their values.

    Those that the signature names, and placeholders of TensorFlow 1 that have a default.
    """
    definition = opened.meta_graph.signature_def.get(signature)
    if definition is None:  # the object's own call
        return {}
    nodes = {node.name: node for node in opened.meta_graph.graph_def.node}
    found = {}
    for name, info in definition.inputs.items():
        node = nodes.get(info.name.partition(":")[0])
        if node is not None and node.op == "PlaceholderWithDefault":
            value = nodes.get(node.input[0].partition(":")[0])
            if value is not None and value.op == "Const":
                found[name] = tf.make_ndarray(value.attr["value"].tensor)
    return found | named_defaults_of(definition)


def _calling(function: Callable[..., Any], name: str, rest: list[Any]) -> Callable[..., Any]:
    return lambda **inputs: function(inputs[name], *rest)


def choose(opened: Opened, name: str | None) -> Signature:
    """The signature of that name; for None `serving_default`, or the only one.

    Raises:
        ValueError: there is none such, or it is not clear which.
    """
    found = signatures_of(opened.loaded)
    if not found and callable(getattr(opened.loaded, CALL, None)):
        raise ValueError(
            "The SavedModel has no signatures, and its __call__ does not take one tensor. Save it "
            "with the signature to explain: tf.saved_model.save(model, path, signatures=...). "
            f"Received: {opened.handle!r}."
        )
    if not found:
        raise ValueError(
            "The SavedModel has no signatures and cannot be called: it contains only weights. Save "
            "it with tf.saved_model.save(model, path, signatures=...). Received: "
            f"{opened.handle!r}."
        )
    if name is not None:
        if name not in found:
            raise ValueError(f"Unknown signature. {nearest(name, found)} Received: {name!r}.")
        return found[name]
    for default in _DEFAULTS:
        if default in found:
            return found[default]
    if len(found) > 1 and CALL not in found:
        raise ValueError(
            f"The SavedModel has several signatures; choose one with signature=... "
            f"Received: {opened.handle!r} with {', '.join(found)}."
        )
    return found[CALL] if CALL in found else next(iter(found.values()))
