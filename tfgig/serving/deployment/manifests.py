"""Configuration for TensorFlow Serving's own image: files that serve an exported model as it is.

One server answers predictions and explanations: the lane in the export keeps explanations from
holding it up. Two servers over the same versions are for exports without a lane, and for
explanations on processors of their own.
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
from tfgig.serving.deployment.options import batching_text
from tfgig.serving.deployment.services import Service, one_server
from tfgig.serving.protocol.records import METRICS
from tfgig.spec import check

IMAGE = "tensorflow/serving"
_PROCESSES = 4096  # of a service, threads counted; a server of 64 cores has some hundreds
_FIRST_PORT = 8500  # gRPC's of the first service; REST has the next, another service ten further
_PARAMETERS = "batching_parameters.txt"
_INTER_OP = (
    "--tensorflow_inter_op_parallelism is the number of threads that run operations. An",
    "explanation is a loop that holds one of them until it ends; predictions",
    "need the others.",
)
_BATCHING = """\
# max_batch_size: the most rows of a request, of a client's as of a warm-up record.
# num_batch_threads: each waits for the run it started. Explanations that run or wait in the
# export's lane hold one each, and predictions need the others.
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
        services: The servers, each of which serves every signature.
        storage: Where KServe fetches the directory from.
        tag: The image's tag.
        seconds: How long a request may take over REST.
    """

    name: str
    base: str
    services: tuple[Service, ...] = dataclasses.field(default_factory=one_server)
    storage: str = "pvc://models"
    tag: str = dataclasses.field(default_factory=pinned_tag)
    seconds: int = 300

    def __post_init__(self) -> None:
        check(
            re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", self.name.replace("_", "-")) is not None,
            "A model's name may contain only lower-case letters, digits, - and _ (it becomes a "
            "host name).",
            self.name,
        )
        check(
            self.base.startswith("/") and self.base.isprintable(),
            "A model's directory must be an absolute path in printable characters.",
            self.base,
        )
        check(
            re.fullmatch(r"[a-z][a-z0-9+.-]*://[!-~]+", self.storage) is not None,
            "`storage` must be an address that KServe loads models from, such as "
            "s3://bucket/models.",
            self.storage,
        )
        check(
            re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", self.tag) is not None,
            "An image's tag may contain only letters, digits and ._-, at most 128.",
            self.tag,
        )
        check(len(self.services) > 0, "A deployment needs at least one server.", self.services)
        check(self.seconds >= 1, "A request takes time.", self.seconds)


def files_of(deployment: Deployment) -> dict[str, str]:
    """The files by name."""
    batched = [(i, s) for i, s in enumerate(deployment.services) if s.batching.enabled]
    return {
        "models.config": _models(deployment),
        **{_parameters(i, s): _BATCHING + batching_text(s.batching) for i, s in batched},
        "monitoring.config": _monitoring(),
        "docker-compose.yaml": _comment(deployment) + _yaml(_compose(deployment)),
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
            "Files already exist and may have been edited; choose another directory, or use "
            f"--overwrite (overwrite=True). Received: {', '.join(there)}."
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


def _parameters(which: int, service: Service) -> str:
    """The name of the file of a service's batching parameters."""
    return f"{service.name}_{_PARAMETERS}" if which else _PARAMETERS


def _comment(deployment: Deployment) -> str:
    """What is to be known of the flags, at the head of the file."""
    lines = ["docker compose up starts:"]
    for which, service in enumerate(deployment.services):
        port = _port(which)
        lines.append(f"  {service.name}: gRPC at {port}, REST at {port + 1}.")
    if len(deployment.services) > 1:
        lines.append("Each serves every signature; clients choose the server.")
    lines += ["", *_INTER_OP]
    for service in deployment.services:
        lines.append(f"  {service.name}: {service.inter_op} = {service.inter_op_in_words}.")
    if not any(service.batching.enabled for service in deployment.services):
        lines += ["", "--enable_batching=false: each request runs alone."]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _compose(deployment: Deployment) -> dict[str, Any]:
    return {
        "services": {
            service.name: _service(deployment, which, service)
            for which, service in enumerate(deployment.services)
        }
    }


def _port(which: int) -> int:
    return _FIRST_PORT + 10 * which


def _service(deployment: Deployment, which: int, service: Service) -> dict[str, Any]:
    port = _port(which)
    flags = [
        "--model_config_file=/config/models.config",
        "--monitoring_config_file=/config/monitoring.config",
        f"--rest_api_timeout_in_ms={deployment.seconds * 1000}",
        f"--tensorflow_inter_op_parallelism={service.inter_op}",
        f"--enable_batching={str(service.batching.enabled).lower()}",
    ]
    if service.batching.enabled:
        flags.append(f"--batching_parameters_file=/config/{_parameters(which, service)}")
    # Compose puts variables in for "$"; in the long form a path may hold a colon.
    base = deployment.base.replace("$", "$$")
    mounts = ((base, f"/models/{deployment.name}"), (".", "/config"))
    return {
        "image": f"{IMAGE}:{deployment.tag}",
        "restart": "unless-stopped",
        "cpus": service.cpus,
        "mem_limit": f"{service.memory}m",
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
    return [
        _inference_service(deployment, f"{name}-{service.name}" if which else name, service)
        for which, service in enumerate(deployment.services)
    ]


def _inference_service(deployment: Deployment, name: str, service: Service) -> dict[str, Any]:
    limits = {"cpu": str(service.cpus), "memory": f"{service.memory}Mi"}
    model = {
        "modelFormat": {"name": "tensorflow"},
        "runtimeVersion": deployment.tag,
        "protocolVersion": "v1",
        "storageUri": f"{deployment.storage}/{deployment.name}",
        "args": [
            f"--rest_api_timeout_in_ms={deployment.seconds * 1000}",
            f"--tensorflow_inter_op_parallelism={service.inter_op}",
        ],
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
