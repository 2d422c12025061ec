"""The report: one page with the table, the curves, and every method's map of the first examples."""

from __future__ import annotations

import base64
import html
import io
import json
import math
import os
import pathlib
import string
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np

from tfgig.evaluation.dataset import UNKNOWN, Item
from tfgig.evaluation.experiment import Experiment, image_shape
from tfgig.evaluation.results import Results
from tfgig.evaluation.table import TIED, Cell, Table, format_number, notes
from tfgig.image.overlay import COLOURS
from tfgig.models import SourceModel


def write_report(
    path: str | os.PathLike,
    results: Results,
    experiment: Experiment,
    source: SourceModel,
    table: Table,
    figures: Sequence[pathlib.Path],
) -> None:
    """Writes one HTML file that needs nothing else: no network, no other file.

    Args:
        path: The file.
        results: What was found.
        experiment: The experiment.
        source: The model.
        table: The table of the results.
        figures: Pictures of curves.
    """
    assets = resources.files("tfgig.evaluation")
    template = string.Template((assets / "report.html").read_text(encoding="utf-8"))
    judged = len(results.records(results.methods[0]))
    text = template.substitute(
        title=html.escape(f"Explanations of {source.name}"),
        summary=f"{judged} examples, {len(results.methods)} methods.",
        style=(assets / "report.css").read_text(encoding="utf-8"),
        table=_table(table),
        tied=TIED,
        notes="".join(f"<p>{html.escape(note)}</p>" for note in notes(results, experiment.metrics)),
        figures="".join(_figure(file) for file in figures),
        data=_embedded(_data(results, experiment, source)),
        script=(assets / "report.js").read_text(encoding="utf-8"),
    )
    pathlib.Path(path).write_text(text, encoding="utf-8")


def _embedded(data: Any) -> str:
    """JSON for an element of a page: "<" could end it, or begin a comment or an element within."""
    text = json.dumps(data)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _table(table: Table) -> str:
    arrows = {True: "&uarr;", False: "&darr;", None: ""}
    headings = "".join(
        f"<th>{column.name} {arrows[column.larger_is_better]}<small>{metric}</small></th>"
        for metric, column in table.columns
    )
    rows = "".join(
        f"<tr><td>{html.escape(method)}</td>"
        + "".join(_cell(table.cells[method, metric, c.name]) for metric, c in table.columns)
        + "</tr>"
        for method in table.methods
    )
    return (
        f'<div class="scroll"><table><thead><tr><th>method</th>{headings}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    if math.isnan(cell.value):
        return "<td>&ndash;</td>"
    interval = ""
    if not math.isnan(cell.low):
        interval = f"<small>{format_number(cell.low)} to {format_number(cell.high)}</small>"
    mark = ' class="best"' if cell.best else ' class="tied"' if cell.tied else ""
    return f'<td{mark} data-value="{cell.value!r}">{format_number(cell.value)}{interval}</td>'


def _figure(path: pathlib.Path) -> str:
    encoded = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(path.stem)}" src="data:image/png;base64,{encoded}">'


def _data(results: Results, experiment: Experiment, source: SourceModel) -> dict[str, Any]:
    columns = [(name, c.name) for name, m in experiment.metrics.items() for c in m.columns]
    records = {method: results.records(method) for method in results.methods}
    return {
        "colours": COLOURS,
        "methods": results.methods,
        "keys": ["delta", "error", "score", *(f"{metric}: {column}" for metric, column in columns)],
        "examples": list(_examples(results, records, columns, experiment, source)),
    }


def _examples(results, records, columns, experiment, source) -> Iterator[dict[str, Any]]:
    shown = 0
    for item in experiment.dataset.items(image_shape(source)):
        if shown == experiment.maps:
            return
        methods = {
            method: _explained(results, found[item.name], columns)
            for method, found in records.items()
            if item.name in found
        }
        if methods:
            shown += 1
            some = next(found[item.name] for found in records.values() if item.name in found)
            yield {
                "name": item.name,
                "image": _png(item.image.astype(np.uint8)),
                "notes": _notes(item, some),
                "methods": methods,
            }


def _notes(item: Item, record: Mapping[str, Any]) -> list[str]:
    label = [] if item.label == UNKNOWN else [f"label {item.label}"]
    return [f"class {record['target']}, {record['score']:.3f}", *label]


def _explained(results: Results, record: dict[str, Any], columns) -> dict[str, Any]:
    error = record.get("error")  # runs of earlier versions have none
    values = {"delta": abs(record["delta"]), "error": error, "score": record["score"]}
    for metric, column in columns:
        values[f"{metric}: {column}"] = record["metrics"][metric][column]
    found = results.map(record["method"], record["example"])
    headlines = dict.fromkeys(metric for metric, _ in columns)
    lines = [f"delta {record['delta']:+.1e}"]
    lines += [] if error is None else [f"error {error:.1%}"]
    for metric in headlines:
        column = next(c for m, c in columns if m == metric)
        value = record["metrics"][metric][column]
        lines.append(f"{metric} {'-' if value is None else format_number(value)}")
    return {"map": None if found is None else _map_png(found), "values": values, "notes": lines}


def _map_png(saliency: np.ndarray) -> str:
    """A map as a grey picture: the square root of each pixel's share of the largest."""
    strength = np.clip(saliency, 0, None)
    strength = np.sqrt(strength / max(float(strength.max()), np.finfo(np.float32).tiny))
    return _png(np.rint(255 * strength).astype(np.uint8))


def _png(picture: np.ndarray) -> str:
    from PIL import Image

    file = io.BytesIO()
    picture = picture[..., 0] if picture.ndim == 3 and picture.shape[-1] == 1 else picture
    Image.fromarray(picture).save(file, "png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
