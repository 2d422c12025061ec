"""Columns of Arrow as values of rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tfgig.bulk.sources.base import Rows, Values


def rows_of(batch: pa.RecordBatch, ids: list[str]) -> Rows:
    """The rows of a batch by column, under these ids."""
    values = {name: values_of(batch.column(name)) for name in batch.schema.names}
    return Rows(ids, values)


def values_of(column: pa.Array) -> Values:
    """A column as an array [rows, ...] where all rows are of one size, else as a value a row.

    Lists of numbers stay NumPy's: as Python's numbers, an image's would take a second.
    """
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.null_count:
        return column.to_pylist()
    if _is_number(column.type):
        return column.to_numpy(zero_copy_only=False)
    if _is_list(column.type):
        return _lists(column)
    return column.to_pylist()


def _lists(column: pa.Array) -> Values:
    inner = values_of(column.flatten())  # also of a slice: only what it holds
    if not isinstance(inner, np.ndarray):
        return column.to_pylist()
    sizes = column.value_lengths().to_numpy(zero_copy_only=False)
    if len(sizes) and (sizes == sizes[0]).all():
        return inner.reshape(len(sizes), int(sizes[0]), *inner.shape[1:])
    return np.split(inner, np.cumsum(sizes)[:-1]) if len(sizes) else []


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
