"""What is said of a model, or of a place in one, that cannot be explained."""

from __future__ import annotations

from typing import Any


class CannotExplain(ValueError):
    """A model cannot be explained, or not there; the message says why and what to do.

    Whoever tries several ways or places catches this, and nothing that Python, TensorFlow or Keras
    raises of their own.
    """


def check(condition: bool, message: str, received: Any) -> None:
    """Raises `CannotExplain("<message> Received: <received>.")` unless `condition` holds."""
    if not condition:
        raise CannotExplain(f"{message} Received: {received!r}.")
