"""What the server does with a request, whatever protocol it came by."""

from __future__ import annotations

import functools
import os
import pathlib
import time
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.exported.signatures import defaults_of
from tfgig.serving.devserver.batching import Batching, Task
from tfgig.serving.devserver.lanes import Lane
from tfgig.serving.devserver.monitoring import Metrics
from tfgig.serving.devserver.versions import Servable, Versions
from tfgig.serving.protocol.arguments import check_inputs
from tfgig.serving.protocol.errors import (
    LATE,
    Code,
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    ServingError,
)
from tfgig.serving.protocol.records import Model
from tfgig.serving.runtime.replay import replay
from tfgig.serving.runtime.session import SessionModel
from tfgig.spec import nearest

LONGEST = 600.0  # seconds: a request without a deadline of its own ends, too


class Pending:
    """A request under way."""

    def __init__(self, version: int, future: Future[dict[str, np.ndarray]], deadline: float):
        self.version = version
        self.future = future
        self._deadline = deadline

    @property
    def seconds(self) -> float:
        """How long is left."""
        return max(0.0, self._deadline - time.monotonic())

    def cancel(self) -> None:
        """Whoever asked has gone: what still waits is not run."""
        self.future.cancel()

    def result(self) -> dict[str, np.ndarray]:
        """The outputs, waited for until the deadline.

        Raises:
            ServingError: what went wrong.
        """
        try:
            return self.future.result(self.seconds)
        except FutureTimeout as error:
            self.cancel()
            raise DeadlineExceeded(LATE) from error
        except CancelledError as error:
            raise ServingError("The client has gone.", Code.CANCELLED) from error


class Core:
    """One model's versions and queues.

    Args:
        base: The model's directory.
        name: What clients call it.
        batching: How requests are queued and merged.
        labels: Versions by names of their own.
        keep: How many of the newest versions are served.
    """

    def __init__(
        self,
        base: str | os.PathLike,
        name: str,
        batching: Batching = Batching(),
        labels: Mapping[str, int] | None = None,
        keep: int = 1,
    ) -> None:
        self.name = name
        self.metrics = Metrics()
        self.versions = Versions(base, load_warm, keep, labels)
        self._lanes = {
            lane: Lane(lane, batching, self.metrics.batch_sizes(lane), lane == "explain")
            for lane in ("predict", "explain")
        }
        for lane, queue in self._lanes.items():
            self.metrics.watch_queue(lane, queue)

    def start(self, poll_seconds: float) -> None:
        """Loads what is there, goes on watching, and works from now on."""
        for lane in self._lanes.values():
            lane.start()
        self.versions.start(poll_seconds)

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(lane.waiting for lane in self._lanes.values())

    def acquire(self, model: Model) -> Servable:
        """The version a request is for; to be released.

        Raises:
            NotFound: no such model, version or label.
            Unavailable: no version could be loaded.
        """
        self.check_name(model.name)
        return self.versions.acquire(model.version, model.label)

    def check_name(self, name: str) -> None:
        """Raises `NotFound` unless it is this model's name."""
        if name != self.name:
            raise NotFound(f"No model of the name {name!r}. {nearest(name, [self.name])}")

    def signatures(self, model: Model) -> tuple[int, dict[str, meta_graph_pb2.SignatureDef]]:
        """The number and the signatures of a version."""
        servable = self.acquire(model)
        try:
            return servable.number, dict(servable.model.signatures)
        finally:
            self.versions.release(servable)

    def submit(
        self,
        servable: Servable,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: tuple[str, ...] = (),
        seconds: float | None = None,
    ) -> Pending:
        """Starts a request, and gives the version back when it has ended.

        Args:
            servable: What `acquire` returned.
            signature: The signature's name.
            inputs: Its inputs by name; those with a default may be missing.
            outputs: Which outputs are wanted; none for all.
            seconds: The deadline.

        Raises:
            ServingError: the request is wrong, or the queue is full.
        """
        deadline = time.monotonic() + min(LONGEST, LONGEST if seconds is None else seconds)
        lane = "explain" if signature in servable.explaining else "predict"
        try:
            complete = _checked(servable.model, signature, inputs, outputs)
            release = functools.partial(self.versions.release, servable)
            task = Task(servable, signature, complete, outputs, deadline, release)
            self._lanes[lane].submit(task)
        except BaseException:
            self.versions.release(servable)
            raise
        return Pending(servable.number, task.future, deadline)

    def count(self, protocol: str, signature: str, code: Code, started: float) -> None:
        """Notes an answer in the metrics.

        Args:
            protocol: "grpc" or "rest".
            signature: What was asked for; it may not exist.
            code: How it ended.
            started: When it came, on the monotonic clock.
        """
        known = signature if self.versions.has(signature) else ""
        self.metrics.count(protocol, known, code, time.monotonic() - started)

    def stop(self, grace: float = 1.0) -> None:
        """Refuses what waits, ends what still runs after so many seconds, closes the versions."""
        for lane in self._lanes.values():
            lane.stop()
        for lane in self._lanes.values():
            lane.join(grace)
        self.versions.stop()
        for lane in self._lanes.values():
            lane.join(grace)


def load_warm(directory: pathlib.Path) -> SessionModel:
    """Loads a version and runs its warm-up records: a broken endpoint fails the load.

    Raises:
        Exception: whatever is wrong with it.
    """
    model = SessionModel(directory)
    try:
        replay(model, directory)
    except BaseException:
        model.close()
        raise
    return model


def _checked(
    model: SessionModel, signature: str, inputs: Mapping[str, np.ndarray], outputs: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """All inputs of a request, the defaults included; or the error that says what is wrong."""
    if signature not in model.signatures:
        raise InvalidRequest(
            f"No signature of the name {signature!r}. {nearest(signature, model.signatures)}",
            Code.FAILED_PRECONDITION,
        )
    definition = model.signatures[signature]
    complete = {**defaults_of(definition), **inputs}
    check_inputs(signature, definition, complete)
    unknown = set(outputs) - set(definition.outputs)
    if unknown or len(set(outputs)) < len(outputs):
        raise InvalidRequest(
            f"{signature!r} has the outputs {sorted(definition.outputs)}, each to be asked for "
            f"once. Received: {list(outputs)}."
        )
    return complete
