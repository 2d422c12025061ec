"""A client of models that explain, over gRPC or REST, for TensorFlow Serving and `tfgig-serve`."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.exported import kinds
from tfgig.exported.fit import fit_targets
from tfgig.exported.signatures import (
    SERVING_DEFAULT,
    defaults_of,
    has_rows,
    model_inputs,
    target_of,
)
from tfgig.serving.protocol.arguments import arrays_of, rows_of
from tfgig.serving.protocol.errors import (
    Code,
    DeadlineExceeded,
    InvalidRequest,
    ServingError,
    Unavailable,
    most_rows,
)
from tfgig.serving.protocol.explanation import choose
from tfgig.serving.protocol.records import MAX_ROWS, Answer, Model, VersionStatus
from tfgig.spec import check, nearest
from tfgig.targets import TOP_CLASS

_Result = TypeVar("_Result")
_FIRST_WAIT = 0.1  # seconds before the first repetition; doubled each time
Signatures = dict[str, meta_graph_pb2.SignatureDef]


class Transport(Protocol):
    """One protocol."""

    def predict(
        self,
        definition: meta_graph_pb2.SignatureDef,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        seconds: float,
    ) -> Answer:
        """The outputs of one request."""

    def signatures(self, seconds: float) -> Signatures:
        """The signatures of the model."""

    def statuses(self, seconds: float) -> list[VersionStatus]:
        """The versions of the model."""

    def close(self) -> None:
        """Closes the connection."""


class Client:
    """Calls a model in TensorFlow Serving, or in `tfgig-serve`.

        client = Client("localhost:8500", model="flowers")       # gRPC
        client = Client("http://localhost:8501", model="flowers")  # REST
        client.predict(images)["output_0"]
        client.explain(images, method="guided_ig", target=207)["attributions"]
        client.heatmap(images, method="guided_ig")["heatmap_bytes"]

    Requests have no side effects, so one that finds no server or a full queue (UNAVAILABLE) is
    retried within its time limit, after .1 s, .2 s and so on; other errors are not retried. A
    server that merges requests rejects those with more rows than its `max_batch_size`; the client
    then splits this batch and later ones to that size. The client is thread-safe.

    Args:
        address: "host:port" for gRPC, "grpcs://host:port" for gRPC over TLS; "http://host:port" or
            "https://..." for REST.
        model: The model's name on the server; TensorFlow Serving's image uses "model" by default.
        version: The version's number; None for the one being served.
        label: The version's label.
        seconds: The time limit of a request, including retries.
        max_rows: The maximum rows of one request; larger batches are split, and the answers joined
            in row order.
        retries: The maximum number of retries.
    """

    def __init__(
        self,
        address: str,
        model: str = "model",
        version: int | None = None,
        label: str | None = None,
        seconds: float = 60.0,
        max_rows: int = MAX_ROWS,
        retries: int = 5,
    ) -> None:
        check(max_rows >= 1, "`max_rows` must be at least 1.", max_rows)
        check(seconds > 0, "A request takes time.", seconds)
        check(
            version is None or label is None,
            "Give a version or a label, not both.",
            (version, label),
        )
        self._seconds, self._max_rows, self._retries = seconds, max_rows, retries
        self._transport = _transport(address, Model(model, version, label))
        self._signatures: Signatures | None = None

    def predict(
        self, inputs: Any, signature: str = SERVING_DEFAULT, outputs: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """The outputs of a signature.

        Args:
            inputs: The inputs [B, ...] by name, or the only one.
            signature: The signature's name.
            outputs: The outputs to return; all by default. Over gRPC the others are not computed;
                TensorFlow Serving's REST interface has no such filter, so the client drops them.

        Raises:
            ServingError: the request failed, by kind: `InvalidRequest`, `NotFound`,
                `DeadlineExceeded`, `Overloaded`, `Unavailable`.
            ValueError: the inputs have no rows, or different numbers of rows.
        """
        definition = self._definition(signature)
        unknown = set(outputs) - set(definition.outputs)
        if unknown:
            known = nearest(min(unknown), sorted(definition.outputs))
            raise InvalidRequest(f"{signature!r} has no output {min(unknown)!r}. {known}")
        arrays = arrays_of(inputs, definition)
        rows = rows_of(_with_rows(arrays, definition))
        # A default is one row, and counts neither over REST nor where requests are merged.
        for name, value in defaults_of(definition).items():
            whole = not has_rows(definition.inputs[name])
            shape = value.shape if whole else (rows, *value.shape[1:])
            arrays.setdefault(name, np.broadcast_to(value, shape))
        in_rows = _with_rows(arrays, definition)
        ask = functools.partial(self._transport.predict, definition, signature)
        while True:
            most = self._max_rows
            calls = []
            for start in range(0, rows, most):
                cut = slice(start, start + most)
                part = {**arrays, **{name: value[cut] for name, value in in_rows.items()}}
                calls.append(functools.partial(ask, part, outputs))
            try:
                return self._of_one_version(calls)
            except InvalidRequest as error:
                taken = most_rows(str(error))
                if taken is None or taken >= min(rows, most):
                    raise
                self._max_rows = taken  # from now on, for all requests to this server

    def explain(
        self,
        inputs: Any,
        method: str | None = None,
        target: Any = TOP_CLASS,
        outputs: Sequence[str] = (),
        kind: str = kinds.ATTRIBUTIONS,
    ) -> dict[str, np.ndarray]:
        """Attributions of a batch, by the model's signature for the method.

        Args:
            inputs: The model's inputs [B, ...] by name, or the only one.
            method: The method; optional if the model has only one.
            target: The class to explain, or one for each row; -1 for each row's top class.
            outputs: The outputs to return; all by default.
            kind: The kind of answer: "attributions"; "tokens" for one number per position of a
                text; "features" for one number per column of a table; "heatmap" for pictures of the
                top class.

        Returns:
            `attributions` (or `tokens`, or `heatmap_bytes`) in the shape of the explained tensor,
            `target`, `score`, `baseline_score`, `delta`, `error` and `ok`, each [B, ...].

        Raises:
            ServingError: as for `predict`.
            ValueError: rows that cannot be explained; the error names them.
        """
        signature = self._chosen(method, kind)
        definition = self._definition(signature)
        arrays = arrays_of(inputs, definition, model_inputs(definition))
        called = target_of(definition)
        if called is not None:
            rows = rows_of(_with_rows(arrays, definition))
            arrays[called] = fit_targets(target, rows)
        elif np.any(np.not_equal(target, TOP_CLASS)):
            raise ValueError(f"{signature!r} explains the top class. Received: {target!r}.")
        wanted = {*outputs, *({"ok"} & set(definition.outputs))} if outputs else ()
        answer = self.predict(arrays, signature, sorted(wanted))
        _check_ok(answer.get("ok", np.ones(1, bool)))
        return {name: answer[name] for name in outputs or answer}

    def heatmap(
        self, inputs: Any, method: str | None = None, outputs: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """Heat-maps of the top classes, PNG files in `heatmap_bytes` [B]; else as `explain`."""
        return self.explain(inputs, method, outputs=outputs, kind=kinds.Heatmap.kind)

    def signatures(self) -> Signatures:
        """The signatures of the model; fetched once."""
        if self._signatures is None:
            self._signatures = self._repeat(self._transport.signatures)
        return self._signatures

    def statuses(self) -> list[VersionStatus]:
        """The versions that the server knows, newest first, and their states."""
        found = self._repeat(self._transport.statuses)
        return sorted(found, key=lambda status: -status.number)

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _chosen(self, method: str | None, kind: str) -> str:
        """The signature that explains so."""
        try:
            return choose(self.signatures(), method, kind)
        except InvalidRequest:
            self._signatures = None  # a version that has it may have come since
            return choose(self.signatures(), method, kind)

    def _of_one_version(self, calls: Sequence[Callable[[float], Answer]]) -> dict[str, np.ndarray]:
        """The joined outputs of the parts of a batch, asked for again where the version changed."""
        for _ in range(self._retries + 1):
            parts = [self._repeat(call) for call in calls]
            if len({part.version for part in parts}) == 1:
                return {
                    name: np.concatenate([part.outputs[name] for part in parts])
                    for name in parts[0].outputs
                }
        raise ServingError("The version changed between the parts of a batch.", Code.ABORTED)

    def _definition(self, signature: str) -> meta_graph_pb2.SignatureDef:
        if signature not in self.signatures():
            self._signatures = None  # a version that has it may have come since
        if signature not in self.signatures():
            known = nearest(signature, sorted(self.signatures()))
            raise InvalidRequest(f"Unknown signature {signature!r}. {known}")
        return self.signatures()[signature]

    def _repeat(self, call: Callable[[float], _Result]) -> _Result:
        """The answer of a call, which is made again while the server cannot be reached."""
        until = time.monotonic() + self._seconds
        wait = _FIRST_WAIT
        for left in reversed(range(self._retries + 1)):
            try:
                return call(max(0.001, until - time.monotonic()))
            except Unavailable:
                pause = wait * random.uniform(0.5, 1.0)  # many clients come back at other times
                if not left or time.monotonic() + pause >= until:
                    raise
                time.sleep(pause)
                wait *= 2
        raise DeadlineExceeded("The time limit expired before the request was sent.")


def _with_rows(
    arrays: Mapping[str, np.ndarray], definition: meta_graph_pb2.SignatureDef
) -> dict[str, np.ndarray]:
    """The inputs without those that are one value for the whole batch."""
    return {n: value for n, value in arrays.items() if has_rows(definition.inputs[n])}


def _check_ok(ok: np.ndarray) -> None:
    bad = np.flatnonzero(~ok)
    if bad.size:
        raise ValueError(
            "Rows cannot be explained: an input is not finite, a target is not a valid class, or "
            "the score is not finite on the path from the baseline. Received: such rows, "
            f"{', '.join(map(str, bad[:8]))}."
        )


def _transport(address: str, model: Model) -> Transport:
    if address.startswith(("http://", "https://")):
        from tfgig.serving.client.rest_transport import RestTransport

        return RestTransport(address, model)
    secure = address.startswith("grpcs://")
    check(
        secure or "://" not in address,
        'An address must be "host:port", "grpcs://host:port" or "http://host:port".',
        address,
    )
    from tfgig.serving.client.grpc_transport import GrpcTransport

    return GrpcTransport(address.removeprefix("grpcs://"), model, secure)
