"""A server for one model, on this machine: TensorFlow Serving's protocols for tests and trials."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Mapping

from tfgig.exported.directory import model_directory
from tfgig.serving.devserver.batching import Batching
from tfgig.serving.devserver.core import Core
from tfgig.serving.devserver.grpc_server import GrpcServer, authority
from tfgig.serving.devserver.rest import RestServer
from tfgig.spec import check, is_whole

MIB = 1 << 20
_LAST_PORT = 65535  # gRPC takes a larger one for its remainder


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """How a local server serves.

    Args:
        name: What clients call the model; the directory's name if None.
        host: The address to listen at; only this machine by default.
        port: For gRPC; 0 for a free one.
        rest_port: For REST; 0 for a free one.
        batching: How requests are queued and merged.
        poll_seconds: How often the directory is looked into for new versions.
        keep: How many of the newest versions are served.
        labels: Versions by names of their own.
        max_request_mebibytes: The largest request, in MiB.
        rest_seconds: How long a REST request may take; TensorFlow Serving's default.
    """

    name: str | None = None
    host: str = "127.0.0.1"
    port: int = 8500
    rest_port: int = 8501
    batching: Batching = Batching()
    poll_seconds: float = 1.0
    keep: int = 1
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)
    max_request_mebibytes: int = 64
    rest_seconds: float = 30.0

    def __post_init__(self) -> None:
        for field in ("poll_seconds", "keep", "max_request_mebibytes", "rest_seconds"):
            check(getattr(self, field) > 0, f"`{field}` is more than 0.", getattr(self, field))
        for field in ("port", "rest_port"):
            port = getattr(self, field)
            check(is_whole(port) and 0 <= port <= _LAST_PORT, f"`{field}` is 0 to 65535.", port)
        taken = self.port and self.port == self.rest_port
        check(not taken, "gRPC and REST need a port each.", self.port)


class LocalServer:
    """Serves the versions of a model over gRPC and REST.

        with LocalServer("/models/flowers", ServerOptions(port=0, rest_port=0)) as server:
            client = Client(server.grpc_address, model="flowers")

    For development and tests: it speaks TensorFlow Serving's protocols and loads what that loads,
    in Python. In production, run TensorFlow Serving.

    Raises:
        FileNotFoundError: there is no such directory.
        ValueError: it is a version's.
        ImportError: the extra `serving` is not installed.
        OSError: a port is taken.
    """

    def __init__(self, base: str | os.PathLike, options: ServerOptions = ServerOptions()) -> None:
        base = model_directory(base)
        self.name = options.name or base.resolve().name
        self._options = options
        self._stopped = False
        max_bytes = options.max_request_mebibytes * MIB
        self.core = Core(base, self.name, options.batching, options.labels, options.keep)
        self._rest = RestServer(
            self.core, options.host, options.rest_port, max_bytes, options.rest_seconds
        )
        try:
            self._grpc = GrpcServer(self.core, options.host, options.port, max_bytes)
        except BaseException:
            self._rest.stop()
            raise
        self.grpc_address = authority(options.host, self._grpc.port)
        self.rest_address = f"http://{authority(options.host, self._rest.port)}"

    def start(self) -> LocalServer:
        """Loads the model, then answers.

        Raises:
            RuntimeError: a protocol could not start; what had started is stopped.
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
        """Takes no more requests, gives those under way so many seconds, and closes the model."""
        if self._stopped:
            return
        self._stopped = True
        closing = threading.Thread(target=self._rest.stop)
        closing.start()
        stopped = self._grpc.stop(grace)
        self.core.stop(grace)
        stopped.wait()
        closing.join()

    def __enter__(self) -> LocalServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
