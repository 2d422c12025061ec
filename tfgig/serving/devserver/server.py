"""A server for one model, on this machine: TensorFlow Serving's protocols for tests and trials."""

from __future__ import annotations

import contextlib
import os
import threading

from tfgig.exported.directory import model_directory
from tfgig.serving.deployment.options import ServerOptions
from tfgig.serving.devserver.core import Core
from tfgig.serving.devserver.front import Front
from tfgig.serving.devserver.grpc_server import GrpcServer
from tfgig.serving.devserver.page import Page
from tfgig.serving.devserver.rest import RestServer

MIB = 1 << 20


class LocalServer:
    """Serves the versions of a model over gRPC and REST.

        with LocalServer("/models/flowers", ServerOptions(port=0, rest_port=0)) as server:
            client = Client(server.grpc_address, model="flowers")

    For development and tests: it supports TensorFlow Serving's protocols and loads the same models,
    in Python. In production, run TensorFlow Serving.

    Raises:
        FileNotFoundError: the directory does not exist.
        ValueError: it is a version's directory.
        OSError: a port is in use.
    """

    def __init__(self, base: str | os.PathLike, options: ServerOptions = ServerOptions()) -> None:
        base = model_directory(base)
        self.name = options.name or base.resolve().name
        self._options = options
        self._stopped = False
        max_bytes = options.max_request_mebibytes * MIB
        self.core = Core(base, self.name, options)
        with contextlib.ExitStack() as opened:
            page = Page(base, self.name, options.server)
            self._rest: Front = RestServer(self.core, options, max_bytes, page)
            opened.callback(self._rest.stop, 0.0)
            self._grpc: Front = GrpcServer(self.core, options, max_bytes)
            opened.pop_all()
        self.grpc_address, self.rest_address = self._grpc.address, self._rest.address

    def start(self) -> LocalServer:
        """Loads the model, then starts serving.

        Raises:
            OSError: all existing versions failed permanently.
            RuntimeError: a protocol could not start; everything started is stopped.
        """
        try:
            self.core.start(self._options.poll_seconds)
            self._grpc.start()
            self._rest.start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, grace: float = 1.0) -> None:
        """Stops accepting requests, gives running ones this many seconds, and closes the model."""
        if self._stopped:
            return
        self._stopped = True
        closing = [
            threading.Thread(target=front.stop, args=[grace]) for front in (self._rest, self._grpc)
        ]
        for thread in closing:
            thread.start()
        self.core.stop(grace)
        for thread in closing:
            thread.join()

    def __enter__(self) -> LocalServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
