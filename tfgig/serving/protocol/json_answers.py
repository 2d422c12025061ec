"""Answers over REST, and what a client writes and reads there.

An answer is rows under "predictions" or columns under "outputs". Bytes are `{"b64": "..."}`, in
answers where the output's name ends in `_bytes`. A single output loses its name.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.serving.protocol.arguments import fitted
from tfgig.serving.protocol.errors import InvalidRequest
from tfgig.serving.protocol.json_requests import Layout
from tfgig.serving.protocol.json_tensors import is_base64, type_text

_BYTES = "_bytes"
_DIGITS = {4: 9, 8: 17}  # that tell any two numbers apart, by the bytes of the type


def encode_outputs(outputs: Mapping[str, np.ndarray], layout: Layout, key: str = "") -> bytes:
    """The body of an answer.

    Args:
        outputs: The outputs [B, ...] by name.
        layout: That of the request.
        key: What the rows are called, if not "predictions".

    Raises:
        InvalidRequest: the outputs do not have equally many rows, or a type JSON cannot write.
    """
    if layout == "column":
        texts = {name: _text(name, value) for name, value in outputs.items()}
        return f'{{"outputs":{_named(texts) if len(texts) > 1 else texts.popitem()[1]}}}'.encode()
    _check_rows(outputs)
    columns = {name: _texts(name, value) for name, value in outputs.items()}
    if len(columns) == 1:
        rows = next(iter(columns.values()))
    else:
        rows = [
            _named(dict(zip(columns, row, strict=True)))
            for row in zip(*columns.values(), strict=True)
        ]
    return f'{{"{key or "predictions"}":[{",".join(rows)}]}}'.encode()


def dump(value: Any) -> bytes:
    """JSON text; NaN and infinity are written bare, as TensorFlow Serving writes them."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(
        errors="surrogatepass"
    )


def encode_error(message: str) -> bytes:
    """The body of an error."""
    return dump({"error": message})


def plain_input(value: np.ndarray) -> Any:
    """An input as a client writes it, its bytes in base64."""
    if value.dtype.kind == "O":
        return _encoded(value.tolist())
    if value.dtype == np.float32:  # nine digits say it all, and are half the text of a double
        numbers = [float(f"{number:.9g}") for number in value.reshape(-1).tolist()]
        return np.array(numbers, np.float64).reshape(value.shape).tolist()
    if value.dtype.kind in "iub" or value.dtype == np.float64:
        return value.tolist()
    raise InvalidRequest(f"JSON cannot write an input of {value.dtype.name}.")


def decode_output(value: Any, info: meta_graph_pb2.TensorInfo) -> np.ndarray:
    """An output as a client reads it: [rows, ...] of the type that the signature says."""
    return fitted("an output", _decoded(value), info)


def _check_rows(outputs: Mapping[str, np.ndarray]) -> None:
    rows = None
    for name, value in sorted(outputs.items()):
        if value.ndim == 0:
            raise InvalidRequest(f"Tensor name: {name} has no shape information ")
        if rows not in (None, value.shape[0]):
            raise InvalidRequest(
                f"Tensor name: {name} has inconsistent batch size: {value.shape[0]} expecting: "
                f"{rows}"
            )
        rows = value.shape[0]


def _named(texts: Mapping[str, str]) -> str:
    return f"{{{','.join(f'{json.dumps(name)}:{text}' for name, text in texts.items())}}}"


def _text(name: str, value: np.ndarray) -> str:
    """A tensor as JSON."""
    return _texts(name, value[np.newaxis])[0]


def _texts(name: str, value: np.ndarray) -> list[str]:
    """Each row of a tensor [B, ...] as JSON."""
    texts = _leaves(name, value)
    for axis in range(value.ndim - 1, 0, -1):
        size, count = value.shape[axis], int(np.prod(value.shape[:axis]))
        texts = [f"[{','.join(texts[i * size : (i + 1) * size])}]" for i in range(count)]
    return texts


def _leaves(name: str, value: np.ndarray) -> list[str]:
    """The values of a tensor, one after the other, as JSON."""
    flat, kind = value.reshape(-1), value.dtype.kind
    if kind == "f" and value.dtype.itemsize in _DIGITS:
        return _decimals(flat)
    if kind == "b":
        return ["true" if item else "false" for item in flat.tolist()]
    if kind in "iu":
        return list(map(str, flat.tolist()))
    if kind == "O":
        if name.endswith(_BYTES):
            return [f'{{"b64":"{base64.b64encode(item).decode("ascii")}"}}' for item in flat]
        return [json.dumps(item.decode(errors="replace"), ensure_ascii=False) for item in flat]
    dtype = type_text(tf.dtypes.as_dtype(value.dtype))
    raise InvalidRequest(f"Failed to write JSON value for tensor type: {dtype}")


def _decimals(flat: np.ndarray) -> list[str]:
    """Numbers with six digits where those say it all, else with as many as any may need."""
    digits = _DIGITS[flat.itemsize]
    short = [f"{number:.6g}" for number in flat.tolist()]
    read = np.array(short, np.float64).astype(flat.dtype) if short else flat
    texts = [
        text if exact else f"{number:.{digits}g}"
        for text, exact, number in zip(short, (read == flat).tolist(), flat.tolist(), strict=True)
    ]
    return [_decimal(text) for text in texts]


def _decimal(text: str) -> str:
    """A number as TensorFlow Serving writes it: whole ones end in ".0"."""
    special = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text)
    if special is not None:
        return special
    return text if "." in text or "e" in text else f"{text}.0"


def _encoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    return {"b64": base64.b64encode(value).decode("ascii")}


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return base64.b64decode(value["b64"]) if is_base64(value) else value
