"""Parquet tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from tfgig.bulk.columns import rows_of
from tfgig.bulk.sources.base import Piece, Rejected, Rows, Source, numbered, split


class Parquet(Source):
    """Parquet files of one schema."""

    suffixes = (".parquet", ".pq")

    def columns(self) -> list[str]:
        reasons = []
        for file in self.files:
            try:
                return pq.read_schema(self.path(file)).names
            except (OSError, pa.ArrowException) as error:
                reasons.append(f"{file}: {error}")
        raise ValueError(f"None of the files is valid Parquet. Received: {'; '.join(reasons[:3])}.")

    def pieces(self, rows: int) -> Iterator[Piece | Rejected]:
        for file in self.files:
            try:
                total = pq.read_metadata(self.path(file)).num_rows
            except (OSError, pa.ArrowException) as error:
                yield Rejected(file, str(error))
                continue
            yield from split(file, total, rows)

    def read(self, piece: Piece, rows: int, columns: Sequence[str]) -> Iterator[Rows]:
        with pq.ParquetFile(self.path(piece.file)) as file:
            lacking = [name for name in columns if name not in file.schema_arrow.names]
            if lacking:
                raise ValueError(f"the file has no column {', '.join(map(repr, lacking))}")
            groups, first = _groups(file.metadata, piece)
            skip = piece.start - first
            left, done = piece.rows, 0
            for batch in file.iter_batches(rows, groups, list(columns)):
                part = batch.slice(min(skip, len(batch)), left)
                skip = max(0, skip - len(batch))
                if len(part):
                    yield rows_of(part, numbered(piece, done, len(part)))
                left, done = left - len(part), done + len(part)
                if not left:
                    return


def _groups(metadata: pq.FileMetaData, piece: Piece) -> tuple[list[int], int]:
    """The row groups that hold a piece, and the number of their first row."""
    groups, first, at = list[int](), piece.start, 0
    for i in range(metadata.num_row_groups):
        end = at + metadata.row_group(i).num_rows
        if end > piece.start and at < piece.start + piece.rows:
            first = first if groups else at
            groups.append(i)
        at = end
    return groups, first
