"""Serving: exported models the way TensorFlow Serving runs them, and a client of both."""

from tfgig.serving.client.client import Client
from tfgig.serving.devserver.batching import Batching
from tfgig.serving.devserver.server import LocalServer, ServerOptions
from tfgig.serving.protocol.errors import (
    Code,
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    ServingError,
    Unavailable,
)
from tfgig.serving.runtime.session import SessionModel

__all__ = (
    "Batching",
    "Client",
    "Code",
    "DeadlineExceeded",
    "InvalidRequest",
    "LocalServer",
    "NotFound",
    "Overloaded",
    "ServerOptions",
    "ServingError",
    "SessionModel",
    "Unavailable",
)
