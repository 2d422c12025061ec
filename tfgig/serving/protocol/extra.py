"""The packages that serving needs beyond TensorFlow: the extra `serving`."""

from __future__ import annotations

import importlib.util

_PACKAGES = (
    "grpc",
    "prometheus_client",
    "requests",
    "starlette",
    "tensorflow_serving",
    "uvicorn",
    "yaml",
)


def check_extra() -> None:
    """Raises `ImportError` with the command to install the extra, unless it is installed."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"Serving needs {', '.join(map(repr, missing))}. Install the extra with: "
            "pip install 'tfgig[serving]'"
        )
