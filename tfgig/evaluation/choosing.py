"""Which method to choose: all of them at their defaults, judged on the same images.

A study of one model is an experiment with the metrics below, in a directory of its own, and beside
its results `seconds.jsonl`: one line for each batch that a method explained.
"""

from __future__ import annotations

import json
import math
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfgig import presets
from tfgig.evaluation.results import Results
from tfgig.evaluation.table import Cell, cells_of, format_number, told_apart
from tfgig.image.overlay import COLOURS
from tfgig.methods import Method
from tfgig.metrics import (
    Completeness,
    Deletion,
    DiffID,
    InformationCurve,
    Insertion,
    IntegrationError,
    Localization,
    Metric,
    Smoothed,
)
from tfgig.metrics.subject import EvaluatedMethod
from tfgig.spec import nearest

SECONDS = "seconds.jsonl"
SMOOTHED = ("ig", "ig_idgi", "guided_ig_idgi")  # whose maps are also judged smoothed
PICTURED = (
    "gradient",
    "ig",
    "ig_smoothed",
    "guided_ig_idgi",
    "blur_ig",
    "grad_cam",
    "block_ig",
    "multiscale_ig",
)
_ENDING = "_smoothed"
_STRONGEST = 99.0  # percentile of a map that is drawn at full strength


class Measure(NamedTuple):
    """A column of the table: a metric's, under a heading."""

    heading: str
    metric: Metric
    column: str


MEASURES = {
    measure.metric.kind: measure
    for measure in (
        Measure("ROC-AUC", Localization(), "roc_auc"),
        Measure("insertion", Insertion(), "probability"),
        Measure("deletion", Deletion(), "probability"),
        Measure("DiffID", DiffID(), "probability_ratio"),
        Measure("SIC", InformationCurve(), "sic"),
        Measure("`error`", IntegrationError(), "error"),
        Measure("relative delta", Completeness(), "relative_delta"),
    )
}


def methods(names: Sequence[str] = ()) -> dict[str, EvaluatedMethod]:
    """The presets with these names, or all; `<name>_smoothed` smooths the preset's map.

    Raises:
        ValueError: a name is unknown; the error suggests the nearest.
    """
    known: dict[str, EvaluatedMethod] = {name: presets.get(name) for name in presets.names()}
    for name in SMOOTHED:
        known[name + _ENDING] = Smoothed(presets.get(name))
    for name in names:
        if name not in known:
            raise ValueError(f"Unknown method {name!r}. {nearest(name, known)}")
    return {name: known[name] for name in names or known}


def measures(names: Sequence[str] = ()) -> dict[str, Measure]:
    """The columns of those metrics, or all.

    Raises:
        ValueError: a name is unknown; the error suggests the nearest.
    """
    for name in names:
        if name not in MEASURES:
            raise ValueError(f"Unknown measure {name!r}. {nearest(name, MEASURES)}")
    return {name: MEASURES[name] for name in names or MEASURES}


