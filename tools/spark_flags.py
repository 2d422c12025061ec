"""The flags of programs whose work may run on Spark, and the session that they ask for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from absl import flags

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MASTER = flags.DEFINE_string(
    "master",
    None,
    "Run on Spark: local[*], spark://host:7077, k8s://https://host:443 or yarn. Needs the extra "
    "bulk, and a Java of 17 or later.",
)
SPARK = flags.DEFINE_multi_string(
    "spark", [], "A Spark setting, such as spark.executor.memory=4g; may be repeated."
)


@contextlib.contextmanager
def session() -> Iterator[SparkSession | None]:
    """The session that --master asks for, which is stopped at the end; None without --master.

    Raises:
        ImportError, OSError: as `tfgig.bulk.spark.start_session`.
        ValueError: a flag is given that says nothing here.
    """
    if MASTER.value is None:
        if SPARK.value:
            raise ValueError("--spark needs --master.")
        yield None
        return
    if flags.FLAGS["workers"].present:
        raise ValueError("--workers applies to this machine only; on Spark, use --master=local[2].")
    from tfgig.bulk.spark import start_session

    running = start_session(MASTER.value, _options(SPARK.value))
    try:
        yield running
    finally:
        running.stop()


def _options(texts: Sequence[str]) -> dict[str, str]:
    for text in texts:
        if not text.partition("=")[2]:
            raise ValueError(f"--spark takes name=value. Received: {text!r}.")
    return dict(text.split("=", 1) for text in texts)
