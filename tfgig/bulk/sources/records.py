"""TFRecords of `tf.train.Example`, not compressed."""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tfgig.bulk.sources.base import Piece, Rejected, Rows, Source, numbered

RECORD = "record"  # the column that holds the serialized example
_HEAD, _TAIL = 12, 4  # the length and its checksum, and the checksum of what is between


class Records(Source):
    """A `tf.train.Example` a record: its features are columns, and `record` is all of it."""

    suffixes = (".tfrecord", ".tfrecords")

    def columns(self) -> None:
        return None

    def pieces(self, rows: int) -> Iterator[Piece | Rejected]:
        for file in self.files:
            try:
                with open(self.path(file), "rb") as stream:
                    ends = _ends(stream, os.path.getsize(self.path(file)))
                    start = offset = 0
                    while found := list(itertools.islice(ends, rows)):
                        yield Piece(file, start, len(found), offset, found[-1] - offset)
                        start, offset = start + len(found), found[-1]
            except (OSError, ValueError) as error:
                yield Rejected(file, str(error))

    def read(self, piece: Piece, rows: int, columns: Sequence[str]) -> Iterator[Rows]:
        with open(self.path(piece.file), "rb") as stream:
            stream.seek(piece.offset)
            for done in range(0, piece.rows, rows):
                count = min(rows, piece.rows - done)
                values: dict[str, list[Any]] = {name: [None] * count for name in columns}
                reasons = {}
                for i in range(count):
                    record = _next(stream)
                    try:
                        features = tf.train.Example.FromString(record).features.feature
                    except DecodeError as error:
                        reasons[i] = f"the record is not a tf.train.Example: {error}"
                        continue
                    for name in columns:
                        known = name in features
                        values[name][i] = _value(features[name]) if known else None
                        if name == RECORD and not known:
                            values[name][i] = record
                yield Rows(numbered(piece, done, count), values, reasons)


def _value(feature: Any) -> Any:
    kind = feature.WhichOneof("kind")
    found = getattr(feature, kind).value if kind else []
    if kind == "bytes_list":
        values = np.array([*found, None], object)[:-1]
    else:
        values = np.array(found, np.int64 if kind == "int64_list" else np.float32)
    return values[0] if len(values) == 1 else values


def _next(stream: BinaryIO) -> bytes:
    (size,) = struct.unpack("<Q", stream.read(_HEAD)[:8])
    record = stream.read(size)
    stream.seek(_TAIL, os.SEEK_CUR)
    return record


def _ends(stream: BinaryIO, total: int) -> Iterator[int]:
    """Where each record ends.

    Raises:
        ValueError: the file is compressed, no TFRecord, or was cut short.
    """
    at = 0
    while at < total:
        head = stream.read(_HEAD)
        size = struct.unpack("<Q", head[:8])[0] if len(head) == _HEAD else total
        at += _HEAD + size + _TAIL
        if at > total:
            raise ValueError(
                "it is not a TFRecord file, or is truncated or compressed; uncompress such files "
                "first"
            )
        stream.seek(at)
        yield at
