"""Serving: exported models the way TensorFlow Serving runs them, and a client of both."""

from tfgig.serving.batching import Batching
from tfgig.serving.client import Client
from tfgig.serving.errors import (
    Code,
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    ServingError,
    Unavailable,
)
from tfgig.serving.server import LocalServer, ServerOptions
from tfgig.serving.session import SessionModel

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
