"""TensorFlow Serving's REST interface, and `:explain` in the style of KServe's V1 protocol.

Starlette on uvicorn: well kept, small, and pure Python, where aiohttp brings seven more packages,
four of them compiled.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tfgig.exported.directory import is_number
from tfgig.serving.deployment.options import ServerOptions
from tfgig.serving.devserver.core import Core
from tfgig.serving.devserver.front import authority
from tfgig.serving.devserver.heads import Impatient
from tfgig.serving.devserver.messages import json_of_metadata, json_of_status
from tfgig.serving.devserver.page import Page
from tfgig.serving.devserver.rest_call import Call, TooLarge, unzipped
from tfgig.serving.protocol.errors import (
    Code,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    ServingError,
)
from tfgig.serving.protocol.json_answers import dump, encode_error
from tfgig.serving.protocol.records import METRICS, Model

CALLS = 128  # requests under way: each may hold a body of the largest size
HEALTH = "/healthz"
_MODELS = "/v1/models"
_METHODS = ("predict", "explain", "classify", "regress")
_TOO_LARGE = 413
_NOT_FOUND = "<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD><BODY><H1>Not Found</H1></BODY></HTML>"


class _Part(StringConvertor):
    """A name in a path: letters up to the next "/" or ":"."""

    regex = "[^/:]+"


class _Digits(StringConvertor):
    """A number in a path, of whatever size."""

    regex = "[0-9]{1,255}"


register_url_convertor("part", _Part())
register_url_convertor("digits", _Digits())


class RestServer:
    """The REST front of a server, in a thread of its own.

    Args:
        core: What answers.
        options: Where and how it listens.
        max_bytes: The largest body that is taken.
        page: What is shown at `/`.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, core: Core, options: ServerOptions, max_bytes: int, page: Page) -> None:
        host, port = options.host, options.rest_port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Only where TCP is named does asyncio switch off Nagle's delay, 40 ms an answer.
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen()  # only a port that is listened at is taken
        except OSError as error:
            self._socket.close()
            raise OSError(f"Cannot listen on port {port} of {host}: {error.strerror}.") from error
        self.port = self._socket.getsockname()[1]
        self.address = f"http://{authority(host, self.port)}"
        self._pool = ThreadPoolExecutor(options.rest_api_num_threads, "rest-call")
        config = uvicorn.Config(
            _Application(core, max_bytes, options.rest_seconds, self._pool, page).asgi(),
            log_level="warning",
            access_log=False,
            lifespan="off",
            http=Impatient,
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
                raise RuntimeError("The REST server did not start; see the log.")
            time.sleep(0.01)

    def stop(self, grace: float) -> None:
        """Takes no more requests, and waits for those under way, which the core ends."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._socket.close()


class _Application:
    """What each address answers."""

    def __init__(
        self, core: Core, max_bytes: int, seconds: float, pool: ThreadPoolExecutor, page: Page
    ) -> None:
        self._core = core
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._pool = pool
        self._page = page
        self._free = asyncio.Semaphore(CALLS)

    def asgi(self) -> ASGIApp:
        """The application."""
        name = f"{_MODELS}/{{name:part}}"
        models = (name, f"{name}/versions/{{version:digits}}", f"{name}/labels/{{label:part}}")
        routes = [
            Route("/", self._show, methods=["GET"]),
            Route(HEALTH, self._health, methods=["GET"]),
            Route(METRICS, self._metrics, methods=["GET"]),
            Route(_MODELS, self._nameless, methods=["GET"]),
        ]
        for path in models:
            routes += [
                Route(path, self._look(json_of_status), methods=["GET"]),
                Route(f"{path}/metadata", self._look(json_of_metadata), methods=["GET"]),
                *(Route(f"{path}:{m}", self._ask(m), methods=["POST"]) for m in _METHODS),
            ]
        for route in routes:
            (route.methods or set()).discard("HEAD")  # which Starlette adds, and this API refuses
        handlers: Any = {
            HTTPException: self._refused,
            ServingError: self._wrong,
            Exception: self._failed,
        }
        application = Starlette(routes=routes, exception_handlers=handlers)
        application.router.redirect_slashes = False
        return _with_query(application)

    async def _refused(self, request: Request, error: HTTPException) -> Response:
        """What no route takes."""
        path = request.scope["path"]  # `request.url` is what the client's Host header makes of it
        if not path.startswith("/v1/"):
            return HTMLResponse(_NOT_FOUND, 404)
        if request.method == "OPTIONS":
            return Response(b"", Code.INVALID_ARGUMENT.http, media_type="application/json")
        return self._wrong_of(InvalidRequest(f"Malformed request: {request.method} {path}"))

    async def _wrong(self, request: Request, error: ServingError) -> Response:
        """A request that is not answered."""
        return self._wrong_of(error)

    def _wrong_of(self, error: ServingError) -> Response:
        status = _TOO_LARGE if isinstance(error, TooLarge) else error.code.http
        return _json(encode_error(str(error)), status)

    async def _failed(self, request: Request, error: Exception) -> Response:
        """A fault of the server's own, whose trace goes to the log."""
        return _json(encode_error("The server failed; see its log."), Code.INTERNAL.http)

    async def _health(self, request: Request) -> Response:
        """Ready where a version is served."""
        ready = any(status.state == "AVAILABLE" for status in self._core.versions.statuses())
        return _json(dump({"ready": ready}), (Code.OK if ready else Code.UNAVAILABLE).http)

    async def _show(self, request: Request) -> Response:
        return Response(await self._in_pool(self._page.html), headers=self._page.headers)

    async def _metrics(self, request: Request) -> Response:
        text, kind = self._core.metrics.text()
        return Response(text, headers={"Content-Type": kind})

    async def _nameless(self, request: Request) -> Response:
        raise InvalidRequest("Missing model name in request.")

    def _look(self, look: Callable[[Core, Model], dict[str, Any]]) -> Callable[..., Any]:
        """The endpoint that answers with what is known of a model."""

        async def endpoint(request: Request) -> Response:
            model = _model(request)
            if model is None:
                return _no_number()
            return _json(dump(await self._in_pool(look, self._core, model)))

        return endpoint

    def _ask(self, method: str) -> Callable[..., Any]:
        """The endpoint that answers a body with a body."""

        async def endpoint(request: Request) -> Response:
            started, code = time.monotonic(), Code.OK
            model = _model(request)
            if model is None:
                return _no_number()
            call = Call(self._core, model, method, started + self._seconds)
            try:
                return _json(await self._answer(call, request))
            except ServingError as error:
                code = error.code
                raise
            finally:
                self._core.count("rest", call.signature, code, started)

        return endpoint

    async def _answer(self, call: Call, request: Request) -> bytes:
        if self._free.locked():
            raise Overloaded(f"{CALLS} requests are already running.")
        async with self._free:
            try:
                received = await asyncio.wait_for(self._body(request), call.seconds)
            except asyncio.TimeoutError as error:
                raise DeadlineExceeded("The body did not come before the deadline.") from error
            if "gzip" in request.headers.get("content-encoding", ""):
                received = await self._in_pool(unzipped, received, self._max_bytes)
            return await self._in_pool(call.answer, received)

    async def _in_pool(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Called in one of the threads that answer."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def _body(self, request: Request) -> bytes:
        """The body, read no further than the bound."""
        with contextlib.suppress(ValueError):
            if int(request.headers.get("content-length", 0)) > self._max_bytes:
                raise TooLarge(self._max_bytes)
        chunks, size = [], 0
        try:
            async for chunk in request.stream():
                chunks.append(chunk)
                size += len(chunk)
                if size > self._max_bytes:
                    raise TooLarge(self._max_bytes)
        except ClientDisconnect as error:
            raise ServingError("The client disconnected.", Code.CANCELLED) from error
        return b"".join(chunks)


def _with_query(application: ASGIApp) -> ASGIApp:
    """The application, for which a query is a part of the path, as it is for TensorFlow Serving."""

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"")
        if query and scope["path"].startswith(_MODELS):
            path = f"{scope['path']}?{query.decode('latin-1')}"
            scope = {**scope, "path": path, "query_string": b""}
        await application(scope, receive, send)

    return asgi


def _model(request: Request) -> Model | None:
    """Which model a path names; nothing where its version is beyond all numbers."""
    found = request.path_params
    version = found.get("version")
    if version is not None and not is_number(version):
        return None
    return Model(found["name"], None if version is None else int(version), found.get("label"))


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def _no_number() -> Response:
    """What a version beyond all numbers is answered with: no word at all."""
    return _json(b"", Code.INVALID_ARGUMENT.http)
