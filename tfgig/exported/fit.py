"""A value fitted to a tensor of a signature: one rule for the layer, warm-up, client and server.

Text is for text, booleans for booleans, whole numbers for whole numbers, and any number for floats.
What a type does not hold is refused: it would wrap, or become infinite, and something else would be
computed.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2


def spec_of(name: str, info: meta_graph_pb2.TensorInfo) -> tf.TensorSpec:
    """What a signature says of a tensor."""
    return tf.TensorSpec(
        tf.TensorShape(info.tensor_shape), tf.dtypes.as_dtype(info.dtype), name=name
    )


def fit(value: Any, spec: tf.TensorSpec, rows: bool = True) -> np.ndarray:
    """A value as an array of a spec's dtype and shape; text becomes UTF-8.

    Args:
        value: A number, a text, an array or lists of them.
        spec: A tensor [None, ...], by its name.
        rows: Whether the value has the first axis, too; else it is one example.

    Raises:
        TypeError: it is of another type.
        ValueError: it is ragged or of another shape, or has a number that the dtype does not hold.
    """
    array = _texts(value, spec) if spec.dtype == tf.string else _numbers(value, spec)
    check_shape(array.shape, spec, rows)
    return array


def check_fits(value: np.ndarray, spec: tf.TensorSpec) -> None:
    """Raises `TypeError` or `ValueError` unless a value is of exactly that dtype and shape."""
    if tf.dtypes.as_dtype(value.dtype) != spec.dtype:
        _refuse_type(spec, value.dtype)
    check_shape(value.shape, spec)


def check_type(dtype: Any, spec: tf.TensorSpec) -> None:
    """Raises `TypeError` unless values of a dtype, of NumPy or TensorFlow, may be fitted."""
    try:
        given = tf.dtypes.as_dtype(dtype)
    except TypeError:  # such as a date
        _refuse_type(spec, dtype)
    wanted = spec.dtype
    numbers = given.is_floating or given.is_integer or given.is_complex
    fits = (
        given == wanted
        or (wanted.is_integer and given.is_integer)
        or (wanted.is_floating and numbers and not given.is_complex)
        or (wanted.is_complex and numbers)
    )
    if not fits:
        _refuse_type(spec, dtype)


def check_shape(shape: Any, spec: tf.TensorSpec, rows: bool = True) -> None:
    """Raises `ValueError` unless a shape fits a spec's; without `rows`, but for the first axis."""
    found, wanted = tf.TensorShape(shape), spec.shape if rows else spec.shape[1:]
    if wanted.is_compatible_with(found):
        return
    axes = wanted.as_list()
    if rows and axes[:1] == [None]:
        axes[0] = "B"
    hint = ""
    if rows and found.rank == len(axes) - 1:
        hint = " Is the batch axis missing? Use inputs[np.newaxis]."
    raise ValueError(
        f"{spec.name!r} {'must have' if rows else 'of one example, without the batch, must have'} "
        f"shape [{', '.join(map(str, axes))}].{hint} Received: shape {tuple(found)}."
    )


def fit_targets(target: Any, rows: int) -> np.ndarray:
    """One class, or one for each row, as int64 [rows].

    Raises:
        ValueError: it is neither.
    """
    classes = np.asarray(target)
    if classes.dtype.kind not in "iu" or classes.shape not in ((), (1,), (rows,)):
        raise ValueError(
            f"`target` must be one class, or one for each of the {rows} rows. Received: "
            f"{classes.dtype} of shape {classes.shape}."
        )
    return np.broadcast_to(classes, [rows]).astype(np.int64)


def _numbers(value: Any, spec: tf.TensorSpec) -> np.ndarray:
    try:
        array, dtype = np.asarray(value), spec.dtype.as_numpy_dtype
    except ValueError as error:
        raise ValueError(f"{spec.name!r} has rows of different lengths: {error}.") from error
    if array.dtype == dtype or not array.size:
        return array.astype(dtype, copy=False)
    if array.dtype == object and all(isinstance(item, int) for item in array.reshape(-1)):
        _refuse_range(spec, array)  # beyond what NumPy holds
    check_type(array.dtype, spec)
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    exact = cast == array if spec.dtype.is_integer else np.isfinite(cast) | ~np.isfinite(array)
    if not np.all(exact):
        _refuse_range(spec, array)
    return cast


def _texts(value: Any, spec: tf.TensorSpec) -> np.ndarray:
    def encoded(item: Any) -> Any:
        return item.encode() if isinstance(item, str) else item

    array = np.asarray(np.frompyfunc(encoded, 1, 1)(np.asarray(value, object)), object)
    for item in array.reshape(-1):
        if isinstance(item, (list, np.ndarray)):
            raise ValueError(
                f"{spec.name!r} has rows of different lengths. Received: {item!r:.60}."
            )
        if not isinstance(item, bytes):
            _refuse_type(spec, type(item))
    return array


def _refuse_type(spec: tf.TensorSpec, dtype: Any) -> NoReturn:
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", str(dtype))
    raise TypeError(f"{spec.name!r} must be {spec.dtype.name}. Received: {name}.")


def _refuse_range(spec: tf.TensorSpec, array: np.ndarray) -> NoReturn:
    low, high = spec.dtype.min, spec.dtype.max
    raise ValueError(
        f"{spec.name!r} must be {spec.dtype.name}, from {low} to {high}. Received: numbers from "
        f"{array.min()} to {array.max()}."
    )
