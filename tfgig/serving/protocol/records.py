"""What client and server both speak of: models, answers, states of versions."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from tfgig.serving.protocol.errors import Code

SIGNATURES = "signature_def"  # the key of the signatures among a model's metadata
METRICS = "/monitoring/prometheus/metrics"  # TensorFlow Serving's usual path of them
MAX_ROWS = 32  # of one request, unless a client is told otherwise
State = Literal["LOADING", "AVAILABLE", "UNLOADING", "END"]


@dataclasses.dataclass(frozen=True)
class Model:
    """Which model a request is for: by name, and by version, by label, or the newest."""

    name: str
    version: int | None = None
    label: str | None = None


@dataclasses.dataclass(frozen=True)
class Answer:
    """The outputs [B, ...] of a request, and their version, if the protocol reports it."""

    outputs: dict[str, np.ndarray]
    version: int | None = None


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """How a version is: its state in TensorFlow Serving's words and, if it failed, why."""

    number: int
    state: State
    code: Code = Code.OK
    message: str = ""
