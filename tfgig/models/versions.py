"""Directories of SavedModels, which hold versions by number."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

SPEC_FILE = pathlib.PurePath("assets.extra") / "tfgig.json"  # what an export says of itself
LABELS_FILE = pathlib.PurePath("assets.extra") / "labels.txt"  # the classes' names, one a line


def versions(base: str | os.PathLike) -> list[int]:
    """The versions under a model's directory, in ascending order."""
    base = pathlib.Path(base)
    if not base.is_dir():
        return []
    return sorted(int(p.name) for p in base.iterdir() if is_number(p.name) and p.is_dir())


def is_number(name: str) -> bool:
    """Whether a name is a version's: ASCII digits only, as TensorFlow Serving reads them."""
    return name.isascii() and name.isdigit()


def latest(path: str | os.PathLike) -> pathlib.Path:
    """The newest version's directory under a model's directory; a version's own is itself.

    Raises:
        FileNotFoundError: there is no SavedModel in either sense.
    """
    path = pathlib.Path(path)
    if (path / "saved_model.pb").is_file():
        return path
    found = versions(path)
    if not found:
        raise FileNotFoundError(f"There is no SavedModel, nor a version of one, in {str(path)!r}.")
    return path / str(found[-1])


def read_labels(file: str | os.PathLike) -> tuple[str, ...]:
    """The names in a text file, one a line."""
    text = pathlib.Path(file).read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def labels_of(directory: str | os.PathLike) -> tuple[str, ...] | None:
    """The names of the classes that an export took along; None if it has none."""
    path = pathlib.Path(directory) / LABELS_FILE
    return read_labels(path) if path.is_file() else None


def description_of(directory: str | os.PathLike) -> dict[str, Any]:
    """What an export of tfgig says of itself: inputs, value range, endpoints.

    Of other SavedModels, nothing: no inputs, no range, and no endpoints.
    """
    path = pathlib.Path(directory) / SPEC_FILE
    nothing: dict[str, Any] = {"value_range": None, "endpoints": {}}
    if not path.is_file():
        return nothing
    found = nothing | json.loads(path.read_text())
    found["value_range"] = found["value_range"] and tuple(found["value_range"])
    return found
