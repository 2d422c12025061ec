"""Serves an exported model on this machine, over TensorFlow Serving's protocols.

  tfgig-serve --model_base_path=/models/name
  tfgig-serve --model_base_path=/models/name --enable_batching --max_batch_size=16

For development and tests: it loads the same models as TensorFlow Serving and gives the same
answers, but in Python. It serves the newest version in the directory; a new one replaces it without
losing a request. In production, run TensorFlow Serving; tfgig-config writes its configuration.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from absl import flags
from tfgig_tools import command_line, program

from tfgig.serving.deployment.options import Batching, ServerOptions, read_batching
from tfgig.spec import check

_SERVER, _BATCHING = ServerOptions(), Batching()

MODEL_BASE_PATH = flags.DEFINE_string(
    "model_base_path",
    None,
    "The model's directory, which contains numbered versions.",
    required=True,
)
MODEL_NAME = flags.DEFINE_string(
    "model_name", None, "The model's name for clients; by default the directory's name."
)
HOST = flags.DEFINE_string("host", _SERVER.host, "The address to listen on.")
PORT = flags.DEFINE_integer("port", _SERVER.port, "The gRPC port; 0 for a free one.")
REST_PORT = flags.DEFINE_integer(
    "rest_api_port", _SERVER.rest_port, "The REST port; 0 for a free one."
)
POLL = flags.DEFINE_float(
    "file_system_poll_wait_seconds",
    _SERVER.poll_seconds,
    "Seconds between checks for new versions.",
)
KEEP = flags.DEFINE_integer("num_versions", _SERVER.keep, "Number of newest versions to serve.")
LABELS = flags.DEFINE_list("version_labels", [], "Labels of versions, such as stable:1,canary:2.")
TIMEOUT = flags.DEFINE_integer(
    "rest_api_timeout_in_ms",
    int(_SERVER.rest_seconds * 1000),
    "Time limit of a REST request; over gRPC the client sets it.",
)
MAX_REQUEST = flags.DEFINE_integer(
    "max_request_mebibytes", _SERVER.max_request_mebibytes, "Maximum size of a request, in MiB."
)
INTER_OP = flags.DEFINE_integer(
    "tensorflow_inter_op_parallelism",
    _SERVER.tensorflow_inter_op_parallelism,
    "Threads that run the operations of all requests; 0 for one per processor. A loop holds its "
    "thread until it ends.",
)
GRPC_THREADS = flags.DEFINE_integer(
    "grpc_max_threads",
    _SERVER.grpc_max_threads,
    "Maximum concurrent gRPC requests; more are rejected.",
)
REST_THREADS = flags.DEFINE_integer(
    "rest_api_num_threads",
    _SERVER.rest_api_num_threads,
    "Maximum concurrent REST requests; more wait.",
)
RETRIES = flags.DEFINE_integer(
    "max_num_load_retries",
    _SERVER.max_num_load_retries,
    "Number of retries for a version that cannot be loaded.",
)
RETRY_INTERVAL = flags.DEFINE_integer(
    "load_retry_interval_micros",
    int(_SERVER.load_retry_seconds * 1_000_000),
    "Time between retries, in microseconds.",
)
SERVER = flags.DEFINE_string(
    "server",
    None,
    "The REST address of another server of this model for the page to use, such as TensorFlow "
    "Serving with --rest_api_enable_cors_support.",
)
ENABLE_BATCHING = flags.DEFINE_boolean(
    "enable_batching", _BATCHING.enabled, "Merge concurrent requests."
)
BATCHING_PARAMETERS = flags.DEFINE_string(
    "batching_parameters_file",
    None,
    "A file of TensorFlow Serving's batching parameters, instead of the flags below.",
)
MAX_BATCH_SIZE = flags.DEFINE_integer(
    "max_batch_size", _BATCHING.max_batch_size, "Maximum rows of a request and of a run."
)
BATCH_TIMEOUT = flags.DEFINE_integer(
    "batch_timeout_micros",
    _BATCHING.batch_timeout_micros,
    "How long an incomplete batch waits, in microseconds.",
)
MAX_ENQUEUED = flags.DEFINE_integer(
    "max_enqueued_batches",
    _BATCHING.max_enqueued_batches,
    "Maximum waiting batches of one signature; more are rejected.",
)
BATCH_THREADS = flags.DEFINE_integer(
    "num_batch_threads",
    _BATCHING.num_batch_threads,
    "Maximum concurrent batches.",
)
ALLOWED_BATCH_SIZES = flags.DEFINE_list(
    "allowed_batch_sizes", [], "Pad batches to the next of these sizes."
)


TOPICS = {
    "The model": ("model_base_path", "model_name", "num_versions", "version_labels"),
    "Addresses": ("host", "port", "rest_api_port", "server"),
    "Requests": (
        "max_request_mebibytes",
        "rest_api_timeout_in_ms",
        "grpc_max_threads",
        "rest_api_num_threads",
        "tensorflow_inter_op_parallelism",
    ),
    "Batching": (
        "enable_batching",
        "batching_parameters_file",
        "max_batch_size",
        "batch_timeout_micros",
        "max_enqueued_batches",
        "num_batch_threads",
        "allowed_batch_sizes",
    ),
    "Versions": (
        "file_system_poll_wait_seconds",
        "max_num_load_retries",
        "load_retry_interval_micros",
    ),
    "General": ("program_version",),
}


def main(arguments: Sequence[str]) -> int:
    """Serves until it is stopped."""
    program.refuse_arguments(arguments)
    options = ServerOptions(
        name=MODEL_NAME.value,
        host=HOST.value,
        port=PORT.value,
        rest_port=REST_PORT.value,
        batching=_batching(),
        poll_seconds=POLL.value,
        keep=KEEP.value,
        labels=_labels(),
        max_request_mebibytes=MAX_REQUEST.value,
        rest_seconds=TIMEOUT.value / 1000,
        tensorflow_inter_op_parallelism=INTER_OP.value,
        grpc_max_threads=GRPC_THREADS.value,
        rest_api_num_threads=REST_THREADS.value,
        max_num_load_retries=RETRIES.value,
        load_retry_seconds=RETRY_INTERVAL.value / 1_000_000,
        server=SERVER.value,
    )
    from tfgig.serving import LocalServer  # which needs the extra, as --help does not

    stop, told = threading.Event(), set[int]()

    def end(number: int, _: FrameType | None) -> None:
        told.add(number)
        stop.set()

    with LocalServer(MODEL_BASE_PATH.value, options) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        statuses = server.core.versions.statuses()
        if not statuses:
            print("There is no version yet; the first one to appear will be served.")
        for status in statuses:
            print(f"Version {status.number}: {status.state} {status.message}".rstrip())
        print(f"  gRPC  {server.grpc_address}")
        print(f"  REST  {server.rest_address}/v1/models/{server.name}")
        print(f"  page  {server.rest_address}")
        print(f"Serving {server.name}, for development and tests; Ctrl-C stops it.", flush=True)
        stop.wait()
    if signal.SIGINT in told:
        print("Interrupted.", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0  # told to stop, as by Docker, it stopped well


def _batching() -> Batching:
    if BATCHING_PARAMETERS.value is not None:
        check(
            ENABLE_BATCHING.value,
            "--batching_parameters_file needs --enable_batching.",
            BATCHING_PARAMETERS.value,
        )
        return read_batching(BATCHING_PARAMETERS.value)
    return Batching(
        enabled=ENABLE_BATCHING.value,
        max_batch_size=MAX_BATCH_SIZE.value,
        batch_timeout_micros=BATCH_TIMEOUT.value,
        max_enqueued_batches=MAX_ENQUEUED.value,
        num_batch_threads=BATCH_THREADS.value,
        allowed_batch_sizes=command_line.numbers(
            ALLOWED_BATCH_SIZES, int, "whole numbers, such as 1,8"
        ),
    )


def _labels() -> dict[str, int]:
    pairs = [label.partition(":") for label in LABELS.value]
    texts = [number for _, _, number in pairs]
    versions = command_line.numbers(
        LABELS, int, "names with whole numbers, such as stable:1", texts=texts
    )
    return {name: number for (name, _, _), number in zip(pairs, versions, strict=True)}


def run() -> None:
    """The installed program's entry."""
    program.run(main, __name__, __doc__, TOPICS)


if __name__ == "__main__":
    run()
