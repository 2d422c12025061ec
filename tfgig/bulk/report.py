"""A summary as pictures and as one page."""

from __future__ import annotations

import base64
import html
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfgig.bulk.summary import ClassSummary, Mean, Summary
from tfgig.bulk.tally import Tally

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = (
    "body{font:15px system-ui,sans-serif;margin:2rem auto;max-width:60rem;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right}"
    "td:first-child,th:first-child{text-align:left}tr:nth-child(even){background:#f4f4f4}"
    "img{max-width:100%}pre{background:#f4f4f4;padding:1rem;white-space:pre-wrap}"
)
_FOR, _AGAINST = "#c0392b", "#2b6cb0"
_SATURATED = 0.995  # of a map's pixels, how many have a colour of their own


def write_pictures(
    summaries: Sequence[Summary], directory: str | os.PathLike
) -> list[pathlib.Path]:
    """Draws each summary, `summary_<answer>.png`: bars of columns or tokens, or mean maps."""
    paths = []
    for summary in summaries:
        path = pathlib.Path(directory) / f"summary_{summary.answer}.png"
        _draw(summary, path)
        paths.append(path)
    return paths


def write_page(
    summaries: Sequence[Summary],
    pictures: Sequence[pathlib.Path],
    tally: Tally,
    path: str | os.PathLike,
) -> None:
    """Writes one HTML file that needs nothing else: the counts, the pictures and the numbers."""
    parts = [f"<h1>Explanations of {tally.rows:,} rows</h1><pre>{html.escape(tally.text())}</pre>"]
    for summary, picture in zip(summaries, pictures, strict=True):
        data = base64.b64encode(picture.read_bytes()).decode()
        parts.append(f"<h2>{html.escape(summary.answer)}</h2>")
        parts.append(f'<img alt="means by class" src="data:image/png;base64,{data}">')
        parts += [f"<p>{html.escape(note)}</p>" for note in summary.notes]
        parts += [_table(found) for found in summary.classes if found.features]
    if any(summary.kind != "map" for summary in summaries):
        parts.append("<p>Means with their 95 % intervals (normal approximation), over rows.</p>")
    text = (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'><title>Explanations</title>"
        f"<style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )
    pathlib.Path(path).write_text(text, encoding="utf-8")


def _table(found: ClassSummary) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(feature.name)}</td><td>{feature.rows:,}</td>"
        f"<td>{_shown(feature.mean_absolute)}</td><td>{_shown(feature.mean, '+')}</td></tr>"
        for feature in found.features
    )
    return (
        f"<h3>{html.escape(found.name)}, {found.rows:,} rows</h3><table><tr><th></th><th>rows</th>"
        f"<th>mean |attribution|</th><th>mean</th></tr>{rows}</table>"
    )


def _shown(mean: Mean, sign: str = "") -> str:
    half = "" if np.isnan(mean.half) else f" ± {mean.half:.2g}"
    return f"{mean.value:{sign}.4g}{half}"


def _draw(summary: Summary, path: pathlib.Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if summary.kind == "map":
        rows, wide = -(-len(summary.classes) // 2), len(summary.classes) > 1
        figure = Figure(figsize=(10 if wide else 5, 2.2 * rows), layout="constrained")
        _draw_maps(figure, summary.classes)
    else:
        sizes = [0.8 + 0.24 * max(1, len(found.features)) for found in summary.classes]
        figure = Figure(figsize=(8, sum(sizes)), layout="constrained")
        axes = figure.subplots(len(sizes), 1, squeeze=False, height_ratios=sizes)
        for axis, found in zip(axes[:, 0], summary.classes, strict=True):
            _draw_bars(axis, found)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110)


def _draw_maps(figure: Figure, classes: Sequence[ClassSummary]) -> None:
    """Two classes a row; of each, the mean and the mean absolute attributions."""
    columns = 4 if len(classes) > 1 else 2
    axes = figure.subplots(-(-2 * len(classes) // columns), columns, squeeze=False).reshape(-1, 2)
    for axis in axes.ravel():
        axis.set_axis_off()
    for pair, found in zip(axes, classes, strict=False):
        if found.map is None:
            continue
        mean, absolute = found.map
        # A few pixels would leave all others without a colour.
        most, high = (np.quantile(np.abs(m), _SATURATED) or 1.0 for m in (mean, absolute))
        drawn = (
            pair[0].imshow(mean, cmap="RdBu_r", vmin=-most, vmax=most),
            pair[1].imshow(absolute, cmap="inferno", vmin=0, vmax=high),
        )
        pair[0].set_title(f"{found.name:.30}, {found.rows:,} rows", fontsize=9, parse_math=False)
        pair[1].set_title("mean |attribution|", fontsize=9)
        for axis, image in zip(pair, drawn, strict=True):
            ends = [*image.get_clim(), 0] if axis is pair[0] else image.get_clim()
            bar = figure.colorbar(image, ax=axis, shrink=0.8, ticks=ends, format="%.2g")
            bar.ax.tick_params(labelsize=7)


def _draw_bars(axis, found: ClassSummary) -> None:
    """Bars by importance, in the colour of the mean's sign."""
    shown = found.features[::-1]
    values = [feature.mean_absolute.value for feature in shown]
    halves = [np.nan_to_num(feature.mean_absolute.half) for feature in shown]
    colours = [_FOR if feature.mean.value >= 0 else _AGAINST for feature in shown]
    axis.barh(range(len(shown)), values, xerr=halves, color=colours, ecolor="#555", capsize=2)
    axis.set_yticks(
        range(len(shown)), [feature.name[:40] for feature in shown], fontsize=8, parse_math=False
    )
    axis.set_xlabel("mean |attribution|; red where the mean is for the class, blue against")
    axis.set_title(f"{found.name}, {found.rows:,} rows", fontsize=10, parse_math=False)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
