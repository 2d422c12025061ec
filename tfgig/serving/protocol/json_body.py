"""The body of a request over REST: a JSON object, read as TensorFlow Serving reads it."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from tfgig.serving.protocol.errors import InvalidRequest

MAX_VALUES = 12_000_000  # of a body: eighty images of 224 x 224 x 3
MAX_PARTS = 4_000_000  # lists and objects
_SHOWN = 256  # letters of a value in an error
_WORDS = (b"true", b"false", b"null")
_LARGE = re.compile(rb"[eE]\+?0*[1-9][0-9]{2}")  # an exponent that a double may not hold
# What RapidJSON says where Python's reader says otherwise.
_TEXTS = {
    "Expecting value": "Invalid value.",
    "Extra data": "The document root must not be followed by other values.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Expecting ',' delimiter": "Missing a comma or ] after an array element.",
}


@dataclasses.dataclass(frozen=True)
class Body:
    """A JSON object.

    Args:
        values: What it holds; of a key that stands twice, the first.
        words: Whether `true`, `false` or `null` may be among it.
    """

    values: Mapping[str, Any]
    words: bool = True


def parse(body: bytes) -> Body:
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
    if not body.strip():
        raise InvalidRequest("JSON Parse error: The document is empty")
    number = _number if _LARGE.search(body) else None
    try:
        with _uncollected():
            found = json.loads(body, object_pairs_hook=_first, parse_float=number)
    except json.JSONDecodeError as error:
        text = _TEXTS.get(error.msg, f"{error.msg}.")
        raise InvalidRequest(f"JSON Parse error: {text} at offset: {error.pos}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"JSON Parse error: {error}") from error
    if not isinstance(found, dict):
        raise InvalidRequest(f"JSON Value: {shown(found)} Is not object")
    return Body(found, any(word in body for word in _WORDS))


def signature_name(body: Body) -> str:
    """The signature that a request names; the empty text if it names none.

    Raises:
        InvalidRequest: its name is no text.
    """
    name = body.values.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidRequest(
            f"JSON Value: {shown(body.values)} not formatted correctly. 'signature_name' key must "
            "be a string value."
        )
    return name


def shown(value: Any) -> str:
    """The beginning of a value, as it stands in an error."""
    text = ""
    for part in json.JSONEncoder(indent=4).iterencode(value):
        text += part
        if len(text) > _SHOWN:
            return f"{text[:_SHOWN]}..."
    return text


def _first(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else dict(reversed(pairs))


def _number(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("Number too big to be stored in double.")
    return number


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
