"""What the server does with a request, whatever protocol it came by."""

from __future__ import annotations

import contextlib
import os
import pathlib
import time
from collections.abc import Mapping
from typing import NoReturn

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.exported.signatures import SERVING_DEFAULT, defaults_of
from tfgig.serving.deployment.options import ServerOptions
from tfgig.serving.devserver.batching import Scheduler
from tfgig.serving.devserver.execution import execute
from tfgig.serving.devserver.monitoring import Metrics
from tfgig.serving.devserver.versions import Servable, Versions, error_code
from tfgig.serving.protocol.errors import Code, InvalidRequest, NotFound, ServingError, error_of
from tfgig.serving.protocol.records import Model
from tfgig.serving.runtime.replay import replay
from tfgig.serving.runtime.session import SessionModel

LONGEST = 600.0  # seconds: a request without a deadline of its own ends, too


class Core:
    """One model's versions, and the runs of their graphs.

    A request is run in the thread that it came by, on the runtime's one pool of threads, as
    TensorFlow Serving runs it: what keeps explanations from predictions is in the export.

    Args:
        base: The model's directory.
        name: What clients call it.
        options: How it is served.
    """

    def __init__(self, base: str | os.PathLike, name: str, options: ServerOptions) -> None:
        self.name = name
        self.metrics = Metrics()
        self.versions = Versions(
            base,
            name,
            lambda directory: load_warm(directory, options.tensorflow_inter_op_parallelism),
            options.keep,
            options.labels,
            options.max_num_load_retries,
            options.load_retry_seconds,
        )
        self.scheduler: Scheduler | None = None
        if options.batching.enabled:
            self.scheduler = Scheduler(options.batching, self.metrics.note_run)
            self.metrics.watch(self.scheduler)

    def start(self, poll_seconds: float) -> None:
        """Loads what is there, goes on watching, and works from now on.

        Raises:
            OSError: all existing versions failed permanently.
        """
        self.versions.start(poll_seconds)
        if self.scheduler is not None:
            self.scheduler.start()

    def lease(self, model: Model) -> contextlib.AbstractContextManager[Servable]:
        """The version a request is for, which stays open until the context ends.

        Raises:
            InvalidRequest: there is no such label, or no name.
            NotFound: no such model or version is served.
        """
        return self.versions.lease(model)

    def run(
        self,
        servable: Servable,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: tuple[str, ...] = (),
        seconds: float | None = None,
    ) -> dict[str, np.ndarray]:
        """The outputs of a signature.

        Args:
            servable: The version, leased.
            signature: The signature's name.
            inputs: Its inputs by name; those with a default may be missing.
            outputs: Which outputs are wanted; none for all.
            seconds: The deadline.

        Raises:
            ServingError: the request is wrong, the queue is full, or the graph failed.
        """
        complete = _complete(servable.model, signature, inputs, outputs)
        run = execute if self.scheduler is None else self.scheduler.execute
        left = LONGEST if seconds is None else min(LONGEST, seconds)
        return run(servable, signature, complete, outputs, left)

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
        if self.scheduler is not None:
            self.scheduler.stop()
        self.versions.stop(grace)
        if self.scheduler is not None:
            self.scheduler.join(grace)


def load_warm(directory: pathlib.Path, inter_op_threads: int = 0) -> SessionModel:
    """Loads a version and runs its warm-up records: a broken endpoint fails the load.

    Raises:
        Exception: whatever is wrong with it.
    """
    if not any((directory / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        raise NotFound(
            "Could not find SavedModel .pb or .pbtxt at supplied export directory path: "
            f"{directory}"
        )
    try:
        model = SessionModel(directory, inter_op_threads)
    except ValueError as error:
        whole = (directory / "variables" / "variables.index").is_file()
        code = error_code(error.__cause__ or error) if whole else Code.FAILED_PRECONDITION
        raise error_of(code, str(error)) from error
    try:
        replay(model, directory)
    except BaseException:
        model.close()
        raise
    return model


def refuse_method(model: SessionModel, signature: str, method: str) -> NoReturn:
    """Raises what a request to classify or to regress is answered with.

    Args:
        model: The version.
        signature: The signature's name; the empty one for the default.
        method: "classify" or "regress".
    """
    name = signature or SERVING_DEFAULT
    if name not in model.signatures:
        raise InvalidRequest(f"No signature was found with the name: {name}")
    found, wanted = model.signatures[name].method_name, f"tensorflow/serving/{method}"
    if found == wanted:
        raise ServingError(f"tfgig-serve does not {method}.", Code.UNIMPLEMENTED)
    kind = {"classify": "classification", "regress": "regression"}[method]
    raise InvalidRequest(f"Expected {kind} signature method_name to be {wanted}. Was: {found}")


def _complete(
    model: SessionModel, signature: str, inputs: Mapping[str, np.ndarray], outputs: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """All inputs of a request, the defaults included; or the error that says what is wrong."""
    if signature in model.internal:  # an operation without outputs
        node = next(iter(model.internal[signature].outputs.values())).name.partition(":")[0]
        raise InvalidRequest(
            f"FetchOutputs node {node}: output index too large, must be < 0, but was 0",
            Code.OUT_OF_RANGE,
        )
    if signature not in model.signatures:
        raise InvalidRequest(
            f'Serving signature key "{signature}" not found.', Code.FAILED_PRECONDITION
        )
    definition = model.signatures[signature]
    _check_names(definition, inputs, outputs)
    return {**defaults_of(definition), **inputs}


def _check_names(
    definition: meta_graph_pb2.SignatureDef,
    inputs: Mapping[str, np.ndarray],
    outputs: tuple[str, ...],
) -> None:
    known, given = set(definition.inputs), set(inputs)
    extra, missing = given - known, known - given - set(definition.defaults)
    if extra or missing:
        raise InvalidRequest(
            f"input size does not match signature: {len(given)}!={len(known)} "
            f"len({_set(given)}) != len({_set(known)}). Sent extra: {_set(extra)}. "
            f"Missing but required: {_set(missing)}."
        )
    for name in outputs:
        if name not in definition.outputs:
            raise InvalidRequest(
                f"output tensor alias not found in signature: {name} Outputs expected to be in "
                f"the set {_set(set(definition.outputs))}."
            )
    for name in sorted(set(outputs)):
        if outputs.count(name) > 1:
            raise InvalidRequest(f"duplicate output tensor alias: {name}")


def _set(names: set[str]) -> str:
    return f"{{{','.join(sorted(names))}}}"
