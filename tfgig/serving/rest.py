"""TensorFlow Serving's REST interface, and `:explain` in the style of KServe's V1 protocol.

Starlette on uvicorn: well kept, small, and pure Python, where aiohttp brings seven more packages,
four of them compiled.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.serving import metrics
from tfgig.serving.core import SERVING_DEFAULT, Core, Model, Pending
from tfgig.serving.errors import (
    LATE,
    Code,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    ServingError,
    needed,
)
from tfgig.serving.explanation import predict_request
from tfgig.serving.json_codec import (
    decode_inputs,
    dump,
    encode_error,
    encode_outputs,
    encode_rows,
    parse,
)
from tfgig.serving.messages import json_of_metadata, json_of_status

CALLS = 128  # connections: each may hold a body of the largest size
HEALTH = "/healthz"
_TOO_LARGE = 413
_PATH = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d{1,18})|/labels/(?P<label>[^/:]+))?"
    r"(?P<what>:predict|:explain|:classify|:regress|/metadata)?",
    re.IGNORECASE,
)


class RestServer:
    """The REST front of a server, in a thread of its own.

    Args:
        core: What answers.
        host: The address to listen at.
        port: The port; 0 for a free one.
        max_bytes: The largest body that is taken.
        seconds: How long a request may take.
    """

    def __init__(self, core: Core, host: str, port: int, max_bytes: int, seconds: float) -> None:
        uvicorn = needed("uvicorn")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Only where TCP is named does asyncio switch off Nagle's delay, 40 ms an answer.
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise OSError(f"Cannot listen at port {port} of {host}: {error.strerror}.") from error
        self.port = self._socket.getsockname()[1]
        config = uvicorn.Config(
            _Application(core, max_bytes, seconds).starlette(),
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=5,
            limit_concurrency=CALLS,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="rest", daemon=True)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    def start(self) -> None:
        """Answers from now on."""
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)

    def stop(self) -> None:
        """Takes no more requests, and waits for those under way."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


class _TooLarge(Overloaded):
    """A body beyond the bound: with a status of its own, as waiting does not help."""


class _Application:
    """What each address answers."""

    def __init__(self, core: Core, max_bytes: int, seconds: float) -> None:
        self._core = core
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._answer = needed("starlette.responses").Response

    def starlette(self) -> Any:
        """The application."""
        routing = needed("starlette.routing")
        return needed("starlette.applications").Starlette(
            routes=[
                routing.Route(HEALTH, self._health, methods=["GET"]),
                routing.Route(metrics.PATH, self._metrics, methods=["GET"]),
                routing.Route("/{path:path}", self._models, methods=["GET", "POST"]),
            ]
        )

    async def _health(self, request: Any) -> Any:
        """Ready where a version is served."""
        ready = any(status.state == "AVAILABLE" for status in self._core.versions.statuses())
        code = Code.OK if ready else Code.UNAVAILABLE
        return self._json(dump({"ready": ready}), code.http)

    async def _metrics(self, request: Any) -> Any:
        text, kind = self._core.metrics.text()
        return self._answer(text, headers={"Content-Type": kind})

    async def _models(self, request: Any) -> Any:
        started = time.monotonic()
        found = _PATH.fullmatch(request.url.path)
        signature, code, status = "", Code.OK, 200
        asks = request.method == "POST"
        try:
            what = ((found and found["what"]) or "").lower()
            if found is None or asks != what.startswith(":"):
                raise InvalidRequest(f"Malformed request: {request.method} {request.url.path}")
            version = int(found["version"]) if found["version"] else None
            model = Model(found["name"], version, found["label"])
            if not asks:
                look = json_of_metadata if what else json_of_status
                body = dump(await asyncio.to_thread(look, self._core, model))
            else:
                received = await self._body(request)
                call = _Call(self._core, model, what, self._seconds - (time.monotonic() - started))
                pending = await asyncio.to_thread(call.submit, received)
                signature = call.signature
                outputs = await _wait(pending, request)
                body = await asyncio.to_thread(call.encode, outputs)
        except ServingError as error:
            code = error.code
            status = _TOO_LARGE if isinstance(error, _TooLarge) else code.http
            body = encode_error(str(error))
        if asks:
            self._core.count("rest", signature, code, started)
        return self._json(body, status)

    async def _body(self, request: Any) -> bytes:
        """The body, read no further than the bound."""
        too_large = _TooLarge(f"A body has at most {self._max_bytes} bytes.")
        with contextlib.suppress(ValueError):
            if int(request.headers.get("content-length", 0)) > self._max_bytes:
                raise too_large
        chunks, size = [], 0
        try:
            async for chunk in request.stream():
                chunks.append(chunk)
                size += len(chunk)
                if size > self._max_bytes:
                    raise too_large
        except needed("starlette.requests").ClientDisconnect as error:
            raise ServingError("The client has gone.", Code.CANCELLED) from error
        return b"".join(chunks)

    def _json(self, body: bytes, status: int) -> Any:
        return self._answer(body, status, media_type="application/json")


class _Call:
    """One request with a body."""

    def __init__(self, core: Core, model: Model, what: str, seconds: float) -> None:
        self._core = core
        self._model = model
        self._what = what
        self._seconds = seconds
        self._layout: Any = None
        self.signature = ""

    def submit(self, body: bytes) -> Pending:
        """Reads the body and starts the request.

        Raises:
            ServingError: the request is wrong, or the queue is full.
        """
        if self._what not in (":predict", ":explain"):
            raise ServingError(f"{self._what} is not offered; :predict is.", Code.UNIMPLEMENTED)
        request: Mapping[str, Any] = parse(body)
        servable = self._core.acquire(self._model)
        try:
            signatures = servable.model.signatures
            if self._what == ":explain":
                request = predict_request(request, signatures)
            name = request.get("signature_name", "") or SERVING_DEFAULT
            definition = _definition(signatures, name)
            self.signature = name
            inputs, self._layout = decode_inputs(request, definition)
        except BaseException:
            self._core.versions.release(servable)
            raise
        return self._core.submit(servable, name, inputs, seconds=self._seconds)

    def encode(self, outputs: Mapping[str, np.ndarray]) -> bytes:
        """The body of the answer."""
        if self._what == ":explain" and self._layout == "row":
            return dump({"explanations": encode_rows(outputs)})
        return encode_outputs(outputs, self._layout)


def _definition(
    signatures: Mapping[str, meta_graph_pb2.SignatureDef], name: Any
) -> meta_graph_pb2.SignatureDef:
    if not isinstance(name, str) or name not in signatures:
        raise InvalidRequest(
            f"No signature of the name {name!r}; these are: {', '.join(sorted(signatures))}."
        )
    return signatures[name]


async def _wait(pending: Pending, request: Any) -> dict[str, np.ndarray]:
    """The outputs, unless the time is up or the client has gone: then what waits is dropped."""
    answer = asyncio.ensure_future(asyncio.wrap_future(pending.future))
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait(
            {answer, gone}, timeout=pending.seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if answer.done():
            return answer.result()
        if gone.done():
            raise ServingError("The client has gone.", Code.CANCELLED)
        raise DeadlineExceeded(LATE)
    finally:
        gone.cancel()
        answer.cancel()  # and with it what it stands for


async def _disconnected(request: Any) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
