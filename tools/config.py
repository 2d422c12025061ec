"""Writes the configuration for serving an exported model with TensorFlow Serving.

  tfgig-config --model_base_path=/models/flowers --output=serving
  docker compose --project-directory serving up

Files for the official image: models.config, batching parameters, monitoring.config,
docker-compose.yaml and, for KServe, inference-service.yaml. One server answers predictions and
explanations; --separate writes two servers of the same versions. Requests are merged if all inputs
of the export have fixed sizes.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
from collections.abc import Sequence

from absl import flags
from tfgig_tools import program

from tfgig.exported.description import read_description
from tfgig.exported.directory import latest, meta_graph_of, model_directory, signatures_in
from tfgig.serving.deployment.agreement import check_sizes, unmergeable, warmup_rows
from tfgig.serving.deployment.manifests import Deployment, pinned_tag, write_configuration
from tfgig.serving.deployment.services import Service, one_server, two_servers
from tfgig.serving.deployment.sizes import answer_sizes
from tfgig.serving.protocol import records
from tfgig.spec import check

_DEFAULT = Deployment("model", "/models/model")
_SERVICE = Service()

MODEL_BASE_PATH = flags.DEFINE_string(
    "model_base_path",
    None,
    "The model's directory, which contains numbered versions.",
    required=True,
)
MODEL_NAME = flags.DEFINE_string(
    "model_name", None, "The model's name for clients; by default the directory's name."
)
OUTPUT = flags.DEFINE_string("output", "serving", "The directory for the files.")
STORAGE = flags.DEFINE_string(
    "storage", _DEFAULT.storage, "Where KServe loads models from: their parent directory."
)
TAG = flags.DEFINE_string(
    "tag",
    None,
    "The tag of the image tensorflow/serving; by default a version no older than the TensorFlow "
    "that wrote the export.",
)
SEPARATE = flags.DEFINE_boolean(
    "separate", False, "Two servers: one for predictions, one for explanations."
)
CPUS = flags.DEFINE_integer(
    "cpus", _SERVICE.cpus, "Processors for the server; with --separate, for predictions."
)
EXPLAIN_CPUS = flags.DEFINE_integer(
    "explain_cpus", _SERVICE.cpus, "Processors for explanations, with --separate."
)
MEMORY = flags.DEFINE_integer(
    "memory_mebibytes",
    _SERVICE.memory,
    "Memory for the server, in MiB; with --separate, for predictions.",
)
EXPLAIN_MEMORY = flags.DEFINE_integer(
    "explain_memory_mebibytes",
    _SERVICE.memory,
    "Memory for explanations, in MiB, with --separate.",
)
OVERWRITE = flags.DEFINE_boolean("overwrite", False, "Replace existing files.")
SECONDS = flags.DEFINE_integer("seconds", _DEFAULT.seconds, "Time limit of a request, in seconds.")
ENABLE_BATCHING = flags.DEFINE_boolean(
    "enable_batching",
    None,
    "Merge concurrent requests; by default only if all inputs have fixed sizes.",
)
MAX_BATCH_SIZE = flags.DEFINE_integer(
    "max_batch_size",
    None,
    "Maximum rows of a request, where requests are merged; by default the larger of --max_rows and "
    "the warm-up records.",
)
MAX_ROWS = flags.DEFINE_integer(
    "max_rows", records.MAX_ROWS, "Maximum rows that clients send in one request."
)


TOPICS = {
    "The model": ("model_base_path", "model_name"),
    "Files": ("output", "overwrite", "tag", "storage"),
    "Servers": (
        "separate",
        "cpus",
        "memory_mebibytes",
        "explain_cpus",
        "explain_memory_mebibytes",
    ),
    "Requests": ("enable_batching", "max_batch_size", "max_rows", "seconds"),
    "General": ("program_version",),
}


def main(arguments: Sequence[str]) -> int:
    """Writes the files and prints the size of each answer."""
    program.refuse_arguments(arguments)
    base = model_directory(MODEL_BASE_PATH.value).resolve()
    version = latest(base)
    deployment = Deployment(
        MODEL_NAME.value or base.name,
        str(base),
        _services(version),
        storage=STORAGE.value,
        tag=TAG.value or pinned_tag(meta_graph_of(version).meta_info_def.tensorflow_version),
        seconds=SECONDS.value,
    )
    for path in write_configuration(deployment, OUTPUT.value, OVERWRITE.value):
        print(f"Wrote {path}")
    print("Bytes of one row's answer, over gRPC:")
    for name, size in answer_sizes(version).items():
        print(f"  {name:28} {'unknown before a call' if size is None else f'{size:,}'}")
    print(f"Start it: docker compose --project-directory {shlex.quote(OUTPUT.value)} up")
    return 0


def _services(version: pathlib.Path) -> tuple[Service, ...]:
    """The servers, which agree with the version and its clients.

    Raises:
        ValueError: they cannot.
    """
    signatures, description = signatures_in(version), read_description(version)
    warmup = warmup_rows(version)
    check(MAX_ROWS.value >= 1, "--max_rows must be at least 1.", MAX_ROWS.value)
    rows = MAX_BATCH_SIZE.value or max([MAX_ROWS.value, *warmup.values()])
    obstacles = list(unmergeable(signatures))
    merge = not obstacles if ENABLE_BATCHING.value is None else ENABLE_BATCHING.value
    if obstacles and not merge:
        print(f"Requests are not merged. {obstacles[0].subject} {obstacles[0].problem}")
    if description.endpoints and not (description.lane and description.lane.at_once):
        print(
            "note: the export has no lane, so concurrent explanations delay predictions. Export it "
            "again with one (the default), or use --separate."
        )
    if SEPARATE.value:
        services: tuple[Service, ...] = two_servers(
            (CPUS.value, EXPLAIN_CPUS.value),
            (MEMORY.value, EXPLAIN_MEMORY.value),
            merge,
            rows,
            description.lane,
        )
    else:
        services = one_server(CPUS.value, MEMORY.value, merge, rows, description.lane)
    if merge:
        found = [*obstacles, *check_sizes(rows, warmup, MAX_ROWS.value)]
        if found:
            reason = dataclasses.replace(found[0], note=False)
            raise ValueError(f"Batching cannot be enabled. {reason}")
    return services


def run() -> None:
    """The installed program's entry."""
    program.run(main, __name__, __doc__, TOPICS)


if __name__ == "__main__":
    run()
