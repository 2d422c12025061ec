"""Tensors from JSON values, one by one, with the errors that TensorFlow Serving has for them."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
import tensorflow as tf

from tfgig.serving.protocol.errors import Code, InvalidRequest
from tfgig.serving.protocol.json_body import shown

# The numbers that are read for a type; what a smaller type does not hold wraps around.
_RANGES = {
    "int8": (-(2**31), 2**31 - 1),
    "uint8": (-(2**31), 2**31 - 1),
    "int16": (-(2**31), 2**31 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
_FLOATS = ("float32", "float64")
_MOST_AXES = 32  # of NumPy's arrays before its version 2


def tensor_of(value: Any, dtype: tf.DType, words: bool) -> np.ndarray:
    """A JSON value as a tensor of a type.

    Args:
        value: A number, a text, a boolean, or lists of them.
        dtype: The type.
        words: Whether `true`, `false` or `null` may be among the numbers.

    Raises:
        InvalidRequest: it is ragged or of another type.
    """
    array = None if words or dtype == tf.string else _at_once(value, dtype)
    if array is not None:
        return array
    flat: list[Any] = []
    shape = _shape(value)
    if len(shape) > _MOST_AXES:
        raise InvalidRequest(
            f"Lists may be nested at most {_MOST_AXES} deep, as in NumPy. Received: {len(shape)}."
        )
    _fill(value, 0, shape, dtype, flat)
    if dtype == tf.string:
        return np.array([*flat, None], object)[:-1].reshape(shape)
    with np.errstate(over="ignore"):
        return np.array(flat, _held(dtype)).astype(dtype.as_numpy_dtype).reshape(shape)


def _at_once(value: Any, dtype: tf.DType) -> np.ndarray | None:
    """The tensor of a value without booleans, or nothing where that has to be looked at closely."""
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        return None
    if dtype.name in _FLOATS:
        fits = array.dtype.kind in "iuf"
    elif dtype.name in _RANGES and array.dtype.kind in "iu" and array.size:
        low, high = _RANGES[dtype.name]
        fits = low <= int(array.min()) and int(array.max()) <= high
    else:
        return None
    with np.errstate(over="ignore"):
        return array.astype(dtype.as_numpy_dtype) if fits else None


def _held(dtype: tf.DType) -> Any:
    """The type that holds all numbers that are read for one."""
    if dtype.name in _FLOATS:
        return np.float64
    if dtype.name in _RANGES and dtype != tf.uint64:
        return np.int64
    return dtype.as_numpy_dtype


def _shape(value: Any) -> list[int]:
    """The shape of a value, by the first of each list."""
    sizes = []
    while isinstance(value, list):
        sizes.append(len(value))
        if not value:
            break
        value = value[0]
    return sizes


def _fill(value: Any, level: int, shape: list[int], dtype: tf.DType, flat: list[Any]) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise InvalidRequest(
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON "
                f"DOM. Expected at level: {rank}"
            )
        flat.append(_leaf(value, dtype))
        return
    if level >= rank:
        raise InvalidRequest(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise InvalidRequest(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: "
            f"{shape[level]}"
        )
    for item in value:
        _fill(item, level + 1, shape, dtype, flat)


def _leaf(value: Any, dtype: tf.DType) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if dtype == tf.string:
        if isinstance(value, dict):
            return _bytes(value)
        if isinstance(value, str):
            return value.encode(errors="surrogatepass")
    elif dtype == tf.bool:
        if isinstance(value, bool):
            return value
    elif dtype.name in _FLOATS:
        if whole or isinstance(value, float):
            return float(value)
    elif dtype.name in _RANGES:
        low, high = _RANGES[dtype.name]
        if whole and low <= value <= high:
            return value
    else:
        raise InvalidRequest(
            f"Conversion of JSON Value: {shown(value)} to type: {dtype.name}", Code.UNIMPLEMENTED
        )
    raise InvalidRequest(
        f"JSON Value: {shown(value)} Type: {_type(value)} is not of expected type: "
        f"{type_text(dtype)}"
    )


def _bytes(value: dict[str, Any]) -> bytes:
    """What an object in base64 stands for; lines may end in it, and its padding may be missing."""
    if not is_base64(value):
        raise InvalidRequest(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    text = "".join(value["b64"].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("Unable to base64 decode") from error


def is_base64(value: Any) -> bool:
    """Whether a value is bytes: an object with a text under "b64", and nothing else."""
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def type_text(dtype: tf.DType) -> str:
    """A type as TensorFlow's runtime writes it."""
    return {tf.float32: "float", tf.float64: "double"}.get(dtype, dtype.name)


def _type(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {True: "True", False: "False", None: "Null"}[value]
    names = ((dict, "Object"), (list, "Array"), (str, "String"))
    return next((name for kind, name in names if isinstance(value, kind)), "Number")
