"""Tensors as TensorFlow Serving's REST interface writes them.

A request has its rows under "instances" or its columns under "inputs", and its answer is rows
under "predictions" or columns under "outputs". Bytes are `{"b64": "..."}`, in answers where the
output's name ends in `_bytes`. A single output loses its name.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.serving.protocol.arguments import fitted
from tfgig.serving.protocol.errors import InvalidRequest

Layout = Literal["row", "column"]
_BYTES = "_bytes"
MAX_VALUES = 12_000_000  # of a body: eighty images of 224 x 224 x 3
MAX_PARTS = 4_000_000  # lists and objects
_STRING = types_pb2.DT_STRING


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a request.

    A list takes thirty times the bytes that it is written in, and all others wait while it is
    read: so how many there are is bounded as the size is, before anything is read.

    Raises:
        InvalidRequest: it is none, or has too many values.
    """
    values, parts = body.count(b","), body.count(b"[") + body.count(b"{")
    if values > MAX_VALUES or parts > MAX_PARTS:
        raise InvalidRequest(
            f"A body has at most {MAX_VALUES:,} values in {MAX_PARTS:,} lists and objects; send "
            f"fewer rows at once, or use gRPC. Received: {values:,} in {parts:,}."
        )
    try:
        with _uncollected():
            found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"The body is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise InvalidRequest("The body is to be a JSON object.")
    return found


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Lets no garbage be looked for meanwhile: among what is being made there is none.

    Looking takes nine tenths of the time of reading many lists.
    """
    with _reading.lock:
        _reading.count += 1
        if _reading.count == 1:
            _reading.was_on = gc.isenabled()
            gc.disable()
    try:
        yield
    finally:
        with _reading.lock:
            _reading.count -= 1
            if _reading.count == 0 and _reading.was_on:
                gc.enable()


class _Reading:
    """How many bodies are being read, and whether garbage is looked for otherwise."""

    def __init__(self) -> None:
        self.lock, self.count, self.was_on = threading.Lock(), 0, True


_reading = _Reading()


def decode_inputs(
    request: Mapping[str, Any], definition: meta_graph_pb2.SignatureDef
) -> tuple[dict[str, np.ndarray], Layout]:
    """The inputs of a request by name, and how it lays them out.

    Raises:
        InvalidRequest: an input is missing, unknown, ragged or of the wrong type.
    """
    names = list(definition.inputs)
    layout = layout_of(request)
    if layout == "row":
        columns = _columns(request["instances"], names)
    else:
        columns = request["inputs"]
        if not isinstance(columns, dict) or _is_base64(columns):
            if len(names) > 1:
                raise InvalidRequest(f"'inputs' is an object with the keys {sorted(names)}.")
            columns = {names[0]: columns}
        _check_keys(columns, names)
    return {name: _tensor(name, columns[name], definition.inputs[name]) for name in names}, layout


def layout_of(request: Mapping[str, Any]) -> Layout:
    """How a request lays out its inputs.

    Raises:
        InvalidRequest: in no way, or in both.
    """
    if ("instances" in request) == ("inputs" in request):
        raise InvalidRequest("Give the inputs under either 'instances' or 'inputs'.")
    return "row" if "instances" in request else "column"


def encode_rows(outputs: Mapping[str, np.ndarray]) -> list[Any]:
    """One entry for each row: an object with the outputs by name, or the only output's value.

    Raises:
        InvalidRequest: the outputs do not have equally many rows, or a type JSON cannot write.
    """
    if {value.shape[:1] for value in outputs.values()} & {()} or len(
        {value.shape[0] for value in outputs.values()}
    ) != 1:
        raise InvalidRequest("The outputs do not have one row for each instance; use 'inputs'.")
    columns = {name: _plain(name, value) for name, value in outputs.items()}
    if len(columns) == 1:
        return next(iter(columns.values()))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def encode_outputs(outputs: Mapping[str, np.ndarray], layout: Layout) -> bytes:
    """The body of an answer."""
    if layout == "row":
        return dump({"predictions": encode_rows(outputs)})
    columns = {name: _plain(name, value) for name, value in outputs.items()}
    return dump({"outputs": next(iter(columns.values())) if len(columns) == 1 else columns})


def dump(value: Any) -> bytes:
    """JSON text; NaN and infinity are written bare, as TensorFlow Serving writes them."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def encode_error(message: str) -> bytes:
    """The body of an error."""
    return dump({"error": message})


def plain_input(value: np.ndarray) -> Any:
    """An input as a client writes it, its bytes in base64."""
    return _plain(_BYTES, value)


def decode_output(value: Any, info: meta_graph_pb2.TensorInfo) -> np.ndarray:
    """An output as a client reads it: [rows, ...] of the type that the signature says."""
    return _tensor("an output", value, info)


def _columns(instances: Any, names: Sequence[str]) -> dict[str, list[Any]]:
    if not isinstance(instances, list) or not instances:
        raise InvalidRequest("'instances' is a list of at least one instance.")
    if not any(_is_object(row) for row in instances):
        if len(names) > 1:
            raise InvalidRequest(f"Each instance is an object with the keys {sorted(names)}.")
        return {names[0]: instances}
    for row in instances:
        if not _is_object(row):
            raise InvalidRequest("The instances are all objects, or all values.")
        _check_keys(row, names)
    return {name: [row[name] for row in instances] for name in names}


def _check_keys(found: Mapping[str, Any], names: Sequence[str]) -> None:
    if set(found) != set(names):
        raise InvalidRequest(
            f"The inputs are {sorted(names)}; over REST every one is given, also those with a "
            f"default. Received: {sorted(found)}."
        )


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def _tensor(name: str, value: Any, info: meta_graph_pb2.TensorInfo) -> np.ndarray:
    try:
        return fitted(name, _decoded(name, value) if info.dtype == _STRING else value, info)
    except RecursionError as error:
        raise InvalidRequest(f"{name!r} is nested too deeply.") from error


def _decoded(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(name, item) for item in value]
    if not _is_base64(value):
        return value
    try:
        return base64.b64decode(value["b64"], validate=True)
    except ValueError as error:  # of text beyond ASCII it is no `binascii.Error`
        raise InvalidRequest(f"{name!r} is not in base64: {error}.") from error


def _plain(name: str, value: np.ndarray) -> Any:
    kind = value.dtype.kind
    if kind == "f" and value.dtype.itemsize >= 4:
        if value.dtype == np.float32:  # nine digits say it all, and are half the text of a double
            numbers = [float(f"{number:.9g}") for number in value.reshape(-1).tolist()]
            return np.array(numbers, np.float64).reshape(value.shape).tolist()
        return value.tolist()
    if kind in "iub":
        return value.tolist()
    if kind == "O":
        return _encoded(value.tolist(), name.endswith(_BYTES))
    raise InvalidRequest(f"JSON cannot write {name!r}, which is of {value.dtype.name}.")


def _encoded(value: Any, as_bytes: bool) -> Any:
    if isinstance(value, list):
        return [_encoded(item, as_bytes) for item in value]
    if as_bytes:
        return {"b64": base64.b64encode(value).decode("ascii")}
    return value.decode(errors="replace")
