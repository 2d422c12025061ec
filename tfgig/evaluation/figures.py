"""Curves and studies of an experiment, drawn."""

from __future__ import annotations

import math
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from tfgig.evaluation.results import Results
from tfgig.evaluation.table import Table
from tfgig.metrics import Metric


def draw_curves(
    results: Results, metrics: Mapping[str, Metric], directory: pathlib.Path
) -> list[pathlib.Path]:
    """One figure for each curve of each metric, all methods in it; returns the files."""
    files = []
    for name, metric in metrics.items():
        curves: dict[str, dict[str, Any]] = {}
        for method in results.methods:
            for column, curve in metric.curves(results.statistics(method, name)).items():
                curves.setdefault(column, {})[method] = curve
        for column, by_method in curves.items():
            figure, axis = _figure()
            for method, curve in by_method.items():
                axis.plot(curve.x, curve.y, label=method, linewidth=1.5)
            some = next(iter(by_method.values()))
            axis.set(xlabel=some.x_label, ylabel=some.y_label, xlim=(0, 1), ylim=(0, 1.02))
            files.append(_save(figure, axis, directory / f"{name}.{column}.png"))
    return files


def draw_steps(table: Table, directory: pathlib.Path) -> list[pathlib.Path]:
    """One figure for each column over the number of steps, of the methods that vary in it."""
    lines: dict[str, dict[int, str]] = {}
    for method in table.methods:
        found = re.search(r"[\[,]steps=(\d+)\]$", method)
        if found:
            rest = method[: found.start()] + ("]" if method[found.start()] == "," else "")
            lines.setdefault(rest, {})[int(found[1])] = method
    lines = {name: steps for name, steps in lines.items() if len(steps) > 1}
    files = []
    for metric, column in table.columns if lines else ():
        figure, axis = _figure()
        for name, steps in lines.items():
            cells = {n: table.cells[m, metric, column.name] for n, m in sorted(steps.items())}
            known = {n: cell.value for n, cell in cells.items() if not math.isnan(cell.value)}
            axis.plot(list(known), list(known.values()), marker="o", label=name)
        axis.set_xscale("log", base=2)
        axis.set(xlabel="steps", ylabel=f"{metric}: {column.name}")
        files.append(_save(figure, axis, directory / f"steps.{metric}.{column.name}.png"))
    return files


def _figure():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6, 4.2))
    colours = pyplot.cycler(color=matplotlib.colormaps["tab10"].colors)
    axis.set_prop_cycle(pyplot.cycler(linestyle=["-", "--", ":"]) * colours)  # 30 methods apart
    return figure, axis


def _save(figure, axis, path: pathlib.Path) -> pathlib.Path:
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    axis.legend(fontsize=7, frameon=False, handlelength=3)
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path
