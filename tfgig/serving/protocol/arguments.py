"""What a client or a server is given, as the arrays that a signature takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.exported.fit import check_fits, fit, spec_of
from tfgig.serving.protocol.errors import InvalidRequest


def arrays_of(
    inputs: Any, definition: meta_graph_pb2.SignatureDef, names: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """The inputs as arrays of the signature's types.

    Args:
        inputs: The inputs [B, ...] by name, or the only one.
        definition: The signature.
        names: Which of its inputs are meant; all if none is named.

    Raises:
        InvalidRequest: an input is missing, unknown, or not of the type.
    """
    names = names or sorted(definition.inputs)
    needed = [name for name in names if name not in definition.defaults]
    if not isinstance(inputs, Mapping):
        if len(needed) != 1:
            raise InvalidRequest(f"Give the inputs by name: {', '.join(needed)}.")
        inputs = {needed[0]: inputs}
    if not set(needed) <= set(inputs) <= set(names):
        raise InvalidRequest(f"The inputs are {names}. Received: {sorted(inputs)}.")
    return {name: fitted(name, value, definition.inputs[name]) for name, value in inputs.items()}


def fitted(name: str, value: Any, info: meta_graph_pb2.TensorInfo) -> np.ndarray:
    """A value as an array that a tensor of a signature takes, as `tfgig.exported.fit` has it.

    Raises:
        InvalidRequest: it is of another type or shape.
    """
    try:
        return fit(value, spec_of(name, info))
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(str(error)) from error


def check_inputs(
    signature: str, definition: meta_graph_pb2.SignatureDef, inputs: Mapping[str, np.ndarray]
) -> None:
    """Raises `InvalidRequest` unless these are the inputs of a signature, in type and shape."""
    extra, missing = set(inputs) - set(definition.inputs), set(definition.inputs) - set(inputs)
    if extra or missing:
        raise InvalidRequest(
            f"{signature!r} needs the inputs {sorted(definition.inputs)}. Missing: "
            f"{sorted(missing)}. Unknown: {sorted(extra)}."
        )
    for name, info in definition.inputs.items():
        try:
            check_fits(inputs[name], spec_of(name, info))
        except (TypeError, ValueError) as error:
            raise InvalidRequest(str(error)) from error


def rows_of(arrays: Mapping[str, np.ndarray]) -> int:
    """How many rows all of them have.

    Raises:
        ValueError: none, or not equally many.
    """
    shapes = {value.shape[:1] for value in arrays.values()}
    if len(shapes) != 1 or () in shapes or (0,) in shapes:
        raise ValueError(
            "A request needs at least one row, and the same number in every input. Received: "
            + ", ".join(f"{name} {value.shape}" for name, value in sorted(arrays.items()))
            + "."
        )
    return next(iter(shapes))[0]
