"""Ours beside what was published: figures, and whether the order of methods agrees."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import NamedTuple

from tfgig.evaluation.protocols import Protocol
from tfgig.evaluation.table import Cell, format_number


class Agreement(NamedTuple):
    """Of `pairs` pairs of methods that a paper tells apart, `same` are in the same order here."""

    same: int
    pairs: int


def agreement(ours: Mapping[str, float], published: Mapping[str, float]) -> Agreement:
    """How far two lists of values, by method, put the methods in one order."""
    names = [name for name in published if not math.isnan(ours.get(name, math.nan))]
    same = pairs = 0
    for first, second in itertools.combinations(names, 2):
        there = published[first] - published[second]
        if there != 0:
            pairs += 1
            same += (ours[first] - ours[second]) * there > 0
    return Agreement(same, pairs)


def render(protocol: Protocol, ours: Mapping[str, Mapping[str, Cell]]) -> str:
    """The comparison as text.

    Args:
        protocol: The published table.
        ours: By model and row: what was measured here.
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
        values = {row: cell.value for row, cell in ours[model].items()}
        for paper in papers:
            found = agreement(values, protocol.published[paper])
            word = "agrees" if found.same == found.pairs else "differs"
            lines.append(f"  {model} and {paper}: {found.same} of {found.pairs}, the order {word}")
    if protocol.skipped:
        lines.append(f"Not measured: {', '.join(protocol.skipped)}.")
    if protocol.absent:
        lines.append(f"No method here for: {', '.join(protocol.absent)}.")
    return "\n".join(lines) + "\n"


def _interval(cell: Cell) -> str:
    if math.isnan(cell.low):
        return format_number(cell.value)
    low, high = format_number(cell.low), format_number(cell.high)
    return f"{format_number(cell.value)} [{low}, {high}]"


def _cut(text: str, width: int = 15) -> str:
    return text if len(text) <= width else text[: width - 1] + "."
