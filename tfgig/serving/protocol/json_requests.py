"""Requests over REST: the inputs of a signature, in rows under "instances" or in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.serving.protocol.errors import InvalidRequest
from tfgig.serving.protocol.json_body import Body, shown
from tfgig.serving.protocol.json_tensors import is_base64, tensor_of

Layout = Literal["row", "column"]
ROWS, COLUMNS = "instances", "inputs"
_SEVERAL = "as multiple input tensors required as per tensorinfo_map"


def decode_inputs(
    body: Body, definition: meta_graph_pb2.SignatureDef, signature: str
) -> tuple[dict[str, np.ndarray], Layout]:
    """The inputs of a request by name, and how it lays them out.

    Args:
        body: The request.
        definition: The signature.
        signature: Its name.

    Raises:
        InvalidRequest: an input is missing, unknown, ragged or of the wrong type.
    """
    types = {
        name: tf.dtypes.as_dtype(info.dtype) for name, info in sorted(definition.inputs.items())
    }
    if not types:
        raise InvalidRequest(f"Failed to get input map for signature: {signature}")
    layout = layout_of(body.values)
    decode = _decode_rows if layout == "row" else _decode_columns
    try:
        return decode(body, types), layout
    except RecursionError as error:
        raise InvalidRequest("JSON Value: it is nested too deeply.") from error


def layout_of(request: Mapping[str, Any]) -> Layout:
    """How a request lays out its inputs.

    Raises:
        InvalidRequest: in no way, or in both.
    """
    if ROWS in request and COLUMNS in request:
        raise InvalidRequest(
            f"JSON Value: {shown(request)} Not formatted correctly expecting only one of "
            f"'{COLUMNS}' or '{ROWS}' keys to exist "
        )
    if ROWS not in request and COLUMNS not in request:
        raise InvalidRequest(f"Missing '{COLUMNS}' or '{ROWS}' key")
    return "row" if ROWS in request else "column"


def is_named(value: Any) -> bool:
    """Whether inputs are given by name; `{"b64": ...}` is a value."""
    return isinstance(value, dict) and not is_base64(value)


def _decode_columns(body: Body, types: Mapping[str, tf.DType]) -> dict[str, np.ndarray]:
    columns = body.values[COLUMNS]
    if not is_named(columns):
        if len(types) > 1:
            raise InvalidRequest(
                f"{COLUMNS} is a plain value/list, but expecting an object {_SEVERAL}"
            )
        columns = {next(iter(types)): columns}
    for name in types:
        if name not in columns:
            raise InvalidRequest(f"Missing named input: {name} in '{COLUMNS}' object.")
    return {name: tensor_of(columns[name], dtype, body.words) for name, dtype in types.items()}


def _decode_rows(body: Body, types: Mapping[str, tf.DType]) -> dict[str, np.ndarray]:
    rows = body.values[ROWS]
    if not isinstance(rows, list):
        raise InvalidRequest(
            f"JSON Value: {shown(body.values)} Excepting '{ROWS}' to be an list/array"
        )
    if not rows:
        raise InvalidRequest(f"JSON Value: {shown(body.values)} No values in '{ROWS}' array")
    if not isinstance(rows[0], dict) and len(types) > 1:
        raise InvalidRequest(f"{ROWS} is a plain list, but expecting list of objects {_SEVERAL}")
    named = is_named(rows[0])
    _check_rows(rows, named, list(types))
    found = {}
    for name, dtype in types.items():
        column = [row[name] for row in rows] if named else rows
        key = f" key: {name}" if named else ""
        try:
            found[name] = tensor_of(column, dtype, body.words)
        except InvalidRequest:
            found[name] = _one_by_one(column, dtype, key)
    return found


def _check_rows(rows: Sequence[Any], named: bool, names: list[str]) -> None:
    """Raises `InvalidRequest` unless all rows are objects with these keys, or none is one."""
    for index, row in enumerate(rows):
        if is_named(row) != named:
            what = "object but got list" if named else "value/list but got object"
            raise InvalidRequest(f"Expecting {what} at item {index} of input list")
        if not named or row.keys() == set(names):
            continue
        for key in row:
            if key not in names:
                raise InvalidRequest(
                    f"Failed to process element: {index} key: {key} of '{ROWS}' list. Error: "
                    f"INVALID_ARGUMENT: JSON object: does not have named input: {key}"
                )
        raise InvalidRequest(
            f"Failed to process element: {index} of '{ROWS}' list. JSON object: {shown(row)} keys "
            f"must be equal to: {','.join(names)}"
        )


def _one_by_one(column: Sequence[Any], dtype: tf.DType, key: str) -> np.ndarray:
    """A column whose rows are not all right: the error of the first that is wrong."""
    found: list[np.ndarray] = []
    for index, value in enumerate(column):
        where = f"Failed to process element: {index}{key} of '{ROWS}' list. Error: "
        try:
            found.append(tensor_of(value, dtype, words=True))
        except InvalidRequest as error:
            raise InvalidRequest(f"{where}{error.code.name}: {error}") from error
        first, last = found[0], found[-1]
        if last.size != first.size:
            raise InvalidRequest(
                f"{where}INVALID_ARGUMENT: Expecting tensor size: {first.size} but got: {last.size}"
            )
        if last.shape != first.shape:
            raise InvalidRequest(
                f"{where}INVALID_ARGUMENT: Expecting shape {_text(first)} but got: {_text(last)}"
            )
    return np.stack(found)


def _text(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"
