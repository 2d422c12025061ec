"""Tables as in papers: methods as rows, metrics as columns, the best marked, with intervals."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfgig.evaluation.results import Results
from tfgig.metrics import Column, Metric, Statistic

CONFIDENCE = 0.95
TIED = "not clearly different from it: the 95 % interval of the per-image difference contains 0"


class Cell(NamedTuple):
    """One number of a table: NaN if no example has it; its interval, and how many have it.

    `best` and `tied`: whether it is its column's best, or not told apart from that. `draws`: the
    bootstrap's values, which are those of the same examples for every method.
    """

    value: float
    low: float
    high: float
    examples: int
    best: bool = False
    tied: bool = False
    draws: tuple[float, ...] = ()


class Table(NamedTuple):
    """`cells` by (method, metric, column)."""

    methods: tuple[str, ...]
    columns: tuple[tuple[str, Column], ...]  # the metric's name, and the column
    cells: dict[tuple[str, str, str], Cell]


def make_table(
    results: Results, metrics: Mapping[str, Metric], resamples: int = 500, seed: int = 0
) -> Table:
    """The table of an experiment.

    Args:
        results: What was found.
        metrics: The experiment's metrics, by name.
        resamples: How many times the examples are drawn anew, with repetition, for the intervals;
            0 for none.
        seed: The draws. All methods are judged on the same.
    """
    cells: dict[tuple[str, str, str], Cell] = {}
    columns = tuple((name, column) for name, m in metrics.items() for column in m.columns)
    for name, metric in metrics.items():
        found = {
            method: cells_of(metric, results.statistics(method, name), resamples, seed)
            for method in results.methods
        }
        for column in metric.columns:
            best = _best(column, {method: row[column.name] for method, row in found.items()})
            for method, row in found.items():
                cell = row[column.name]
                tied = best not in (None, method) and _tied(cell, found[best][column.name])
                cells[method, name, column.name] = cell._replace(best=method == best, tied=tied)
    return Table(tuple(results.methods), columns, cells)


def cells_of(
    metric: Metric, statistics: Mapping[str, Statistic], resamples: int, seed: int
) -> dict[str, Cell]:
    """The cells of one method and metric, by column, with intervals by the bootstrap.

    References:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13: percentiles.
    """
    rows = metric.rows([statistics[name] for name in sorted(statistics)])  # draws are by place
    values = metric.reduce(rows)
    counts = metric.defined(statistics)
    random = np.random.default_rng(seed)
    drawn = [
        metric.reduce(rows[random.integers(0, len(rows), len(rows))])
        for _ in range(resamples if len(rows) > 1 else 0)
    ]
    cells = {}
    for column in metric.columns:
        name = column.name
        draws = tuple(values[name] for values in drawn)
        cells[name] = Cell(values[name], *_interval(draws), counts[name], draws=draws)
    return cells


def told_apart(first: Cell, second: Cell) -> bool:
    """Whether the interval of the difference of two methods leaves out 0.

    The difference is taken draw by draw, over the same examples: images that are hard for one
    method are hard for another, so two methods may be told apart whose intervals overlap.
    """
    low, high = _difference(first, second)
    return low > 0 or high < 0  # not if they are NaN


def _tied(first: Cell, second: Cell) -> bool:
    low, high = _difference(first, second)
    return low <= 0 <= high  # not if they are NaN either


def _difference(first: Cell, second: Cell) -> tuple[float, float]:
    """The interval of the difference, draw by draw; NaN where nothing is known of it."""
    if len(first.draws) != len(second.draws):
        return math.nan, math.nan
    return _interval(np.subtract(first.draws, second.draws))


def _interval(draws: Sequence[float] | np.ndarray) -> tuple[float, float]:
    known = np.asarray(draws, np.float64)
    known = known[np.isfinite(known)]
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(known, (tail, 100 - tail)) if known.size else (math.nan, math.nan)
    return float(low), float(high)


def render(table: Table) -> str:
    """The table as text, one block a metric: value, interval, `*` at the best, `~` at the tied."""
    width = max(map(len, table.methods)) + 2
    blocks = []
    for metric in dict.fromkeys(metric for metric, _ in table.columns):
        columns = [column for name, column in table.columns if name == metric]
        lines = [f"{metric:{width}}" + "".join(_heading(column) for column in columns)]
        for method in table.methods:
            cells = (table.cells[method, metric, column.name] for column in columns)
            lines.append(f"{method:{width}}" + "".join(f"{_text(cell):>32}" for cell in cells))
        blocks.append("\n".join(line.rstrip() for line in lines))
    if any(cell.tied for cell in table.cells.values()):
        blocks.append(f"* the best; ~ {TIED}.")
    return "\n\n".join(blocks) + "\n"


def to_csv(table: Table) -> str:
    """The table as CSV, one line a cell."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["method", "metric", "column", "value", "low", "high", "examples", "best", "tied"]
    )
    for (method, metric, column), cell in table.cells.items():
        values = ["" if math.isnan(x) else repr(float(x)) for x in cell[:3]]
        counts = (cell.examples, int(cell.best), int(cell.tied))
        writer.writerow([method, metric, column, *values, *counts])
    return file.getvalue()


def to_config(table: Table) -> list[dict[str, Any]]:
    """The table as plain data, one dictionary a cell, named as in the CSV."""
    return [
        {
            "method": method,
            "metric": metric,
            "column": column,
            **{name: value for name, value in cell._asdict().items() if name != "draws"},
        }
        for (method, metric, column), cell in table.cells.items()
    ]


def format_number(value: float) -> str:
    """A number at three significant places, or a dash."""
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if value == 0 or 1e-2 <= abs(value) < 1e3 else f"{value:.2e}"


def in_order(column: Column, values: Mapping[str, float]) -> list[str]:
    """The names whose values are known, the best first."""
    known = [name for name, value in values.items() if not math.isnan(value)]
    return sorted(known, key=values.__getitem__, reverse=column.larger_is_better is not False)


def _best(column: Column, cells: Mapping[str, Cell]) -> str | None:
    order: Sequence[str] = in_order(column, {name: cell.value for name, cell in cells.items()})
    return order[0] if order and column.larger_is_better is not None else None


def _heading(column: Column) -> str:
    arrow = {True: " (+)", False: " (-)", None: ""}[column.larger_is_better]
    return f"{column.name + arrow:>32}"


def _text(cell: Cell) -> str:
    if math.isnan(cell.value):
        return "-"
    mark = "*" if cell.best else "~" if cell.tied else ""
    interval = f"[{format_number(cell.low)}, {format_number(cell.high)}]"
    known = not math.isnan(cell.low)
    return (
        f"{mark}{format_number(cell.value)} {interval}"
        if known
        else mark + format_number(cell.value)
    )


def notes(results: Results, metrics: Mapping[str, Metric]) -> Iterable[str]:
    """What the table does not count, in sentences."""
    out = results.left_out()
    if out:
        name, reason = next(iter(out.items()))
        yield f"{len(out)} examples were left out, such as {name}: {reason}."
    for name, metric in metrics.items():
        for column in metric.columns:
            counts: dict[str, list[str]] = {}
            for method in results.methods:
                statistics = results.statistics(method, name)
                count = metric.defined(statistics)[column.name]
                if count < len(statistics):
                    counts.setdefault(f"{count} of {len(statistics)} examples", []).append(method)
            for text, methods in counts.items():
                of = "every method" if len(methods) == len(results.methods) else ", ".join(methods)
                yield f"{name}.{column.name} is defined for {text} of {of}."
