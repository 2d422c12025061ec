"""Directories of image files: each is a row."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator, Sequence

from tfgig.bulk.sources.base import Piece, Rejected, Rows, Source

CONTENT = "content"  # as Spark's binaryFile calls it


class Images(Source):
    """Image files in a format of `tfgig.image.files.FORMATS`."""

    suffixes = (
        ".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".png", ".ppm", ".tif", ".tiff", ".webp",
    )  # fmt: skip
    of_files = True

    def columns(self) -> list[str]:
        return [CONTENT]

    def pieces(self, rows: int) -> Iterator[Piece | Rejected]:
        for file in self.files:
            try:
                yield Piece(file, 0, 1, size=os.path.getsize(self.path(file)))
            except OSError as error:
                yield Rejected(file, str(error))

    def read(self, piece: Piece, rows: int, columns: Sequence[str]) -> Iterator[Rows]:
        try:
            content = pathlib.Path(self.path(piece.file)).read_bytes()
        except OSError as error:
            yield Rows([piece.file], {CONTENT: [b""]}, {0: str(error)})
            return
        yield Rows([piece.file], {CONTENT: [content]})
