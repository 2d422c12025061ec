"""What a bulk job reads: files of rows, in pieces that can be read by themselves."""

from __future__ import annotations

import abc
import glob
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfgig.local import local_path

Values = np.ndarray | Sequence[Any]  # an array [rows, ...], or one value a row


class Rows(NamedTuple):
    """Some rows of a source.

    Attributes:
        ids: Their ids.
        values: By column, the rows' values.
        reasons: By row position, why the row cannot be explained.
    """

    ids: list[str]
    values: Mapping[str, Values]
    reasons: Mapping[int, str] = {}


class Piece(NamedTuple):
    """Consecutive rows of one file.

    Attributes:
        file: Relative to the source's root.
        start: The number of the first row in the file.
        rows: The number of rows.
        offset: Where they begin in the file, in bytes, if the format knows.
        size: Their size in bytes.
    """

    file: str
    start: int
    rows: int
    offset: int = 0
    size: int = 0


class Rejected(NamedTuple):
    """A file that cannot be read, and why."""

    file: str
    reason: str


class Source(abc.ABC):
    """Files of one format.

    Args:
        root: The directory that file names are relative to.
        files: Their names; none if only pieces are read.
    """

    suffixes: tuple[str, ...] = ()
    of_files = False  # whether each row is a file, so that one that cannot be read is rejected

    def __init__(self, root: pathlib.Path, files: Sequence[str] = ()) -> None:
        self.root = root
        self.files = files

    @abc.abstractmethod
    def columns(self) -> list[str] | None:
        """The names of the columns; None if the rows have their own names.

        Raises:
            OSError, ValueError: no file can be read.
        """

    @abc.abstractmethod
    def pieces(self, rows: int) -> Iterator[Piece | Rejected]:
        """All rows in a fixed order, in pieces of at most `rows`."""

    @abc.abstractmethod
    def read(self, piece: Piece, rows: int, columns: Sequence[str]) -> Iterator[Rows]:
        """The rows of a piece, at most `rows` at a time, with these columns."""

    def path(self, file: str) -> str:
        """Where a file is."""
        return str(self.root / file)


def split(file: str, total: int, rows: int) -> Iterator[Piece]:
    """Pieces of a file whose rows are counted."""
    for start in range(0, total, rows):
        yield Piece(file, start, min(rows, total - start))


def numbered(piece: Piece, first: int, count: int) -> list[str]:
    """Ids of rows without one: the file and the number, from 0."""
    return [f"{piece.file}:{piece.start + first + i}" for i in range(count)]


def found_files(
    pattern: str | os.PathLike, suffixes: Iterable[str]
) -> tuple[pathlib.Path, list[str]]:
    """The files of a path, a directory or a pattern, in order, and the directory they are under.

    What begins with "." or "_" under a directory is no input: programs leave their notes so.

    Raises:
        FileNotFoundError: there is none.
    """
    text, suffixes = os.fspath(local_path(pattern)), tuple(suffixes)
    if os.path.isfile(text):
        path = pathlib.Path(text)
        return path.parent.absolute(), [path.name]
    if os.path.isdir(text):
        root = pathlib.Path(text).absolute()
        found = list(_under(root, suffixes))
        if not found:
            raise FileNotFoundError(
                f"No file under {text!r} ends in {', '.join(suffixes)}; select files with a "
                f"pattern such as '{text}/*' and give their --format."
            )
        return root, sorted(found)
    paths = [path for path in glob.glob(text, recursive=True) if os.path.isfile(path)]
    if not paths:
        raise FileNotFoundError(f"No file or directory matches {text!r}.")
    root = pathlib.Path(os.path.commonpath([os.path.dirname(os.path.abspath(p)) for p in paths]))
    return root, sorted(os.path.relpath(path, root) for path in paths)


def _under(root: pathlib.Path, suffixes: tuple[str, ...]) -> Iterator[str]:
    for directory, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name[0] not in "._"]
        for name in files:
            if name[0] not in "._" and name.lower().endswith(suffixes):
                yield os.path.relpath(os.path.join(directory, name), root)
