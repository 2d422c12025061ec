"""Writes the configuration with which TensorFlow Serving serves an exported model.

Files for the official image: models.config, batching parameters for predictions and for
explanations, monitoring.config, docker-compose.yaml and, for KServe, inference-service.yaml. Two
servers share the versions, one for predictions and one for explanations, which cost a hundred
predictions each and would otherwise hold them up.

  tfgig-config --model_base_path=/models/flowers --output=serving
  docker compose --project-directory serving up
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence

from absl import flags

from tfgig import program
from tfgig.exported.directory import latest, meta_graph_of, model_directory
from tfgig.serving.deployment.manifests import Deployment, pinned_tag, write_configuration
from tfgig.serving.deployment.sizes import answer_sizes

_DEFAULT = Deployment("model", "/models/model")

MODEL_BASE_PATH = flags.DEFINE_string(
    "model_base_path", None, "The model's directory, which holds versions by number.", required=True
)
MODEL_NAME = flags.DEFINE_string(
    "model_name", None, "What clients call the model; the directory's name if not given."
)
OUTPUT = flags.DEFINE_string("output", "serving", "The directory for the files.")
STORAGE = flags.DEFINE_string(
    "storage", _DEFAULT.storage, "Where KServe fetches models from: the directory above them."
)
TAG = flags.DEFINE_string(
    "tag",
    None,
    "The tag of the image tensorflow/serving; if not given, a version that is no older than the "
    "TensorFlow that wrote the export.",
)
CPUS = flags.DEFINE_integer("cpus", _DEFAULT.cpus[0], "Processors for predictions.")
EXPLAIN_CPUS = flags.DEFINE_integer(
    "explain_cpus", _DEFAULT.cpus[1], "Processors for explanations."
)
MEMORY = flags.DEFINE_integer(
    "memory_mebibytes", _DEFAULT.memory[0], "Memory for predictions, in MiB."
)
EXPLAIN_MEMORY = flags.DEFINE_integer(
    "explain_memory_mebibytes", _DEFAULT.memory[1], "Memory for explanations, in MiB."
)
OVERWRITE = flags.DEFINE_boolean("overwrite", False, "Replace files that are there.")
SECONDS = flags.DEFINE_integer("seconds", _DEFAULT.seconds, "How long a request may take.")
ENABLE_BATCHING = flags.DEFINE_boolean(
    "enable_batching", True, "Merge requests that come at the same time."
)


def main(arguments: Sequence[str]) -> int:
    """Writes the files, and says how large answers are."""
    if len(arguments) > 1:
        raise ValueError(f"Only flags are taken. Received: {' '.join(arguments[1:])!r}.")
    base = model_directory(MODEL_BASE_PATH.value).resolve()
    version = latest(base)
    plain = Deployment(MODEL_NAME.value or base.name, str(base))
    merge = ENABLE_BATCHING.value
    deployment = dataclasses.replace(
        plain,
        storage=STORAGE.value,
        tag=TAG.value or pinned_tag(meta_graph_of(version).meta_info_def.tensorflow_version),
        predictions=dataclasses.replace(
            plain.predictions, enabled=merge, num_batch_threads=CPUS.value
        ),
        explanations=dataclasses.replace(
            plain.explanations, enabled=merge, num_batch_threads=EXPLAIN_CPUS.value
        ),
        cpus=(CPUS.value, EXPLAIN_CPUS.value),
        memory=(MEMORY.value, EXPLAIN_MEMORY.value),
        seconds=SECONDS.value,
    )
    for path in write_configuration(deployment, OUTPUT.value, OVERWRITE.value):
        print(f"Wrote {path}")
    print("Bytes of one row's answer, over gRPC:")
    for name, size in answer_sizes(version).items():
        print(f"  {name:28} {'not known before a call' if size is None else f'{size:,}'}")
    print(f"Start it: docker compose --project-directory {shlex.quote(OUTPUT.value)} up")
    return 0


def run() -> None:
    """The installed program's entry."""
    program.run(main, __name__, __doc__)


if __name__ == "__main__":
    run()
