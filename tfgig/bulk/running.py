"""Runs a job in processes of this machine, or on Spark: the same parts, the same files."""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from tfgig.bulk import output as outputs
from tfgig.bulk.parts import PART_BATCHES, Job, Part, Plan, explain_part, make_plan
from tfgig.bulk.request import Request
from tfgig.bulk.settings import Settings
from tfgig.bulk.sources import Source, open_source
from tfgig.local import local_path
from tfgig.spec import check, is_whole
from tfgig.workers import Call, Workers, cores

Progress = Callable[[int], Any]
_FIRST_ROWS = 1000  # that are looked at for the columns of texts and records
Engine = Callable[[Job, Sequence[Part]], Iterator[int]]  # how many rows each part had


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A job that is checked, and has its directory."""

    job: Job
    plan: Plan
    left: list[Part]

    @property
    def total(self) -> int:
        """How many rows and files the input has."""
        return sum(part.rows for part in self.plan.parts) + len(self.plan.rejected)

    @property
    def done(self) -> int:
        """How many of them are finished already."""
        return self.total - sum(part.rows for part in self.left)


def prepare(
    model: str | os.PathLike,
    rows: str | os.PathLike,
    output: str | os.PathLike,
    settings: Settings = Settings(),
    form: str | None = None,
    part_rows: int = 0,
    resume: bool = False,
) -> Prepared:
    """Checks a job before anything is explained, and reserves its directory.

    Args:
        model: An exported model's directory (its newest version), or a version's.
        rows: A file, a directory or a pattern.
        output: The output directory.
        settings: The job's settings.
        form: The input's format, a name of `tfgig.bulk.sources.FORMATS`; None infers it from the
            file names.
        part_rows: Rows per output file, the most a kill loses; 0 for 16 batches.
        resume: Whether to continue a job in that directory.

    Raises:
        OSError, ValueError: the model, input or column does not exist; the output exists, or has
            other settings.
    """
    check(is_whole(part_rows) and part_rows >= 0, "`part_rows` must be at least 0.", part_rows)
    place = local_path(output).absolute()
    request = Request(model, settings)
    form, source = open_source(rows, form)
    if source.of_files:
        request.check_files()
    known = source.columns()
    columns, reads = request.columns(known), tuple(request.needed(known))
    count = part_rows or PART_BATCHES * request.batch
    plan = make_plan(source, count)
    check(bool(plan.parts or plan.rejected), "The input has no rows.", os.fspath(rows))
    if known is None:
        _check_names(source, plan, reads)
    asked = {
        "settings": settings.to_config(),
        "model": request.fingerprint(),
        "signature": request.signature,
        "batch": request.batch,
        "format": form,
        "part_rows": count,
        "input": plan.digest,
    }
    notes = {
        "version": 1,
        "model_directory": str(request.directory),
        "root": str(source.root),
        "labels": request.description.labels,
        "names": request.names(),
        "parts": len(plan.parts),
    }
    outputs.claim(place, asked, notes, resume)
    if plan.rejected:
        outputs.write_rejected(place, plan.rejected, "input.parquet", place)
    job = Job(
        str(pathlib.Path(request.directory).absolute()),
        settings,
        form,
        str(source.root),
        str(place),
        columns,
        reads,
    )
    done = outputs.finished(place)
    return Prepared(job, plan, [part for part in plan.parts if part.number not in done])


def _check_names(source: Source, plan: Plan, columns: Sequence[str]) -> None:
    """Refuses columns that none of the first rows has, where each row has names of its own."""
    pieces = (piece for part in plan.parts for piece in part.pieces)
    lacking, looked, readable = set(columns), 0, 0
    for rows in itertools.chain.from_iterable(source.read(p, 64, columns) for p in pieces):
        looked += len(rows.ids)
        readable += len(rows.ids) - len(rows.reasons)
        lacking = {c for c in lacking if all(value is None for value in rows.values[c])}
        if not lacking or looked >= _FIRST_ROWS:
            break
    check(
        not (lacking and readable),
        f"None of the first {looked:,} rows has a column {', '.join(map(repr, sorted(lacking)))}. "
        "Name other columns with columns={...}, id=... and target=..., or the flags of the same "
        "names.",
        str(source.root),
    )


def run_job(prepared: Prepared, engine: Engine, progress: Progress = lambda done: None) -> None:
    """Runs the remaining parts of a job.

    Args:
        prepared: The job.
        engine: What runs the parts, `on_this_machine(workers)` or `tfgig.bulk.spark.on_spark(...)`.
        progress: Called with the number of rows just finished.

    Raises:
        OSError: the output cannot be written; finished parts are kept.
        ChildProcessError: worker processes die repeatedly on the same part.
    """
    for rows in engine(prepared.job, prepared.left):
        progress(rows)
    missing = {part.number for part in prepared.plan.parts}
    missing -= outputs.finished(pathlib.Path(prepared.job.output))
    check(
        not missing,
        "Parts are missing from the output; perhaps workers wrote to another disk. The output path "
        "must be the same directory on every machine.",
        f"{len(missing)} of {len(prepared.plan.parts)} parts missing in {prepared.job.output}",
    )


def default_workers() -> int:
    """One a core; one in all where there is a GPU, which processes would have to share."""
    return 1 if tf.config.list_physical_devices("GPU") else cores()


def on_this_machine(workers: int = 0) -> Engine:
    """Worker processes that share this machine's cores; 0 or 1 for this process alone."""

    def engine(job: Job, parts: Sequence[Part]) -> Iterator[int]:
        with Workers(workers) as helpers:
            threads = max(1, cores() // helpers.count) if helpers.count else 0
            shared = dataclasses.replace(job, threads=threads)
            calls = (Call(explain_part, (shared, part)) for part in parts)
            yield from helpers.map(made, calls, lambda call: f"part {call.arguments[1].number}")

    return engine


def made(call: Call) -> Any:
    """What a call returns; a worker imports this by its name."""
    return call.function(*call.arguments)
