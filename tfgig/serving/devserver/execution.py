"""One run of a version's graph: what TensorFlow's runtime makes of a request, in its words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.exported.fit import spec_of
from tfgig.exported.signatures import target_of
from tfgig.serving.devserver.versions import Servable, error_code
from tfgig.serving.protocol.errors import (
    LATE,
    STOPPING,
    Code,
    DeadlineExceeded,
    InvalidRequest,
    ServingError,
    Unavailable,
    error_of,
)
from tfgig.serving.protocol.json_tensors import type_text

_SHORTEST = 1e-3  # seconds: none at all would be no limit
_TRACE = "\n\nOriginal stack trace"  # what only Python adds to a message


def execute(
    servable: Servable,
    signature: str,
    inputs: Mapping[str, np.ndarray],
    outputs: tuple[str, ...],
    seconds: float,
) -> dict[str, np.ndarray]:
    """The outputs of a signature.

    Args:
        servable: The version, leased.
        signature: The signature's name.
        inputs: All of its inputs by name.
        outputs: Which of its outputs are wanted; none for all.
        seconds: When to give up; what is running is stopped, loops included.

    Raises:
        ServingError: the graph does not take the inputs, or failed.
    """
    feeds = _feeds(servable.model.signatures[signature], inputs)
    try:
        return servable.model.call(signature, feeds, outputs, max(_SHORTEST, seconds))
    except Exception as error:  # whatever a graph raises is the answer
        raise failure(error, servable.closed) from error


def failure(error: Exception, closed: bool = False) -> ServingError:
    """The error that a client is told, of one that running a graph raised.

    Args:
        error: The error.
        closed: Whether the version was closed meanwhile, by the server's end.
    """
    if isinstance(error, ServingError):
        return error
    if closed:
        return Unavailable(STOPPING)
    code = error_code(error)
    if code is Code.DEADLINE_EXCEEDED:
        return DeadlineExceeded(LATE)
    message = error.message if isinstance(error, tf.errors.OpError) else str(error)
    return error_of(code, message.partition(_TRACE)[0])


def shape_text(shape: tuple[int, ...] | tf.TensorShape) -> str:
    """A shape as TensorFlow's runtime writes it: `[?,96,96,3]`."""
    sizes = ("?" if size is None else str(size) for size in tf.TensorShape(shape).as_list())
    return f"[{','.join(sizes)}]"


def _feeds(
    definition: meta_graph_pb2.SignatureDef, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The inputs, if the runtime and the guard in an export's graph would take them.

    They are checked here as well, as a graph without a guard could end the process.
    """
    in_order = sorted(definition.inputs, key=lambda name: definition.inputs[name].name)
    for index, name in enumerate(in_order):
        given = tf.dtypes.as_dtype(inputs[name].dtype)
        wanted = spec_of(name, definition.inputs[name]).dtype
        if given != wanted:
            raise InvalidRequest(
                f"Expects arg[{index}] to be {type_text(wanted)} but {type_text(given)} is provided"
            )
    feeds = dict(inputs)
    target = target_of(definition)
    if target is not None and feeds[target].ndim == 0:
        feeds[target] = feeds[target][np.newaxis]  # the graph broadcasts it
    for name in in_order:
        shape = spec_of(name, definition.inputs[name]).shape
        if not shape.is_compatible_with(feeds[name].shape):
            raise InvalidRequest(
                f"Shape of tensor {name} {shape_text(feeds[name].shape)} is not compatible with "
                f"expected shape {shape_text(shape)}."
            )
    return feeds
