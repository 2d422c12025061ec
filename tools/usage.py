"""What a program's `--help` prints: what it does, examples, and its flags by topic."""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from absl import flags

Topics = Mapping[str, Sequence[str]]  # a heading to the names of flags; "ig.*" is all of one spec's
_WIDEST = 100
_LONGEST = 60  # default that is shown
_INDENT = 26  # where what a flag does begins
_METAVARS = {"int": "N", "float": "X", "bool": "", "comma separated list of strings": "A,B"}


def usage(doc: str, topics: Topics, known: flags.FlagValues, width: int) -> str:
    """The text of a program's `--help`.

    Args:
        doc: The program's docstring: a line that says what it does, examples, and more.
        topics: Its flags by topic.
        known: All flags by name.
        width: Of the terminal, in characters.
    """
    parts = [doc.strip()]
    for topic, names in topics.items():
        parts.append("\n".join([f"{topic}:", *_lines(names, known, width)]))
    parts.append("--helpfull explains every option of every method, and the flags of logging.")
    return "\n\n".join(parts) + "\n"


def bold_headings(text: str) -> str:
    """The text as a terminal shows it, with the headings of topics in bold."""
    return re.sub(r"^(\S.*:)$", "\x1b[1m\\1\x1b[0m", text, flags=re.MULTILINE)


def takes_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal whose user has not asked for plain text."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


def terminal_width() -> int:
    """In characters, as far as they are used."""
    return min(shutil.get_terminal_size().columns, _WIDEST)


def named(topics: Topics, known: flags.FlagValues) -> list[str]:
    """The names of the flags of all topics, in their order."""
    return [flag for names in topics.values() for name in names for flag in _matching(name, known)]


def _matching(name: str, known: flags.FlagValues) -> list[str]:
    if not name.endswith(".*"):
        return [name]
    return [flag for flag in known if flag.startswith(name[:-1])]


def _lines(names: Sequence[str], known: flags.FlagValues, width: int) -> Iterator[str]:
    for name in names:
        if name.endswith(".*"):
            yield from _options(name[:-2], _matching(name, known), width)
            continue
        flag = known[name]
        yield from _entry(_written(flag), f"{_said(flag)}{_default(flag)}", width)


def _options(spec: str, options: Sequence[str], width: int) -> Iterator[str]:
    shown = ", ".join(option.removeprefix(f"{spec}.") for option in options)
    yield from _entry(f"--{spec}.<option>", f"of: {shown}", width)


def _entry(head: str, text: str, width: int) -> Iterator[str]:
    wrapped = textwrap.wrap(text, max(width - _INDENT, 30), break_on_hyphens=False)
    first = f"  {head}"
    if len(first) > _INDENT - 2:
        yield first
    else:
        yield f"{first:{_INDENT}}{wrapped.pop(0)}"
    for line in wrapped:
        yield f"{'':{_INDENT}}{line}"


def _written(flag: Any) -> str:
    """How a flag is written, with what it takes."""
    if flag.boolean:
        return f"--[no]{flag.name}" if flag.default or flag.default is None else f"--{flag.name}"
    choices = getattr(flag.parser, "enum_values", None)
    if choices:
        return f"--{flag.name}={'|'.join(choices)}"
    return f"--{flag.name}={_METAVARS.get(flag.flag_type(), 'TEXT')}"


def _said(flag: Any) -> str:
    """What the program says of a flag, without what absl adds to it."""
    text = re.sub(r"^<[^>]*>: ", "", flag.help)
    return re.sub(r";\s+repeat this option to specify a list of values$", "", text)


def _default(flag: Any) -> str:
    """What holds if the flag is not given, where that says something."""
    if flag.boolean or flag.default in (None, "", []) or "default" in flag.help:
        return ""
    value = flag.default
    shown = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return f" (default: {shown})" if len(shown) <= _LONGEST else ""
