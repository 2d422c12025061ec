"""The packages that bulk jobs need beyond TensorFlow: the extra `bulk`."""

from __future__ import annotations

import importlib.util


def check_extra(*packages: str) -> None:
    """Raises `ImportError` with the command to install the extra, unless they are installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"Bulk jobs need {', '.join(map(repr, missing))}. Install the extra with: "
            "pip install 'tfgig[bulk]'"
        )
