"""What a job came to: its rows, the bad ones by reason, and how delta and error are distributed."""

from __future__ import annotations

import collections
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from tfgig.bulk import output as outputs
from tfgig.spec import check

_QUANTILES = {"median": 0.5, "90 %": 0.9, "99 %": 0.99, "largest": 1.0}
_SHOWN = 5  # reasons


class Tally(NamedTuple):
    """The counts of a job.

    Attributes:
        rows: How many rows are written.
        bad: By reason, how many of them are not explained, the most frequent first.
        rejected: How many files cannot be read.
        quantiles: Of |delta| and of the error, by name.
    """

    rows: int
    bad: Mapping[str, int]
    rejected: int
    quantiles: Mapping[str, Mapping[str, float]]

    def text(self) -> str:
        """Lines for a terminal."""
        bad = sum(self.bad.values())
        lines = [
            f"{self.rows:,} rows, {bad:,} without an explanation; {self.rejected:,} files rejected."
        ]
        for reason, count in list(self.bad.items())[:_SHOWN]:
            lines.append(f"  {count:,} x {reason}")
        for name, found in self.quantiles.items():
            numbers = ", ".join(f"{key} {value:.3g}" for key, value in found.items())
            lines.append(f"{name}: {numbers}")
        return "\n".join(lines)

    def to_config(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "rows": self.rows,
            "bad": dict(self.bad),
            "rejected": self.rejected,
            "quantiles": {name: dict(found) for name, found in self.quantiles.items()},
        }


def count_up(directory: str | os.PathLike) -> Tally:
    """Reads the counts off what was written, part by part, and leaves them in `summary.json`.

    Raises:
        ValueError: no bulk job wrote there.
    """
    output = pathlib.Path(directory)
    check(
        (output / outputs.SETTINGS).is_file(),
        "This directory is not the output of a bulk job.",
        str(directory),
    )
    rows = 0
    bad: collections.Counter[str] = collections.Counter()
    numbers: dict[str, list[np.ndarray]] = {"|delta|": [], "error": []}
    for path in outputs.parts_of(output):
        table = pq.ParquetFile(path).read(["ok", "reason", "delta", "error"])
        rows += len(table)
        bad.update(reason for reason in table["reason"].to_pylist() if reason is not None)
        for name, found in numbers.items():
            column = table[name.strip("|")].drop_null().to_numpy()
            found.append(np.abs(column))
    rejected = sum(
        pq.read_metadata(path).num_rows for path in outputs.parts_of(output, outputs.REJECTED)
    )
    tally = Tally(rows, dict(bad.most_common()), rejected, _quantiles(numbers))
    outputs.write_summary(output, tally.to_config())
    return tally


def _quantiles(numbers: Mapping[str, list[np.ndarray]]) -> dict[str, dict[str, float]]:
    joined = {name: np.concatenate(found) for name, found in numbers.items() if found}
    return {
        name: {key: float(np.quantile(values, at)) for key, at in _QUANTILES.items()}
        for name, values in joined.items()
        if len(values)
    }
