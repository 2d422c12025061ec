"""Arrays as fields of specs: frozen, hashable, compared by content, and part of the JSON."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import numpy as np


class Array:
    """Numbers of any shape, float32, that do not change.

    A tuple of tuples would do for a colour; this is for images and sets of them, whose JSON is
    their bytes in base64.

    Args:
        values: What `numpy.asarray` takes.
    """

    def __init__(self, values: Any) -> None:
        self._values = np.array(values, "<f4", order="C")
        self._values.flags.writeable = False
        self._digest = hashlib.sha256(self._values.tobytes()).digest()

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self._values.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._values, dtype)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and (self.shape, self._digest) == (
            other.shape,
            other._digest,
        )

    def __hash__(self) -> int:
        return hash((self.shape, self._digest))

    def __repr__(self) -> str:
        return f"Array(shape={self.shape})"

    def to_config(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "shape": list(self.shape),
            "float32": base64.b64encode(self._values.tobytes()).decode("ascii"),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Array:
        """The inverse of `to_config`."""
        values = np.frombuffer(base64.b64decode(config["float32"], validate=True), "<f4")
        return cls(values.reshape(config["shape"]))
