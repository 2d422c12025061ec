"""What batching parameters, an exported version and its clients must agree on.

A server that merges requests joins their inputs along dimension 0, so their other sizes must be
equal; it refuses a request of more rows than `max_batch_size`, a warm-up record included; and each
of its batch threads waits for the run that it started.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.export.warmup import WARMUP_FILE, read_warmup
from tfgig.exported.lane import Lane
from tfgig.exported.signatures import Signatures, has_rows
from tfgig.serving.deployment.findings import Finding
from tfgig.serving.deployment.options import Batching
from tfgig.serving.protocol.records import MAX_ROWS

_OFF = "serve it without batching (--enable_batching=false)"


def check_batching(
    batching: Batching,
    signatures: Signatures,
    warmup: Mapping[str, int],
    lane: Lane | None = None,
    max_rows: int = MAX_ROWS,
) -> list[Finding]:
    """What batching parameters and a version disagree on; nothing if batching is off.

    Args:
        batching: The parameters.
        signatures: The version's signatures.
        warmup: As `warmup_rows`.
        lane: The version's lane, if it has one.
        max_rows: The most rows that clients put into one request.
    """
    if not batching.enabled:
        return []
    return [
        *unmergeable(signatures),
        *check_sizes(batching.max_batch_size, warmup, max_rows),
        *_check_threads(batching, lane),
    ]


def unmergeable(signatures: Signatures) -> Iterator[Finding]:
    """The inputs of signatures of which two requests cannot be merged rightly."""
    for name, definition in signatures.items():
        for key, info in sorted(definition.inputs.items()):
            subject = f"{name}, input {key!r}"
            if not has_rows(info):
                yield Finding(
                    subject,
                    "has one value for all rows, and batching merges inputs along their rows; "
                    "every request is rejected.",
                    f"{_OFF}, or fix the value at export (load_model(constants={{...}})).",
                )
            elif _is_open(info):
                yield Finding(
                    subject,
                    "has rows of open size. Requests of different sizes in one batch all fail, and "
                    "pad_variable_length_inputs pads them with their own first value, which gives "
                    "wrong numbers.",
                    f"{_OFF}, or export with fixed sizes (load_model(shape={{...}})).",
                )


def check_sizes(
    max_batch_size: int, warmup: Mapping[str, int], max_rows: int = MAX_ROWS
) -> Iterator[Finding]:
    """What the most rows of a request are too few for; arguments as `check_batching`."""
    most = max_batch_size
    for name, rows in sorted(warmup.items()):
        if rows > most:
            yield Finding(
                f"{WARMUP_FILE}, {name}",
                f"has a record of {rows} rows, and `max_batch_size` is {most}; the server does not "
                "load the version.",
                f"raise `max_batch_size` to {rows}, or write smaller records "
                f"(tfgig.export.write_warmup(directory, [{most}])).",
            )
    if max_rows > most:
        yield Finding(
            "max_batch_size",
            f"is {most}, but clients send {max_rows} rows in one request, which is rejected (400). "
            "tfgig's client then sends smaller ones; others fail.",
            f"raise `max_batch_size` to {max_rows}, or let clients send {most} "
            f"(Client(max_rows={most})).",
            note=True,
        )


def warmup_rows(directory: str | os.PathLike) -> dict[str, int]:
    """The most rows of a warm-up record of a version's directory, by signature.

    Raises:
        ValueError: the file is damaged.
    """
    found: dict[str, int] = {}
    try:
        for name, inputs in read_warmup(directory):
            rows = max((value.shape[0] for value in inputs.values() if value.ndim), default=0)
            found[name] = max(rows, found.get(name, 0))
    except (tf.errors.OpError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"The warm-up file is damaged, so the server will not load the version ({reason}). "
            "Write it again with tfgig.export.write_warmup(directory). Received: "
            f"{os.fspath(directory)!r}."
        ) from error
    return found


def _is_open(info: meta_graph_pb2.TensorInfo) -> bool:
    """Whether something beside the number of rows is open."""
    shape = info.tensor_shape
    return shape.unknown_rank or any(axis.size < 0 for axis in shape.dim[1:])


def _check_threads(batching: Batching, lane: Lane | None) -> Iterator[Finding]:
    if lane is None or not lane.at_once:
        return
    held = lane.at_once + lane.waiting
    if batching.num_batch_threads <= held:
        yield Finding(
            "num_batch_threads",
            f"is {batching.num_batch_threads}, and explanations in the lane hold up to {held} "
            "threads; predictions then wait for them.",
            f"raise it to {held} plus one per processor.",
            note=True,
        )
