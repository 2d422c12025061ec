"""How a server serves: TensorFlow Serving's own parameters, for it and for `tfgig-serve`."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping

from google.protobuf import text_format

from tfgig.export import protos
from tfgig.spec import check, is_whole

_PROCESSORS = os.cpu_count() or 1
_LAST_PORT = 65535  # gRPC takes a larger one for its remainder
_NUMBERS = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
_EXECUTION = ("max_execution_batch_size", "enable_large_batch_splitting")


@dataclasses.dataclass(frozen=True)
class Batching:
    """How requests are merged, with TensorFlow Serving's names and defaults.

    Args:
        enabled: Whether requests are merged. Otherwise the other parameters have no effect.
        max_batch_size: The maximum rows of a request and, unless requests are split, of a run.
        batch_timeout_micros: How long an incomplete batch waits.
        max_enqueued_batches: The maximum waiting batches of one signature, including the one being
            filled; further requests fail with UNAVAILABLE.
        num_batch_threads: The maximum concurrent batches, over all signatures.
        allowed_batch_sizes: Batches are padded to the next of these sizes; if empty, not at all.
        pad_variable_length_inputs: Whether inputs of different sizes are padded to the largest,
            each with its own first value. Without it, requests of different shapes in one batch all
            fail; with it, their answers are those of padded inputs.
        enable_large_batch_splitting: Whether a request may have more rows than a run.
        max_execution_batch_size: The maximum rows of a run, if requests are split.
    """

    enabled: bool = False
    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = _PROCESSORS
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            check(getattr(self, name) >= 1, f"`{name}` must be at least 1.", getattr(self, name))
        wait = self.batch_timeout_micros
        check(wait >= 0, "`batch_timeout_micros` must be at least 0.", wait)
        sizes = self.allowed_batch_sizes
        check(
            not sizes or (list(sizes) == sorted(set(sizes)) and sizes[-1] == self.max_batch_size),
            "`allowed_batch_sizes` must ascend and end with `max_batch_size`.",
            sizes,
        )
        run = self.max_execution_batch_size
        check(
            run is None or 1 <= run <= self.max_batch_size,
            "`max_execution_batch_size` must be from 1 to `max_batch_size`.",
            run,
        )

    @property
    def rows_of_a_run(self) -> int:
        """The maximum rows of one run of the graph."""
        if self.enable_large_batch_splitting and self.max_execution_batch_size is not None:
            return self.max_execution_batch_size
        return self.max_batch_size

    def padded(self, rows: int) -> int:
        """The size to which a batch of so many rows is padded."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Options of a local server, with TensorFlow Serving's flag names and defaults.

    Args:
        name: The model's name for clients; None for the directory's name.
        host: The address to listen on; by default only this machine.
        port: The gRPC port; 0 for a free one.
        rest_port: The REST port; 0 for a free one.
        batching: How requests are merged.
        poll_seconds: Seconds between checks for new versions.
        keep: The number of newest versions to serve.
        labels: Labels of versions.
        max_request_mebibytes: The maximum size of a request, in MiB.
        rest_seconds: The time limit of a REST request.
        tensorflow_inter_op_parallelism: Threads that run the operations of all requests; 0 for one
            per processor. A loop holds its thread until it ends.
        grpc_max_threads: Maximum concurrent gRPC requests; more are rejected.
        rest_api_num_threads: Maximum concurrent REST requests; more wait.
        max_num_load_retries: The number of retries for a version that cannot be loaded.
        load_retry_seconds: The time between retries.
        server: The REST address of another server of this model, such as "http://localhost:8601",
            for the page at `/` to use instead of this one; it must allow CORS.
    """

    name: str | None = None
    host: str = "127.0.0.1"
    port: int = 8500
    rest_port: int = 8501
    batching: Batching = Batching()
    poll_seconds: float = 1.0
    keep: int = 1
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)
    max_request_mebibytes: int = 64
    rest_seconds: float = 30.0
    tensorflow_inter_op_parallelism: int = 0
    grpc_max_threads: int = 4 * _PROCESSORS
    rest_api_num_threads: int = 4 * _PROCESSORS
    max_num_load_retries: int = 5
    load_retry_seconds: float = 60.0
    server: str | None = None

    def __post_init__(self) -> None:
        for field in (
            "poll_seconds",
            "keep",
            "max_request_mebibytes",
            "rest_seconds",
            "grpc_max_threads",
            "rest_api_num_threads",
        ):
            check(getattr(self, field) > 0, f"`{field}` must be above 0.", getattr(self, field))
        for field in (
            "tensorflow_inter_op_parallelism",
            "max_num_load_retries",
            "load_retry_seconds",
        ):
            check(getattr(self, field) >= 0, f"`{field}` must be at least 0.", getattr(self, field))
        for field in ("port", "rest_port"):
            port = getattr(self, field)
            check(
                is_whole(port) and 0 <= port <= _LAST_PORT,
                f"`{field}` must be from 0 to 65535.",
                port,
            )
        taken = self.port and self.port == self.rest_port
        check(not taken, "gRPC and REST need different ports.", self.port)


def batching_text(batching: Batching) -> str:
    """TensorFlow Serving's `--batching_parameters_file`."""
    found = protos.message("BatchingParameters")()
    for name in _NUMBERS:
        getattr(found, name).value = getattr(batching, name)
    for name in _EXECUTION:
        if getattr(batching, name):
            getattr(found, name).value = getattr(batching, name)
    found.allowed_batch_sizes.extend(batching.allowed_batch_sizes)
    found.pad_variable_length_inputs = batching.pad_variable_length_inputs
    return text_format.MessageToString(found)


def read_batching(path: str | os.PathLike) -> Batching:
    """The parameters of such a file; what it leaves out has TensorFlow Serving's default.

    Raises:
        ValueError: it is not such a file.
    """
    found = protos.message("BatchingParameters")()
    try:
        text_format.Parse(pathlib.Path(path).read_text(encoding="utf-8"), found)
    except text_format.ParseError as error:
        raise ValueError(
            f"The batching parameters are invalid: {error}. Received: {str(path)!r}."
        ) from error
    given = {
        name: getattr(found, name).value for name in _NUMBERS + _EXECUTION if found.HasField(name)
    }
    return Batching(
        True,
        allowed_batch_sizes=tuple(found.allowed_batch_sizes),
        pad_variable_length_inputs=found.pad_variable_length_inputs,
        **given,
    )
