"""All that is used of TensorFlow and Keras without a public name; an upgrade is checked here.

What is private is imported where it is used: once its program works, TensorFlow is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

__all__ = (
    "add_function",
    "capturable_resource",
    "flat_layers",
    "function_graph",
    "is_registered",
    "registered_gradient",
    "write_fingerprint",
)


def function_graph(graph: tf.Graph, name: str) -> tf.Graph:
    """The body of a function of a graph's library."""
    function = graph._get_function(name)
    if hasattr(function, "graph"):
        return function.graph
    from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

    with graph.as_default():  # one of a graph of TensorFlow 1, which keeps the definition alone
        return function_def_to_graph(function.definition, include_library_functions=True)


def add_function(graph: tf.Graph, source: tf.Graph, name: str) -> None:
    """Adds a function of another graph's library to a graph, with all that it calls."""
    graph._add_function_recursive(source._get_function(name))


def registered_gradient(name: str | bytes) -> Callable[..., Any] | None:
    """The gradient of an operation's type, or a custom gradient, by its name.

    Raises:
        LookupError: this process knows none. None says that there is no gradient, on purpose.
    """
    from tensorflow.python.framework import ops

    return ops.gradient_registry.lookup(name)


def is_registered(operation: str) -> bool:
    """Whether this process knows a type of operation."""
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(operation) is not None


def capturable_resource() -> type:
    """The common base of tables, iterators and the initialisers of TensorFlow 1."""
    from tensorflow.python.trackable.resource import CapturableResource

    return CapturableResource


def flat_layers(layer: keras.layers.Layer) -> Iterable[keras.layers.Layer]:
    """A Keras layer and all inside it, however deep."""
    return layer._flatten_layers()


def write_fingerprint(directory: str | os.PathLike) -> None:
    """Writes the checksums of a SavedModel's graph, as `tf.saved_model.save` does."""
    from tensorflow.python.saved_model import fingerprinting_utils

    fingerprinting_utils.write_fingerprint(os.fspath(directory))
