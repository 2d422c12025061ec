"""Text from elsewhere, fit for a terminal."""

from __future__ import annotations

import re
from typing import Any, TextIO

# Control characters, which a terminal obeys; what turns the direction of writing; halves of
# characters, which cannot be written at all. Line ends and tabs stay.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with what a terminal would obey written out, such as `\\x1b`.

    Labels, names of files and of layers, and the texts of errors come from files of others.
    """
    return _UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], text)


class Printable:
    """A stream that writes printable text; for the rest as the one that it stands before.

    Returns to the line's start are let through: a progress bar draws with them.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write("\r".join(map(printable, text.split("\r"))))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
