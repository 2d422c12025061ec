"""The inputs of several requests as those of one, and its outputs as those of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.serving.protocol.errors import Code, InvalidRequest, ServingError

_MOST_RANKS = 6  # that TensorFlow Serving pads


def rows_of(inputs: Mapping[str, np.ndarray]) -> int:
    """How many rows a request has.

    Raises:
        InvalidRequest: it has no inputs, or not equally many rows in each.
    """
    if not inputs:
        raise InvalidRequest("Batching Run() must have at least one input tensor")
    if any(value.ndim == 0 for value in inputs.values()):
        raise InvalidRequest("Batching Run() input tensors must have at least one dimension")
    if len({value.shape[0] for value in inputs.values()}) > 1:
        raise InvalidRequest("Batching Run() input tensors must have equal 0th-dimension size")
    return next(iter(inputs.values())).shape[0]


def merged(
    requests: Sequence[Mapping[str, np.ndarray]],
    definition: meta_graph_pb2.SignatureDef,
    padding: int,
    pad: bool,
) -> dict[str, np.ndarray]:
    """The inputs [B + padding, ...] of all requests.

    Args:
        requests: The inputs of each, [B, ...] by name.
        definition: The signature.
        padding: How many rows are added, each the first of the last request.
        pad: Whether inputs of different sizes are padded to the largest.

    Raises:
        ServingError: the inputs of the requests differ in type or shape.
    """
    found = {}
    for name in requests[0]:
        values = [request[name] for request in requests]
        values = _padded(values) if pad else _checked(values, definition.inputs[name].name)
        if len({value.dtype for value in values}) > 1:
            raise ServingError(
                "Tensor concat operation failed: INVALID_ARGUMENT: Cannot concatenate tensors "
                "that have different data types.",
                Code.INTERNAL,
            )
        filler = [np.repeat(values[-1][:1], padding, axis=0)] if padding else []
        found[name] = (
            np.concatenate([*values, *filler]) if len(values) > 1 or padding else values[0]
        )
    return found


def split(
    outputs: Mapping[str, np.ndarray], rows: Sequence[int], size: int
) -> list[dict[str, np.ndarray]]:
    """The outputs of each request.

    Args:
        outputs: Of all, [size, ...] by name.
        rows: How many rows each request has.
        size: How many rows ran, the padding included.

    Raises:
        InvalidRequest: the outputs do not have a row for each row of the inputs.
    """
    for value in outputs.values():
        if value.ndim == 0:
            raise InvalidRequest("Batched output tensor has 0 dimensions", Code.FAILED_PRECONDITION)
        if value.shape[0] != size:
            raise InvalidRequest(
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension "
                "sizes of the input tensors",
                Code.FAILED_PRECONDITION,
            )
    ends = np.cumsum(rows)
    return [
        {name: value[end - count : end] for name, value in outputs.items()}
        for count, end in zip(rows, ends, strict=True)
    ]


def _checked(values: list[np.ndarray], tensor: str) -> list[np.ndarray]:
    if len({value.shape[1:] for value in values}) > 1:
        raise InvalidRequest(
            f"Tensors with name '{tensor}' from different tasks have different shapes and padding "
            "is turned off.Set pad_variable_length_inputs to true, or ensure that all tensors "
            "with the same namehave equal dimensions starting with the first dim.",
            Code.FAILED_PRECONDITION,
        )
    return values


def _padded(values: list[np.ndarray]) -> list[np.ndarray]:
    """Inputs padded behind each of their axes but the first, each with its own first value."""
    if len({value.ndim for value in values}) > 1:
        raise ServingError(
            "The inputs of merged requests differ in rank, which crashes TensorFlow Serving with "
            "pad_variable_length_inputs.",
            Code.INTERNAL,
        )
    if values[0].ndim > _MOST_RANKS:
        raise InvalidRequest("Only tensors with rank from 1 to 6 can be padded.")
    sizes = np.max([value.shape[1:] for value in values], axis=0) if values[0].ndim > 1 else ()
    found = []
    for value in values:
        more = [
            (0, 0),
            *((0, int(most) - size) for most, size in zip(sizes, value.shape[1:], strict=True)),
        ]
        if any(after for _, after in more):
            if not value.size:
                raise InvalidRequest("Got empty tensor in batch of non-empty tensors.")
            value = np.pad(value, more, constant_values=value.flat[0])
        found.append(value)
    return found
