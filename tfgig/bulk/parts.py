"""Parts of a job: each is planned, explained and written by itself, by whichever process."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pyarrow as pa

from tfgig.bulk.answering import Answerer, answerer
from tfgig.bulk.output import write_part
from tfgig.bulk.settings import Settings
from tfgig.bulk.sources import Piece, Rejected, Rows, Source, source_at

PART_BATCHES = 16  # how many times the model is called for a part, if nothing else is said


class Part(NamedTuple):
    """Some rows of a job, under a number."""

    number: int
    pieces: tuple[Piece, ...]

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(piece.rows for piece in self.pieces)


@dataclasses.dataclass(frozen=True)
class Job:
    """What a process has to know to do a part.

    Args:
        model: The version's directory.
        settings: What is asked of it.
        form: The format of the input.
        root: The directory that the input's file names are relative to.
        output: The job's directory.
        columns: By input, the columns that hold it.
        reads: All columns that are read.
        threads: How many threads TensorFlow takes; 0 for one a processor.
    """

    model: str
    settings: Settings
    form: str
    root: str
    output: str
    columns: Mapping[str, tuple[str, ...]]
    reads: tuple[str, ...]
    threads: int = 0


class Plan(NamedTuple):
    """All parts of a job, the files that cannot be read, and a digest of both."""

    parts: list[Part]
    rejected: list[Rejected]
    digest: str


def make_plan(source: Source, rows: int) -> Plan:
    """Shares an input out into parts of about `rows` rows; the same for the same files."""
    parts: list[Part] = []
    rejected: list[Rejected] = []
    held: list[Piece] = []
    count = 0
    digest = hashlib.sha256()
    for piece in source.pieces(rows):
        digest.update(repr(tuple(piece)).encode())
        if isinstance(piece, Rejected):
            rejected.append(piece)
            continue
        held.append(piece)
        count += piece.rows
        if count >= rows:
            parts.append(Part(len(parts), tuple(held)))
            held, count = [], 0
    if held:
        parts.append(Part(len(parts), tuple(held)))
    return Plan(parts, rejected, digest.hexdigest()[:16])


def explain_part(job: Job, part: Part) -> int:
    """Explains a part and writes it; returns how many rows it was planned to have.

    Raises:
        OSError: it cannot be written.
        tf.errors.OpError: the signature fails whatever the row.
    """
    answering = answerer(job.model, json.dumps(job.settings.to_config()), job.threads)
    source = source_at(job.form, job.root)
    answered = _answered(answering, job, source, part)
    try:
        write_part(pathlib.Path(job.output), part.number, answering.request.schema, answered)
        return part.rows
    except OSError as error:
        raise OSError(
            f"The output cannot be written: {error}. Finished parts are kept. Free space or fix "
            f"the error, then continue with --resume. Received: {job.output!r}."
        ) from error


def _answered(
    answering: Answerer, job: Job, source: Source, part: Part
) -> Iterator[tuple[pa.RecordBatch, list[Rejected]]]:
    for rows in _batches(source, part, answering.request.batch, job.reads):
        if isinstance(rows, Rejected):
            yield pa.RecordBatch.from_pylist([], answering.request.schema), [rows]
        else:
            yield answering.answer(rows, job.columns, source.of_files)


def _batches(
    source: Source, part: Part, count: int, columns: tuple[str, ...]
) -> Iterator[Rows | Rejected]:
    """The rows of a part, by as many as are explained at once, across its pieces."""
    held: list[Rows] = []
    waiting = 0
    for piece in part.pieces:
        for rows in _read(source, piece, count, columns):
            if not source.of_files or isinstance(rows, Rejected):
                yield rows
                continue
            held.append(rows)
            waiting += 1
            if waiting == count:
                yield _joined(held)
                held, waiting = [], 0
    if held:
        yield _joined(held)


def _read(
    source: Source, piece: Piece, count: int, columns: tuple[str, ...]
) -> Iterator[Rows | Rejected]:
    """The rows of a piece; those that the file does not give, though it was planned for them."""
    done, reason = 0, "the file is shorter than before"
    try:
        for rows in source.read(piece, count, columns):
            yield rows
            done += len(rows.ids)
    except (OSError, ValueError, struct.error, pa.ArrowException) as error:
        reason = str(error)
    if done < piece.rows:
        first, last = piece.start + done, piece.start + piece.rows - 1
        yield Rejected(piece.file, f"rows {first} to {last} cannot be read: {reason}")


def _joined(found: list[Rows]) -> Rows:
    """Rows of one file each as one."""
    ids = [rows.ids[0] for rows in found]
    values = {name: [rows.values[name][0] for rows in found] for name in found[0].values}
    return Rows(ids, values, {i: rows.reasons[0] for i, rows in enumerate(found) if rows.reasons})
