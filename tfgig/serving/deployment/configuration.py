"""TensorFlow Serving's batching parameters, as text and as `Batching`."""

from __future__ import annotations

import os
import pathlib

from google.protobuf import text_format

from tfgig.export import protos
from tfgig.serving.devserver.batching import Batching

_NAMES = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")


def batching_text(batching: Batching) -> str:
    """TensorFlow Serving's `--batching_parameters_file`."""
    found = protos.message("BatchingParameters")()
    for name in _NAMES:
        getattr(found, name).value = getattr(batching, name)
    found.allowed_batch_sizes.extend(batching.allowed_batch_sizes)
    return text_format.MessageToString(found)


def read_batching(path: str | os.PathLike, enabled: bool = True) -> Batching:
    """The parameters of such a file; what it leaves out is as `Batching` has it.

    Raises:
        ValueError: it is not such a file.
    """
    found = protos.message("BatchingParameters")()
    try:
        text_format.Parse(pathlib.Path(path).read_text(encoding="utf-8"), found)
    except text_format.ParseError as error:
        raise ValueError(
            f"These are no batching parameters: {error}. Received: {str(path)!r}."
        ) from error
    given = {name: getattr(found, name).value for name in _NAMES if found.HasField(name)}
    return Batching(enabled, allowed_batch_sizes=tuple(found.allowed_batch_sizes), **given)
