"""Values of rows as the arrays that a signature takes; a row that does not fit harms no other."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfgig.bulk.sources.base import Values
from tfgig.exported.description import Description
from tfgig.exported.fit import fit
from tfgig.image.axes import array_from_picture, picture_shape
from tfgig.image.files import Fit, encoded_image, in_units, read_image

Convert = Callable[[Any], Any]
NO_RANGE = (
    "The export has no value range for its input; export the model again with --value_range=0,255, "
    "or 0,1, or -1,1, or supply numeric input."
)
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def fitted(
    values: Values, spec: tf.TensorSpec, convert: Convert | None = None
) -> tuple[Values, dict[int, str]]:
    """The values as arrays of a spec's dtype and shape, and why some are not.

    Args:
        values: An array [rows, ...], or a value a row.
        spec: The input, [None, ...].
        convert: What makes an array of one value first, such as of an image file.

    Returns:
        An array [rows, ...] where all rows fit and are of one size, else an array a row, None
        where there is none; and by the row's place, the reason.
    """
    if convert is None:
        try:
            return fit(_whole(values, spec), spec), {}
        except (TypeError, ValueError):
            pass  # one row of them, or their sizes: looked at one by one
    found: list[np.ndarray | None] = []
    reasons = {}
    for i, value in enumerate(values):
        try:
            found.append(_row(value, spec, convert))
        except (TypeError, ValueError, OSError) as error:
            found.append(None)
            reasons[i] = str(error)
    return found, reasons


def picture_reader(spec: tf.TensorSpec, description: Description, way: Fit) -> Convert:
    """What makes a picture of a model's units of an image file's bytes; of other values nothing."""

    def convert(value: Any) -> Any:
        content = _content(value)
        if content is None:
            return value
        value_range, data_format = description.value_range, description.data_format
        if value_range is None:
            raise ValueError(NO_RANGE)
        _, height, width, channels = picture_shape(spec.shape.as_list(), data_format)
        pixels = read_image(io.BytesIO(content), (height, width, channels or 3), way)
        image = in_units(pixels, value_range)
        image = array_from_picture(image[np.newaxis], data_format)[0]
        kind = spec.dtype.as_numpy_dtype
        return (np.round(image) if spec.dtype.is_integer else image).astype(kind)

    return convert


def picture_encoder(value: Any) -> Any:
    """An image file's bytes as a model that decodes images takes them."""
    content = _content(value)
    return value if content is None else encoded_image(content)


def side_by_side(columns: Sequence[Values]) -> Values:
    """Columns of one scalar a row each as one, [rows, columns]."""
    if all(isinstance(column, np.ndarray) and column.ndim == 1 for column in columns):
        return np.stack(columns, 1)
    return [list(row) for row in zip(*columns, strict=True)]


def _content(value: Any) -> bytes | None:
    """The bytes of an image file, as Spark's binaryFile or a data set of pictures has them."""
    if isinstance(value, dict):
        value = value.get("bytes")
    return bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else None


def _whole(values: Values, spec: tf.TensorSpec) -> Any:
    shape = spec.shape.as_list()[1:]
    if spec.dtype != tf.string and not isinstance(values, np.ndarray):
        values = np.asarray([_number(value, spec) for value in values])
    if isinstance(values, np.ndarray) and values.ndim != len(shape) + 1 and None not in shape:
        return values.reshape(len(values), *shape)
    return values


def _row(value: Any, spec: tf.TensorSpec, convert: Convert | None) -> np.ndarray:
    if convert is not None:
        value = convert(value)
    if spec.dtype != tf.string:
        value = np.asarray(_number(value, spec))
    elif value is None:
        raise ValueError(f"{spec.name!r} is missing or empty.")
    shape = spec.shape.as_list()[1:]
    if None not in shape and np.ndim(value) != len(shape) and np.size(value) == np.prod(shape):
        value = np.reshape(np.asarray(value, None if spec.dtype != tf.string else object), shape)
    return fit(value, spec, rows=False)


def _number(value: Any, spec: tf.TensorSpec) -> Any:
    """A cell of a text, or a list of such, as a number of the spec's type."""
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError(f"{spec.name!r} is missing or empty.")
    if isinstance(value, (list, tuple)):
        return [_number(item, spec) for item in value]
    if not isinstance(value, str):
        return value
    try:
        if spec.dtype == tf.bool:
            return _TRUTH[value.strip().lower()]
        return int(value) if spec.dtype.is_integer else float(value)
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{spec.name!r} must be {spec.dtype.name}. Received: {value!r:.60}."
        ) from error
