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
from typing import Any

import numpy as np

from tfgig.exported.directory import LARGEST, is_number
from tfgig.serving.devserver import monitoring
from tfgig.serving.devserver.core import Core, Pending
from tfgig.serving.devserver.heads import impatient
from tfgig.serving.devserver.messages import json_of_metadata, json_of_status
from tfgig.serving.devserver.rest_call import Call
from tfgig.serving.protocol.errors import (
    LATE,
    Code,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    ServingError,
    needed,
)
from tfgig.serving.protocol.json_codec import dump, encode_error
from tfgig.serving.protocol.records import Model

CALLS = 128  # requests under way: each may hold a body of the largest size
HEALTH = "/healthz"
_TOO_LARGE = 413
_PATH = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[0-9]{1,255})|/labels/(?P<label>[^/:]+))?"
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
            self._socket.listen()  # only a port that is listened at is taken
        except OSError as error:
            self._socket.close()
            raise OSError(f"Cannot listen at port {port} of {host}: {error.strerror}.") from error
        self.port = self._socket.getsockname()[1]
        config = uvicorn.Config(
            _Application(core, max_bytes, seconds).starlette(),
            log_level="warning",
            access_log=False,
            lifespan="off",
            http=impatient(),
            timeout_graceful_shutdown=5,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="rest", daemon=True)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    def start(self) -> None:
        """Answers from now on.

        Raises:
            RuntimeError: it could not start; the log says why.
        """
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("The REST server did not start; the log says why.")
            time.sleep(0.01)

    def stop(self) -> None:
        """Takes no more requests, and waits for those under way."""
        self._server.should_exit = True
        if self._thread.is_alive():
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
        self._free = asyncio.Semaphore(CALLS)
        self._answer = needed("starlette.responses").Response

    def starlette(self) -> Any:
        """The application."""
        routing = needed("starlette.routing")
        refusal = needed("starlette.exceptions").HTTPException
        return needed("starlette.applications").Starlette(
            routes=[
                routing.Route(HEALTH, self._health, methods=["GET"]),
                routing.Route(monitoring.PATH, self._metrics, methods=["GET"]),
                routing.Route("/{path:path}", self._models, methods=["GET", "POST"]),
            ],
            exception_handlers={refusal: self._refused, Exception: self._failed},
        )

    async def _refused(self, request: Any, error: Any) -> Any:
        """What Starlette refuses, such as a method that no address takes."""
        return self._json(encode_error(error.detail), error.status_code, error.headers)

    async def _failed(self, request: Any, error: Exception) -> Any:
        """A fault of the server's own, whose trace goes to the log."""
        return self._json(encode_error("The server failed; its log says why."), Code.INTERNAL.http)

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
        path = request.scope["path"]  # `request.url` is what the client's Host header makes of it
        found = _PATH.fullmatch(path)
        signature, code, status = "", Code.OK, 200
        asks = request.method == "POST"
        try:
            what = ((found and found["what"]) or "").lower()
            if found is None or asks != what.startswith(":"):
                raise InvalidRequest(f"Malformed request: {request.method} {path}")
            model = Model(found["name"], _version(found["version"]), found["label"])
            if not asks:
                look = json_of_metadata if what else json_of_status
                body = dump(await asyncio.to_thread(look, self._core, model))
            else:
                call = Call(self._core, model, what, started + self._seconds)
                try:
                    body = await self._ask(call, request)
                finally:
                    signature = call.signature
        except ServingError as error:
            code = error.code
            status = _TOO_LARGE if isinstance(error, _TooLarge) else code.http
            body = encode_error(str(error))
        if asks:
            self._core.count("rest", signature, code, started)
        return self._json(body, status)

    async def _ask(self, call: Call, request: Any) -> bytes:
        """The body of the answer to a request."""
        if self._free.locked():
            raise Overloaded(f"{CALLS} requests are under way.")
        async with self._free:
            try:
                received = await asyncio.wait_for(self._body(request), call.seconds)
            except asyncio.TimeoutError as error:
                raise DeadlineExceeded("The body did not come before the deadline.") from error
            pending = await asyncio.to_thread(call.submit, received)
            outputs = await _wait(pending, request)
            return await asyncio.to_thread(call.encode, outputs)

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

    def _json(self, body: bytes, status: int, headers: Any = None) -> Any:
        return self._answer(body, status, headers, media_type="application/json")


def _version(text: str | None) -> int | None:
    if text and not is_number(text):
        raise InvalidRequest(f"A version is at most {LARGEST}. Received: {text}.")
    return int(text) if text else None


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
