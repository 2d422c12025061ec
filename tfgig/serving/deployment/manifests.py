"""Configuration for TensorFlow Serving's own image: files that serve an exported model as it is.

Explanations cost a hundred predictions each, and TensorFlow Serving has one pool of threads for
everything it batches. So there are two servers over the same versions: one for predictions, one
for explanations, each with its own batching and its own share of the machine.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import pathlib
import re
from typing import Any

from google.protobuf import text_format

from tfgig.export import protos
from tfgig.serving.deployment.options import Batching, batching_text
from tfgig.serving.protocol.records import METRICS
from tfgig.spec import check

IMAGE = "tensorflow/serving"
_ENDS = ("", "-explain")  # of the names of the two services of KServe
_PROCESSES = 4096  # of a service, threads counted; a server of 64 cores has some hundreds
_COMMENT = """\
# docker compose up: predictions at 8500 (gRPC) and 8501 (REST), explanations at 8510
# and 8511. Both serve every signature; which one is asked is the clients' choice.
"""


def pinned_tag(tensorflow_version: str = "") -> str:
    """A tag of the image that is no older than the TensorFlow that wrote an export.

    Args:
        tensorflow_version: Of that TensorFlow, such as "2.21.0".
    """
    # Released together with the image, under the same number.
    known = [importlib.metadata.version("tensorflow-serving-api"), tensorflow_version]
    releases = [version for version in known if re.fullmatch(r"\d+\.\d+\.\d+", version)]
    return max(releases, key=lambda version: tuple(map(int, version.split("."))))


@dataclasses.dataclass(frozen=True)
class Deployment:
    """How a model is deployed.

    Args:
        name: The model's name.
        base: The model's directory on the host, which holds versions by number.
        storage: Where KServe fetches the directory from.
        tag: The image's tag.
        predictions: How predictions are batched.
        explanations: How explanations are batched.
        cpus: How many processors the server of predictions, and that of explanations, may use.
        memory: How much memory each of them may use, in MiB.
        seconds: How long a request may take over REST.
    """

    name: str
    base: str
    storage: str = "pvc://models"
    tag: str = dataclasses.field(default_factory=pinned_tag)
    predictions: Batching = Batching(
        max_batch_size=32, batch_timeout_micros=1000, max_enqueued_batches=64
    )
    explanations: Batching = Batching(
        max_batch_size=8, batch_timeout_micros=5000, max_enqueued_batches=16
    )
    cpus: tuple[int, int] = (2, 2)
    memory: tuple[int, int] = (4096, 4096)
    seconds: int = 300

    def __post_init__(self) -> None:
        check(
            re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", self.name.replace("_", "-")) is not None,
            "A model's name is of small letters, digits, - and _ (it becomes a host's name).",
            self.name,
        )
        check(
            self.base.startswith("/") and self.base.isprintable(),
            "A model's directory is named from the root on, in printable characters.",
            self.base,
        )
        check(
            re.fullmatch(r"[a-z][a-z0-9+.-]*://[!-~]+", self.storage) is not None,
            "Where KServe fetches models from is an address, such as s3://bucket/models.",
            self.storage,
        )
        check(
            re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", self.tag) is not None,
            "An image's tag is of letters, digits and ._-, 128 at most.",
            self.tag,
        )
        check(min(self.cpus) >= 1, "A server needs a processor.", self.cpus)
        check(min(self.memory) >= 256, "A server needs memory, 256 MiB or more.", self.memory)
        check(self.seconds >= 1, "A request takes time.", self.seconds)


def files_of(deployment: Deployment) -> dict[str, str]:
    """The files by name."""
    return {
        "models.config": _models(deployment),
        "batching_parameters.txt": batching_text(deployment.predictions),
        "explain_batching_parameters.txt": batching_text(deployment.explanations),
        "monitoring.config": _monitoring(),
        "docker-compose.yaml": _COMMENT + _yaml(_compose(deployment)),
        "inference-service.yaml": _yaml(*_kserve(deployment)),
    }


def write_configuration(
    deployment: Deployment, directory: str | os.PathLike, overwrite: bool = False
) -> list[pathlib.Path]:
    """Writes the files into a directory, which is made if need be; returns their paths.

    Raises:
        FileExistsError: one of them is there, and is not to be overwritten; none is written.
    """
    directory = pathlib.Path(directory)
    files = {directory / name: text for name, text in files_of(deployment).items()}
    there = [str(path) for path in files if path.exists()]
    if there and not overwrite:
        raise FileExistsError(
            "Files are there already, and may have been changed by hand; choose another directory, "
            f"or --overwrite (overwrite=True). Received: {', '.join(there)}."
        )
    directory.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def _models(deployment: Deployment) -> str:
    found = protos.message("ModelServerConfig")()
    found.model_config_list.config.add(
        name=deployment.name, base_path=f"/models/{deployment.name}", model_platform="tensorflow"
    )
    return text_format.MessageToString(found)


def _monitoring() -> str:
    found = protos.message("MonitoringConfig")()
    found.prometheus_config.enable = True
    found.prometheus_config.path = METRICS
    return text_format.MessageToString(found)


def _compose(deployment: Deployment) -> dict[str, Any]:
    services = (
        ("predict", 8500, "batching_parameters.txt", deployment.predictions, 0),
        ("explain", 8510, "explain_batching_parameters.txt", deployment.explanations, 1),
    )
    return {
        "services": {
            service: _service(deployment, port, parameters, batching, which)
            for service, port, parameters, batching, which in services
        }
    }


def _service(
    deployment: Deployment, port: int, parameters: str, batching: Batching, which: int
) -> dict[str, Any]:
    flags = [
        "--model_config_file=/config/models.config",
        "--monitoring_config_file=/config/monitoring.config",
        f"--rest_api_timeout_in_ms={deployment.seconds * 1000}",
        f"--enable_batching={str(batching.enabled).lower()}",
    ]
    if batching.enabled:
        flags.append(f"--batching_parameters_file=/config/{parameters}")
    # Compose puts variables in for "$"; in the long form a path may hold a colon.
    base = deployment.base.replace("$", "$$")
    mounts = ((base, f"/models/{deployment.name}"), (".", "/config"))
    return {
        "image": f"{IMAGE}:{deployment.tag}",
        "restart": "unless-stopped",
        "cpus": deployment.cpus[which],
        "mem_limit": f"{deployment.memory[which]}m",
        "pids_limit": _PROCESSES,
        # A model is a program: it needs no more than to compute and to answer.
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        "tmpfs": ["/tmp"],
        "ports": [f"127.0.0.1:{port}:8500", f"127.0.0.1:{port + 1}:8501"],
        "volumes": [
            {"type": "bind", "source": source, "target": target, "read_only": True}
            for source, target in mounts
        ],
        "command": flags,
    }


def _kserve(deployment: Deployment) -> list[dict[str, Any]]:
    name = deployment.name.replace("_", "-")
    return [_inference_service(deployment, f"{name}{end}", i) for i, end in enumerate(_ENDS)]


def _inference_service(deployment: Deployment, name: str, which: int) -> dict[str, Any]:
    limits = {"cpu": str(deployment.cpus[which]), "memory": f"{deployment.memory[which]}Mi"}
    model = {
        "modelFormat": {"name": "tensorflow"},
        "runtimeVersion": deployment.tag,
        "protocolVersion": "v1",
        "storageUri": f"{deployment.storage}/{deployment.name}",
        "args": [f"--rest_api_timeout_in_ms={deployment.seconds * 1000}"],
        "resources": {"limits": limits},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {"predictor": {"timeout": deployment.seconds, "model": model}},
    }


def _yaml(*documents: dict[str, Any]) -> str:
    import yaml

    return yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True)
