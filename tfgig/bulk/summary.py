"""Global explanations: what the attributions of many rows say together, class by class.

The attributions of a row add up to the change of its score (completeness), so those of different
rows are of one unit, and their means say what the model looks at in general.
"""

from __future__ import annotations

import collections
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfgig.bulk import output as outputs
from tfgig.bulk.columns import values_of
from tfgig.bulk.request import TOKEN_TEXT
from tfgig.spec import check

Kind = Literal["columns", "tokens", "map"]
ALL = "all classes"
_95 = 1.96  # standard errors to each side of a mean: the normal distribution's 95 %
_ROWS = 512  # read at once


class Mean(NamedTuple):
    """A mean and half the width of its 95 % interval; NaN of fewer than two values."""

    value: float
    half: float


class Feature(NamedTuple):
    """What one column or token counts for, over the rows that have it."""

    name: str
    rows: int
    mean: Mean
    mean_absolute: Mean


class ClassSummary(NamedTuple):
    """A class over all its rows.

    Attributes:
        name: Its label or number; `ALL` for all of them.
        rows: How many rows explain it.
        features: By falling mean absolute attribution; none of a map.
        map: float64 [2, H, W], the mean and the mean absolute attributions of aligned images.
    """

    name: str
    rows: int
    features: list[Feature]
    map: np.ndarray | None = None


class Summary(NamedTuple):
    """What an answer of a job says in general: by answer, such as `attributions`."""

    answer: str
    kind: Kind
    classes: list[ClassSummary]
    notes: list[str]


def summarize(
    directory: str | os.PathLike, classes: int = 10, top: int = 20, least: int = 5
) -> list[Summary]:
    """Summarizes the output of `tfgig-bulk`, one summary per explained place.

    Args:
        directory: The job's directory.
        classes: The number of most frequent classes to report separately.
        top: The number of features or tokens per class.
        least: The minimum count of a token; below it the interval is meaningless.

    Raises:
        ValueError: the directory is not a bulk job's output, or no row has an explanation.
    """
    output = pathlib.Path(directory)
    check(
        (output / outputs.SETTINGS).is_file(),
        "This directory is not the output of a bulk job.",
        str(directory),
    )
    notes = json.loads((output / outputs.SETTINGS).read_text(encoding="utf-8"))
    paths = outputs.parts_of(output)
    counts: collections.Counter[int] = collections.Counter()
    for path in paths:
        counts.update(pq.read_table(path, columns=["target"])["target"].drop_null().to_pylist())
    check(bool(counts), "No row has an explanation.", str(directory))
    chosen = [target for target, _ in counts.most_common(classes)]
    schema = pq.read_schema(paths[0])
    answers = [name for name in schema.names if f"{name}_shape" in schema.names]
    planned = notes.get("parts", len(paths))
    missing = f"{planned - len(paths):,} of {planned:,} parts are missing so far."
    found = [_summarized(a, paths, notes, sorted(chosen), top, least) for a in answers]
    if planned <= len(paths):
        return found
    return [summary._replace(notes=[missing, *summary.notes]) for summary in found]


def _summarized(
    answer: str,
    paths: Sequence[pathlib.Path],
    notes: dict[str, Any],
    chosen: Sequence[int],
    top: int,
    least: int,
) -> Summary:
    sums: dict[int | None, _Sums] = {}
    kind: Kind = "columns"
    skipped, shape = 0, None
    for target, values, texts in _rows(paths, answer):
        kind = "map" if values.ndim > 1 else "columns" if texts is None else "tokens"
        values = values.sum(-1) if values.ndim > 2 else values
        shape = shape or values.shape
        if kind != "tokens" and values.shape != shape:
            skipped += 1
            continue
        for key in (None, target) if target in chosen else (None,):
            sums.setdefault(key, _Sums()).add(values, texts)
    labels = notes.get("labels") or []
    names = notes.get("names", {}).get(answer) or []
    told = []
    for key in [None, *chosen]:
        if key in sums:
            name = ALL if key is None else labels[key] if key < len(labels) else f"class {key}"
            features = [] if kind == "map" else sums[key].features(names, least)[:top]
            mean = sums[key].maps() if kind == "map" else None
            told.append(ClassSummary(name, sums[key].rows, features, mean))
    if len(told) == 2 and told[0].rows == told[1].rows:
        del told[0]  # all are of one class
    lines = []
    if kind == "map":
        lines.append("Means of maps say something where the images are aligned.")
    if skipped:
        lines.append(f"{skipped:,} rows of other sizes than {shape} are left out of the means.")
    if kind == "tokens":
        lines.append(f"Tokens that occur fewer than {least} times are left out.")
    return Summary(answer, kind, told, lines)


def _rows(
    paths: Iterable[pathlib.Path], answer: str
) -> Iterator[tuple[int, np.ndarray, list[str] | None]]:
    """Target, attributions and texts of tokens of each row that is explained."""
    for path in paths:
        with pq.ParquetFile(path) as file:
            text = [TOKEN_TEXT] if TOKEN_TEXT in file.schema_arrow.names else []
            for batch in file.iter_batches(
                _ROWS, columns=["target", answer, f"{answer}_shape", *text]
            ):
                good = pa.Table.from_batches([batch]).filter(batch["target"].is_valid())
                if not len(good):
                    continue
                flat, shapes, targets = (
                    values_of(good[name].combine_chunks())
                    for name in (answer, f"{answer}_shape", "target")
                )
                texts = good[TOKEN_TEXT].to_pylist() if text else None
                for i, values in enumerate(flat):
                    row = np.asarray(values, np.float64).reshape(shapes[i])
                    yield int(targets[i]), row, None if texts is None else texts[i]


class _Sums:
    """Running sums, by column or token, or of a map."""

    def __init__(self) -> None:
        self.rows = 0
        self._whole: np.ndarray | None = None  # [3, ...]: values, their sizes, and their squares
        self._texts: dict[str, np.ndarray] = {}  # count, and the three

    def add(self, values: np.ndarray, texts: Sequence[str] | None) -> None:
        self.rows += 1
        three = np.stack([values, np.abs(values), values**2])
        if texts is None:
            self._whole = three if self._whole is None else self._whole + three
            return
        for text, found in zip(texts, three.T, strict=True):
            if text:  # padding has none
                one = np.array([1.0, *found])
                self._texts[text] = self._texts[text] + one if text in self._texts else one

    def maps(self) -> np.ndarray | None:
        return None if self._whole is None else self._whole[:2] / self.rows

    def features(self, names: Sequence[str], least: int) -> list[Feature]:
        if self._whole is not None:
            entries = [
                (names[i] if i < len(names) else f"#{i}", np.array([self.rows, *three]))
                for i, three in enumerate(self._whole.T)
            ]
        else:
            entries = [(text, e) for text, e in self._texts.items() if e[0] >= least]
        found = [_feature(name, *entry) for name, entry in entries]
        return sorted(found, key=lambda feature: -feature.mean_absolute.value)


def _feature(name: str, count: float, total: float, absolute: float, squares: float) -> Feature:
    return Feature(name, int(count), _mean(count, total, squares), _mean(count, absolute, squares))


def _mean(count: float, total: float, squares: float) -> Mean:
    mean = total / count
    if count < 2:
        return Mean(mean, float("nan"))
    variance = max(0.0, squares - count * mean**2) / (count - 1)
    return Mean(mean, _95 * float(np.sqrt(variance / count)))
