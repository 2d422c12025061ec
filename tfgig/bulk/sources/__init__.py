"""The formats that bulk jobs read: a module for each, registered here."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping

from tfgig.bulk.sources.base import Piece, Rejected, Rows, Source, found_files
from tfgig.bulk.sources.images import Images
from tfgig.bulk.sources.lines import Csv, JsonLines
from tfgig.bulk.sources.parquet import Parquet
from tfgig.bulk.sources.records import Records

FORMATS: Mapping[str, type[Source]] = {
    "parquet": Parquet,
    "images": Images,
    "csv": Csv,
    "jsonl": JsonLines,
    "tfrecords": Records,
}

__all__ = ("FORMATS", "Piece", "Rejected", "Rows", "Source", "open_source", "source_at")


def open_source(path: str | os.PathLike, form: str | None = None) -> tuple[str, Source]:
    """The files of a path, a directory or a pattern, and the name of their format.

    Args:
        path: The path to read.
        form: A name in `FORMATS`; None infers it from the file names.

    Raises:
        FileNotFoundError: no file matches.
        ValueError: the names imply no format, or several.
    """
    if form is not None:
        return form, FORMATS[form](*found_files(path, FORMATS[form].suffixes))
    every = [suffix for source in FORMATS.values() for suffix in source.suffixes]
    root, files = found_files(path, every)
    named = {
        name: [file for file in files if file.lower().endswith(source.suffixes)]
        for name, source in FORMATS.items()
    }
    known = [name for name, found in named.items() if found]
    if len(known) != 1:
        raise ValueError(
            f"The file names imply {'several formats' if known else 'no format'}; choose one: "
            f"--format={'|'.join(known or FORMATS)}. Received: {os.fspath(path)!r}."
        )
    return known[0], FORMATS[known[0]](root, named[known[0]])


def source_at(form: str, root: str) -> Source:
    """A source whose pieces are known."""
    return FORMATS[form](pathlib.Path(root))
