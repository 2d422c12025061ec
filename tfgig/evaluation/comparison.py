"""Ours beside what was published: figures, and whether the order of methods agrees."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tfgig.evaluation.protocols import Protocol
from tfgig.evaluation.table import Cell, format_number, told_apart


class Agreement(NamedTuple):
    """Of `pairs` pairs of methods that a paper tells apart, `same` are in the same order here.

    Of those, `clear_pairs` are told apart here as well, `clear_same` of them in the same order.
    """

    same: int
    pairs: int
    clear_same: int
    clear_pairs: int


def agreement(ours: Mapping[str, Cell], published: Mapping[str, float]) -> Agreement:
    """How far two lists of values, by method, put the methods in one order."""
    names = [name for name in published if name in ours and not math.isnan(ours[name].value)]
    pairs = []
    for first, second in itertools.combinations(names, 2):
        there = published[first] - published[second]
        if there != 0:
            here = ours[first].value - ours[second].value
            pairs.append((here * there > 0, told_apart(ours[first], ours[second])))
    clear = [same for same, apart in pairs if apart]
    return Agreement(sum(same for same, _ in pairs), len(pairs), sum(clear), len(clear))


def render(
    protocol: Protocol,
    ours: Mapping[str, Mapping[str, Cell]],
    notes: Mapping[str, Iterable[str]] | None = None,
) -> str:
    """The comparison as text.

    Args:
        protocol: The published table.
        ours: By model and row: what was measured here.
        notes: By model: what does not count, in sentences.
    """
    rows = dict.fromkeys(row for figures in protocol.published.values() for row in figures)
    width = max(map(len, rows)) + 2
    models, papers = list(ours), list(protocol.published)
    shown = papers[:5]
    lines = [f"{protocol.name}: {protocol.what}", ""]
    head = "".join(f"{_cut(m, 30):>32}" for m in models) + " |"
    lines.append(f"{'':{width}}{head}" + "".join(f"{_cut(p):>17}" for p in shown))
    for row in rows:
        line = f"{row:{width}}"
        for model in models:
            cell = ours[model].get(row)
            line += f"{'-' if cell is None else _interval(cell):>32}"
        line += " |"
        for paper in shown:
            value = protocol.published[paper].get(row, math.nan)
            line += f"{format_number(value):>17}"
        lines.append(line)
    if len(papers) > len(shown):
        lines.append(f"{'':{width}}({len(papers) - len(shown)} more models in the paper)")
    lines += ["", "Pairs of methods in the paper's order:"]
    for model in models:
        for paper in papers:
            found = agreement(ours[model], protocol.published[paper])
            if found.pairs == 0:
                lines.append(f"  {model} and {paper}: nothing to compare")
                continue
            word = "agrees" if found.same == found.pairs else "differs"
            lines.append(
                f"  {model} and {paper}: {found.same} of {found.pairs}, the order {word}; of the "
                f"{found.clear_pairs} that differ clearly here, {found.clear_same}"
            )
    lines += [f"{model}: {note}" for model, some in (notes or {}).items() for note in some]
    if protocol.skipped:
        lines.append(f"Not measured: {', '.join(protocol.skipped)}.")
    return "\n".join(lines) + "\n"


def _interval(cell: Cell) -> str:
    if math.isnan(cell.low):
        return format_number(cell.value)
    low, high = format_number(cell.low), format_number(cell.high)
    return f"{format_number(cell.value)} [{low}, {high}]"


def _cut(text: str, width: int = 15) -> str:
    return text if len(text) <= width else text[: width - 1] + "."
