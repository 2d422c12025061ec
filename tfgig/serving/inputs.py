"""What a client is given, as the arrays that a signature takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.serving.errors import InvalidRequest


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
    return {name: _array(name, value, definition.inputs[name]) for name, value in inputs.items()}


def _array(name: str, value: Any, info: meta_graph_pb2.TensorInfo) -> np.ndarray:
    wanted = tf.dtypes.as_dtype(info.dtype).as_numpy_dtype
    if wanted is object:
        encode = np.frompyfunc(lambda text: text.encode() if isinstance(text, str) else text, 1, 1)
        return np.asarray(encode(np.asarray(value, object)), object)
    array, kind = np.asarray(value), np.dtype(wanted).kind
    if not (
        np.can_cast(array.dtype, wanted, "same_kind")
        or (array.dtype.kind in "iub" and kind in "iuf")
    ):
        raise InvalidRequest(
            f"{name!r} is of {np.dtype(wanted).name}. Received: {array.dtype.name}."
        )
    cast = array.astype(wanted, copy=False)
    if kind in "iu" and not np.array_equal(cast, array):  # it wrapped
        raise InvalidRequest(
            f"{name!r} is of {np.dtype(wanted).name}, and a number is out of its range. "
            f"Received: {array.min()} to {array.max()}."
        )
    return cast


def rows_of(arrays: Mapping[str, np.ndarray]) -> int:
    """How many rows all of them have.

    Raises:
        ValueError: none, or not equally many.
    """
    shapes = {value.shape[:1] for value in arrays.values()}
    if len(shapes) != 1 or () in shapes or (0,) in shapes:
        raise ValueError(
            "A request has one row or more, as many in every input. Received: "
            + ", ".join(f"{name} {value.shape}" for name, value in sorted(arrays.items()))
            + "."
        )
    return next(iter(shapes))[0]
