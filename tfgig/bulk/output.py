"""What a job's directory holds, and how it is written so that a kill loses nothing.

    settings.json                    what was asked; another job is refused the directory
    explanations/part-00000.parquet  the rows of each part, written once they are complete
    rejected/part-00000.parquet      the files that cannot be read, and why
    summary.json                     counts and distributions, at the end

A part is written beside its place and renamed, so it is there whole or not at all. Two processes
that write the same part write the same rows, and the later rename changes nothing.
"""

from __future__ import annotations

import json
import os
import pathlib
import platform
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tfgig.bulk.sources.base import Rejected
from tfgig.spec import check
from tfgig.temporary import TemporaryDirectory

EXPLANATIONS, REJECTED = "explanations", "rejected"
SETTINGS, SUMMARY = "settings.json", "summary.json"
_PART = "part-{:05d}.parquet"
_ASKED = "asked"  # what has to be equal for a job to be continued
_REJECTED_SCHEMA = pa.schema([("id", pa.string()), ("reason", pa.string())])


def claim(output: pathlib.Path, asked: dict[str, Any], notes: dict[str, Any], resume: bool) -> None:
    """Makes a directory a job's, or sees that it is.

    Args:
        output: The directory.
        asked: What decides about the rows that are written.
        notes: What is good to know besides, such as where the model lay.
        resume: Whether a job that was begun there is continued.

    Raises:
        ValueError: there is another job, or one that is not to be continued.
    """
    path = output / SETTINGS
    if path.is_file():
        there = json.loads(path.read_text(encoding="utf-8")).get(_ASKED, {})
        wanted = json.loads(json.dumps(asked))
        keys = [key for key in {**there, **wanted} if there.get(key) != wanted.get(key)]
        check(
            not keys,
            f"{str(output)!r} has the results of a job with other settings; choose another "
            "directory.",
            "; ".join(f"{key}: {there.get(key)!r} there, {wanted.get(key)!r} here" for key in keys),
        )
        check(
            resume,
            "The output exists. Continue it with --resume (resume=True), or choose another "
            "directory.",
            str(output),
        )
        return
    check(
        not output.exists() or (output.is_dir() and not any(output.iterdir())),
        "The output exists and was not written by a bulk job; choose another directory.",
        str(output),
    )
    for folder in (EXPLANATIONS, REJECTED):
        (output / folder).mkdir(parents=True, exist_ok=True)
    _write_text(path, json.dumps({_ASKED: asked, **notes}, indent=2) + "\n")


def finished(output: pathlib.Path) -> set[int]:
    """The numbers of the parts that are written."""
    names = (path.stem for path in (output / EXPLANATIONS).glob("part-*.parquet"))
    return {int(name.removeprefix("part-")) for name in names}


def parts_of(output: pathlib.Path, folder: str = EXPLANATIONS) -> list[pathlib.Path]:
    """The files that hold rows, in their order."""
    return sorted((output / folder).glob("*.parquet"))


def write_part(
    output: pathlib.Path,
    number: int,
    schema: pa.Schema,
    batches: Iterable[tuple[pa.RecordBatch, Sequence[Rejected]]],
) -> None:
    """Writes a part, whole or not at all.

    Args:
        output: The job's directory.
        number: The part's number.
        schema: That of the rows.
        batches: Its rows, and the files that could not be read, as they come.

    Raises:
        OSError: the disk is full, or the directory is not to be written.
    """
    name = _PART.format(number)
    rejected: list[Rejected] = []
    with TemporaryDirectory(f"_writing-{platform.node()}-", output) as temporary:
        with pq.ParquetWriter(temporary.path / name, schema, compression="zstd") as file:
            for batch, not_read in batches:
                if len(batch):
                    file.write_batch(batch)
                rejected += not_read
        if rejected:
            write_rejected(output, rejected, name, temporary.path)
        _commit(temporary.path / name, output / EXPLANATIONS / name)


def write_rejected(
    output: pathlib.Path, files: Sequence[Rejected], name: str, beside: pathlib.Path
) -> None:
    """Lists files that cannot be read, under a name."""
    table = pa.Table.from_pylist(
        [{"id": file, "reason": reason} for file, reason in files], _REJECTED_SCHEMA
    )
    pq.write_table(table, beside / f"rejected-{name}")
    _commit(beside / f"rejected-{name}", output / REJECTED / name)


def write_summary(output: pathlib.Path, summary: dict[str, Any]) -> None:
    """Writes what a job came to."""
    _write_text(output / SUMMARY, json.dumps(summary, indent=2, allow_nan=False) + "\n")


def _commit(path: pathlib.Path, place: pathlib.Path) -> None:
    """Gives a complete file its place, once the disk has it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.replace(place)


def _write_text(path: pathlib.Path, text: str) -> None:
    beside = path.with_suffix(".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