class Seconds:
    """The seconds that explanations took, kept in a study's directory."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._path = directory / SECONDS

    def add(self, method: str, images: int, seconds: float, cores: float) -> None:
        """Keeps what a batch of images took, on the clock and of all cores together."""
        line = json.dumps(
            {"method": method, "images": images, "seconds": seconds, "core_seconds": cores}
        )
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def per_image(self) -> dict[str, tuple[float, float]]:
        """By method: medians over its batches of the seconds an image, and of those of cores."""
        if not self._path.is_file():
            return {}
        found: dict[str, list[tuple[float, float]]] = {}
        for text in self._path.read_text(encoding="utf-8").splitlines(keepends=True):
            if text.endswith("\n"):  # a killed run leaves half a line
                line = json.loads(text)
                taken = (line[key] / line["images"] for key in ("seconds", "core_seconds"))
                found.setdefault(line["method"], []).append((next(taken), next(taken)))
        return {
            method: (
                statistics.median(v[0] for v in values),
                statistics.median(v[1] for v in values),
            )
            for method, values in found.items()
        }


def render(
    results: Results,
    judged: Mapping[str, EvaluatedMethod],
    shown: Mapping[str, Measure],
    seconds: Mapping[str, tuple[float, float]],
    resamples: int,
) -> str:
    """The study's table, in Markdown: the best of a column bold, `~` at those that tie with it.

    Values are means over images, of `relative delta` the median, with the half width of their 95 %
    interval by the bootstrap over images. Seconds are of one image in a batch; those of cores say
    what it costs on a machine that has other work, too.
    """
    cells = {
        name: {
            method: cells_of(m.metric, results.statistics(method, name), resamples, 0)[m.column]
            for method in judged
        }
        for name, m in shown.items()
    }
    heads = [*(m.heading for m in shown.values()), "gradients", "seconds", "core seconds"]
    lines = [
        f"| {' | '.join(['method', *heads])} |",
        "|" + "---|" * (1 + len(heads)),
    ]
    best = {name: _best(shown[name], row) for name, row in cells.items()}
    for method, spec in judged.items():
        texts = [
            _text(row[method], method == best[name], row.get(best[name] or ""))
            for name, row in cells.items()
        ]
        gradients = (spec if isinstance(spec, Method) else spec.method).gradients
        taken = [f"{value:.2g}" for value in seconds.get(method, ())] or ["-", "-"]
        texts += [str(gradients), *taken]
        lines.append(f"| {' | '.join([f'`{method}`', *texts])} |")
    return "\n".join(lines) + "\n"


def _best(measure: Measure, row: Mapping[str, Cell]) -> str | None:
    known = {name: cell.value for name, cell in row.items() if not math.isnan(cell.value)}
    (column,) = (c for c in measure.metric.columns if c.name == measure.column)
    if not known or column.larger_is_better is None:
        return None
    return (max if column.larger_is_better else min)(known, key=known.__getitem__)


def _text(cell: Cell, is_best: bool, best: Cell | None) -> str:
    if math.isnan(cell.value):
        return "-"
    text = format_number(cell.value)
    if not math.isnan(cell.low):
        text += f" ± {(cell.high - cell.low) / 2:.2g}"
    if is_best:
        return f"**{text}**"
    tied = best is not None and cell.draws and not told_apart(cell, best)
    return f"~{text}" if tied else text


def draw(
    results: Results,
    pictures: Sequence[tuple[str, np.ndarray, np.ndarray]],
    file: pathlib.Path,
    columns: Sequence[str] = PICTURED,
) -> None:
    """Draws maps side by side, each scaled to its own 99th percentile, with the object's outline.

    Args:
        results: Of a study that kept maps.
        pictures: Of each example its name, its image [H, W, C] in 0..255, and its mask [H, W].
        file: The picture's file.
        columns: Which methods, of those that were judged.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("strength", COLOURS)
    shown = [name for name in columns if name in results.methods]
    kept = [
        (image, mask, [results.map(name, example) for name in shown])
        for example, image, mask in pictures
    ]
    figure, axes = pyplot.subplots(
        len(kept), 1 + len(shown), figsize=(1.5 * (1 + len(shown)), 1.5 * len(kept) + 0.3)
    )
    grid: Any = np.reshape(axes, (len(kept), -1))
    for axis, title in zip(grid[0], ["image", *shown], strict=True):
        axis.set_title(title, fontsize=9)
    for line, (image, mask, maps) in zip(grid, kept, strict=True):
        for axis in line:
            axis.set_axis_off()
        line[0].imshow(np.clip(image, 0, 255).astype(np.uint8).squeeze(), cmap="gray")
        for axis, values in zip(line[1:], maps, strict=True):
            if values is not None:
                most = max(float(np.percentile(values, _STRONGEST)), 1e-30)
                axis.imshow(values.clip(0), cmap=colours, vmin=0, vmax=most)
        for axis in line:
            if mask.any():
                axis.contour(mask, levels=[0.5], colors="#3fd0ff", linewidths=0.7)
    figure.tight_layout(pad=0.4)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
