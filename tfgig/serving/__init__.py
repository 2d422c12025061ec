"""Serving: exported models run as in TensorFlow Serving, and a client for both.

`Client` and `LocalServer` need the extra `serving`; everything else needs only TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tfgig.serving.deployment.options import Batching, ServerOptions
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

if TYPE_CHECKING:
    from tfgig.serving.client.client import Client
    from tfgig.serving.devserver.server import LocalServer

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

_OF_THE_EXTRA = {
    "Client": "tfgig.serving.client.client",
    "LocalServer": "tfgig.serving.devserver.server",
}


def __getattr__(name: str) -> Any:
    """`Client` or `LocalServer`, imported at its first use.

    Raises:
        ImportError: the extra `serving` is not installed; the error names the command.
    """
    if name not in _OF_THE_EXTRA:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_OF_THE_EXTRA[name]), name)
