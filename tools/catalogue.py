"""What the named methods are, read off the specs themselves and their docstrings."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from typing import Any, NamedTuple

from tfgig import presets
from tfgig.methods import PathIntegral
from tfgig.quadratures import Quadrature
from tfgig.spec import Spec, leaves, to_config

_WIDTH = 100


class Entry(NamedTuple):
    """A preset: what it is called, made of and published as, its options and its cost."""

    name: str
    title: str
    formulas: dict[str, str]  # by the part's place in the preset and its kind
    references: tuple[str, ...]
    options: dict[str, Any]  # defaults by dotted name
    gradients: int  # at most
    fewest_gradients: int


def describe(name: str) -> Entry:
    """The entry of a preset.

    Raises:
        ValueError: the name is unknown; the error suggests the nearest.
    """
    method = presets.get(name)
    parts = {"": method, **{n: v for n, v, _ in leaves(method) if isinstance(v, Spec)}}
    # The engine's papers are those of its path and rule; a quadrature is a textbook's.
    published = [p for p in parts.values() if not isinstance(p, (PathIntegral, Quadrature))]
    references = dict.fromkeys(ref for part in published for ref in _references(part))
    return Entry(
        name,
        presets.title(name),
        {
            f"{place} = {part.kind}" if place else part.kind: _first(part)
            for place, part in parts.items()
        },
        tuple(references),
        {n: to_config(v) for n, v, _ in leaves(method) if not isinstance(v, Spec)},
        method.gradients,
        method.fewest_gradients,
    )


def text(entry: Entry) -> str:
    """An entry as a paragraph of plain text."""
    lines = [f"{entry.name}: {entry.title}; {_cost(entry)}"]
    for part, formula in entry.formulas.items():
        lines.append(_indented(f"{part}: {formula}"))
    options = " ".join(f"--{entry.name}.{n}={_value(v)}" for n, v in entry.options.items())
    lines += [_indented(options)] if options else []
    lines += [_indented(reference) for reference in entry.references]
    return "\n".join(lines)


def _cost(entry: Entry) -> str:
    if entry.fewest_gradients < entry.gradients:
        return f"{entry.fewest_gradients} to {entry.gradients} gradients"
    return {0: "no gradients", 1: "1 gradient"}.get(entry.gradients, f"{entry.gradients} gradients")


def _value(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _indented(line: str) -> str:
    return textwrap.fill(
        line,
        _WIDTH,
        initial_indent="  ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _first(part: Spec) -> str:
    """The first paragraph of a spec's docstring: its formula or what it is."""
    return re.sub(r"\s+", " ", (inspect.getdoc(type(part)) or "").split("\n\n")[0])


def _references(part: Spec) -> list[str]:
    """The papers that a spec's docstring names, without the places in them."""
    doc = inspect.getdoc(type(part)) or ""
    section = re.search(r"^References:\n((?: {4}.*\n?)+)", doc, re.MULTILINE)
    if not section:
        return []
    whole = re.sub(r"\s+", " ", section.group(1)).strip()
    found = re.findall(r"[^;]*?\((?:19|20)\d\d\)[^;]*?(?:arXiv:[\d.]+\d|doi:\S+\d|$)", whole)
    return [reference.strip(" .;,") for reference in found]
