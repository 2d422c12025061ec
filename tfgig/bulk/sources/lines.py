"""Texts with a record a line: CSV with a header, and JSON lines."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from tfgig.bulk.sources.base import Piece, Rejected, Rows, Source, numbered

_MARK = b"\xef\xbb\xbf"  # that editors write in front of UTF-8


class _Lines(Source):
    """Files of records that are found without reading what they hold."""

    def pieces(self, rows: int) -> Iterator[Piece | Rejected]:
        for file in self.files:
            try:
                with open(self.path(file), "rb") as stream:
                    yield from self._pieces_of(file, stream, rows)
            except (OSError, ValueError) as error:
                yield Rejected(file, str(error))

    def _pieces_of(self, file: str, stream: BinaryIO, rows: int) -> Iterator[Piece]:
        offset, start = self._head(stream), 0
        records = self._records(stream)
        while sizes := [len(record) for record in itertools.islice(records, rows)]:
            yield Piece(file, start, len(sizes), offset, sum(sizes))
            offset, start = offset + sum(sizes), start + len(sizes)

    def _head(self, stream: BinaryIO) -> int:
        """How many bytes are in front of the first record; they are read."""
        found = stream.read(len(_MARK))
        skipped = len(_MARK) if found == _MARK else 0
        stream.seek(skipped)
        return skipped

    def _records(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        yield from stream

    def read(self, piece: Piece, rows: int, columns: Sequence[str]) -> Iterator[Rows]:
        with open(self.path(piece.file), "rb") as stream:
            parse = self._parser(piece.file, stream)
            stream.seek(piece.offset)
            records = itertools.islice(self._records(stream), piece.rows)
            done = 0
            while found := list(itertools.islice(records, rows)):
                values: dict[str, list[Any]] = {name: [None] * len(found) for name in columns}
                reasons = {}
                for i, record in enumerate(found):
                    try:
                        row = parse(record.decode())
                    except (ValueError, csv.Error, RecursionError) as error:
                        reasons[i] = f"the line cannot be read: {error}"
                        continue
                    for name in columns:
                        values[name][i] = row.get(name)
                yield Rows(numbered(piece, done, len(found)), values, reasons)
                done += len(found)

    def _parser(self, file: str, stream: BinaryIO) -> Any:
        """A function of a record's text to a mapping."""
        raise NotImplementedError


class JsonLines(_Lines):
    """A JSON object a line."""

    suffixes = (".jsonl", ".ndjson")

    def columns(self) -> None:
        return None

    def _parser(self, file: str, stream: BinaryIO) -> Any:
        return _json_object


def _json_object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"a line must be a JSON object. Received: {text[:40]!r}")
    return found


class Csv(_Lines):
    """Tables of a header and a record a line; a quoted cell may have several lines."""

    suffixes = (".csv",)

    def columns(self) -> list[str]:
        with open(self.path(self.files[0]), "rb") as stream:
            return self._header(self.files[0], stream)

    def _head(self, stream: BinaryIO) -> int:
        return super()._head(stream) + len(next(self._records(stream), b""))

    def _records(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        whole, quotes = list[bytes](), 0
        for line in stream:
            whole.append(line)
            quotes += line.count(b'"')
            if quotes % 2 == 0:
                yield b"".join(whole)
                whole, quotes = [], 0
        if whole:
            yield b"".join(whole)

    def _header(self, file: str, stream: BinaryIO) -> list[str]:
        super()._head(stream)
        names = _cells(next(self._records(stream), b"").decode())
        if not names or len(set(names)) != len(names):
            raise ValueError(
                f"The first line must name every column, without repeats. Received: {file!r}."
            )
        return names

    def _parser(self, file: str, stream: BinaryIO) -> Any:
        names = self._header(file, stream)

        def parse(text: str) -> dict[str, str]:
            cells = _cells(text)
            if len(cells) != len(names):
                raise ValueError(f"it has {len(cells)} cells, but the header has {len(names)}")
            return dict(zip(names, cells, strict=True))

        return parse


def _cells(text: str) -> list[str]:
    return next(csv.reader([text], strict=True), [])
