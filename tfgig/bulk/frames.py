"""Data frames in, data frames out: of Spark, of pandas, and tables of Arrow."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from tfgig.bulk.answering import Answerer, answerer
from tfgig.bulk.columns import rows_of
from tfgig.bulk.request import Request
from tfgig.bulk.settings import Settings
from tfgig.bulk.spark import Travelling, threads_of_task
from tfgig.spec import check

_PATH = "path"  # of a row of Spark's binaryFile


def explain(
    dataframe: Any, model: str | os.PathLike, method: str | None = None, **options: Any
) -> Any:
    """Explains the rows of a data frame through an exported model's signature.

    With a Spark data frame, nothing runs yet: Spark explains when the result is written or counted,
    under its own commit protocol. The model version is sent with the job.

        photos = spark.read.format("binaryFile").load("photos/*.jpg")
        tfgig.bulk.explain(photos, "/models/flowers", "ig").write.parquet("explained")

    Args:
        dataframe: A Spark or pandas data frame, or an Arrow table. For Spark's `binaryFile`, the
            content is the model's image and the path is the id; other Spark frames need `id=`.
        model: An exported model's directory (its newest version), or a version's.
        method: The method; None if the export has only one.
        **options: The other fields of `Settings`, such as `id="customer"`.

    Returns:
        The same kind of frame, with the columns that `tfgig-bulk` writes.

    Raises:
        OSError, ValueError: the model, method, column or option does not exist.
        TypeError: `dataframe` has another type.
    """
    if isinstance(dataframe, pa.Table):
        return _of_table(dataframe, model, Settings(method, **options))
    kind = type(dataframe).__module__.partition(".")[0]
    if kind == "pandas":
        table = pa.Table.from_pandas(dataframe, preserve_index=False)
        return _of_table(table, model, Settings(method, **options)).to_pandas()
    if kind == "pyspark":
        return _of_spark(dataframe, model, Settings(method, **options))
    raise TypeError(
        "The data must be a Spark or pandas data frame or an Arrow table. Received: "
        f"{type(dataframe).__name__}."
    )


def _of_table(table: pa.Table, model: Any, settings: Settings) -> pa.Table:
    request = Request(model, settings)
    columns, reads = request.columns(table.column_names), request.needed(table.column_names)
    answering = Answerer(str(request.directory), settings)
    try:
        answers = list(_answered(answering, table.select(reads).to_batches(), columns))
    finally:
        answering.close()
    return pa.Table.from_batches(answers, request.schema)


def _of_spark(frame: Any, model: Any, settings: Settings) -> Any:
    from pyspark.sql.pandas.types import from_arrow_schema

    check(settings.dtype == "float32", 'Spark has no float16; use dtype="float32".', settings.dtype)
    binary = {"content", _PATH} <= set(frame.columns)
    if binary and settings.id is None:
        settings = dataclasses.replace(settings, id=_PATH)
    request = Request(model, settings)
    if binary and len(request.inputs) == 1 and not settings.columns:
        settings = dataclasses.replace(settings, columns={next(iter(request.inputs)): "content"})
        request = Request(model, settings)
    check(
        settings.id is not None,
        'Rows of a data frame have no order, and so no row number; name the id column, id="...".',
        frame.columns,
    )
    directory = os.path.abspath(request.directory)
    partition = Partition(
        Travelling.of(directory, frame.sparkSession),
        json.dumps(settings.to_config()),
        request.columns(frame.columns),
    )
    rows = frame.select(*(f"`{name}`" for name in request.needed(frame.columns)))
    return rows.mapInArrow(partition, from_arrow_schema(request.schema))


@dataclasses.dataclass(frozen=True)
class Partition:
    """Explains the rows of a partition, on a worker of Spark; holds one batch at a time."""

    model: Travelling
    settings: str
    columns: Mapping[str, tuple[str, ...]]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        answering = answerer(self.model.here(), self.settings, threads_of_task())
        yield from _answered(answering, batches, self.columns)


def _answered(
    answering: Answerer, batches: Iterable[pa.RecordBatch], columns: Mapping[str, tuple[str, ...]]
) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in _cut(batches, answering.request.batch):
        rows = rows_of(batch, [str(start + i) for i in range(len(batch))])
        start += len(batch)
        yield answering.answer(rows, columns)[0]


def _cut(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Record batches of at most so many rows."""
    for batch in batches:
        for start in range(0, len(batch), rows):
            yield batch.slice(start, rows)
