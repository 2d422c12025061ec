"""A summary as pictures and as one page."""

from __future__ import annotations

import base64
import html
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from tfgig.bulk.summary import ClassSummary, Mean, Summary
from tfgig.bulk.tally import Tally

_STYLE = (
    "body{font:15px system-ui,sans-serif;margin:2rem auto;max-width:60rem;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right}"
    "td:first-child,th:first-child{text-align:left}tr:nth-child(even){background:#f4f4f4}"
    "img{max-width:100%}pre{background:#f4f4f4;padding:1rem;white-space:pre-wrap}"
)
_FOR, _AGAINST = "#c0392b", "#2b6cb0"


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
    parts.append("<p>Means with their 95 % intervals (normal approximation), over rows.</p>")
    text = (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Explanations</title>"
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

    count = len(summary.classes)
    if summary.kind == "map":
        figure = Figure(figsize=(6, 3 * count), layout="constrained")
    else:
        most = max(len(found.features) for found in summary.classes)
        figure = Figure(figsize=(8, count * (0.8 + 0.24 * most)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(count, 2 if summary.kind == "map" else 1, squeeze=False)
    for row, found in zip(axes, summary.classes, strict=True):
        if found.map is not None:
            _draw_maps(row, found, *found.map)
        else:
            _draw_bars(row[0], found)
    figure.savefig(path, dpi=110)


def _draw_maps(axes, found: ClassSummary, mean: np.ndarray, absolute: np.ndarray) -> None:
    largest = np.abs(mean).max() or 1.0
    axes[0].imshow(mean, cmap="RdBu_r", vmin=-largest, vmax=largest)
    axes[1].imshow(absolute, cmap="inferno", vmin=0)
    for axis, name in zip(axes, ("mean", "mean |attribution|"), strict=True):
        axis.set_axis_off()
        axis.set_title(f"{found.name}, {found.rows:,} rows: {name}", fontsize=9, parse_math=False)


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
