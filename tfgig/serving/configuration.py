"""Configuration for TensorFlow Serving's own image: files that serve an exported model as it is.

Explanations cost a hundred predictions each, and TensorFlow Serving has one pool of threads for
everything it batches. So there are two servers over the same versions: one for predictions, one
for explanations, each with its own batching and its own share of the machine.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re

from google.protobuf import text_format

from tfgig.export import protos
from tfgig.serving.batching import Batching
from tfgig.serving.metrics import PATH
from tfgig.spec import check

IMAGE = "tensorflow/serving"
_NAMES = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")


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
        seconds: How long a request may take over REST.
    """

    name: str
    base: str
    storage: str = "pvc://models"
    tag: str = "latest"
    predictions: Batching = Batching(max_batch_size=32, batch_timeout_micros=1000)
    explanations: Batching = Batching(
        max_batch_size=8, batch_timeout_micros=5000, max_enqueued_batches=16
    )
    cpus: tuple[int, int] = (2, 2)
    seconds: int = 300

    def __post_init__(self) -> None:
        check(
            re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", self.name.replace("_", "-")) is not None,
            "A model's name is of small letters, digits, - and _ (it becomes a host's name).",
            self.name,
        )
        check(
            re.fullmatch(r"[\w./:-]+", self.base) is not None,
            "A directory's name is of letters, digits and ./_-, for it goes into YAML.",
            self.base,
        )
        check(min(self.cpus) >= 1, "A server needs a processor.", self.cpus)
        check(self.seconds >= 1, "A request takes time.", self.seconds)


def files_of(deployment: Deployment) -> dict[str, str]:
    """The files by name."""
    return {
        "models.config": _models(deployment),
        "batching_parameters.txt": batching_text(deployment.predictions),
        "explain_batching_parameters.txt": batching_text(deployment.explanations),
        "monitoring.config": _monitoring(),
        "docker-compose.yaml": _compose(deployment),
        "inference-service.yaml": _kserve(deployment),
    }


def write_configuration(deployment: Deployment, directory: str | os.PathLike) -> list[pathlib.Path]:
    """Writes the files into a directory, which is made if need be; returns their paths."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in files_of(deployment).items():
        paths.append(directory / name)
        paths[-1].write_text(text, encoding="utf-8")
    return paths


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


def _models(deployment: Deployment) -> str:
    found = protos.message("ModelServerConfig")()
    found.model_config_list.config.add(
        name=deployment.name, base_path=f"/models/{deployment.name}", model_platform="tensorflow"
    )
    return text_format.MessageToString(found)


def _monitoring() -> str:
    found = protos.message("MonitoringConfig")()
    found.prometheus_config.enable = True
    found.prometheus_config.path = PATH
    return text_format.MessageToString(found)


def _compose(deployment: Deployment) -> str:
    services = (
        ("predict", 8500, "batching_parameters.txt", deployment.predictions, 0),
        ("explain", 8510, "explain_batching_parameters.txt", deployment.explanations, 1),
    )
    text = (
        "# docker compose up: predictions at 8500 (gRPC) and 8501 (REST), explanations at 8510\n"
        "# and 8511. Both serve every signature; which one is asked is the clients' choice.\n"
        "services:\n"
    )
    for service, port, parameters, batching, which in services:
        text += f"""\
  {service}:
    image: {IMAGE}:{deployment.tag}
    restart: unless-stopped
    cpus: {deployment.cpus[which]}
    ports: ["127.0.0.1:{port}:8500", "127.0.0.1:{port + 1}:8501"]
    volumes:
      - {deployment.base}:/models/{deployment.name}:ro
      - .:/config:ro
    command:
      - --model_config_file=/config/models.config
      - --monitoring_config_file=/config/monitoring.config
      - --rest_api_timeout_in_ms={deployment.seconds * 1000}
      - --enable_batching={str(batching.enabled).lower()}
"""
        if batching.enabled:
            text += f"      - --batching_parameters_file=/config/{parameters}\n"
    return text


def _kserve(deployment: Deployment) -> str:
    name = deployment.name.replace("_", "-")
    services = ((name, deployment.cpus[0]), (f"{name}-explain", deployment.cpus[1]))
    return "---\n".join(
        f"""\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {service}
spec:
  predictor:
    timeout: {deployment.seconds}
    model:
      modelFormat:
        name: tensorflow
      runtimeVersion: "{deployment.tag}"
      protocolVersion: v1
      storageUri: {deployment.storage}/{deployment.name}
      args:
        - --rest_api_timeout_in_ms={deployment.seconds * 1000}
      resources:
        limits:
          cpu: "{cpus}"
"""
        for service, cpus in services
    )
