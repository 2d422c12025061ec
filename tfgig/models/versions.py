"""Directories of SavedModels, which hold versions by number."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

from tfgig.spec import check

SPEC_FILE = pathlib.PurePath("assets.extra") / "tfgig.json"  # what an export says of itself
LABELS_FILE = pathlib.PurePath("assets.extra") / "labels.txt"  # the classes' names, one a line
LARGEST = 2**63 - 1  # of a version, which is an int64 on the wire


def versions(base: str | os.PathLike) -> dict[int, pathlib.Path]:
    """The versions under a model's directory and where they are, in ascending order.

    A name may have zeros in front. Of two names for one number, the shorter is taken.
    """
    base = pathlib.Path(base)
    if not base.is_dir():
        return {}
    found = [path for path in base.iterdir() if is_number(path.name) and path.is_dir()]
    found.sort(key=lambda path: (int(path.name), -len(path.name)))
    return {int(path.name): path for path in found}


def is_number(name: str) -> bool:
    """Whether a name is a version's, as TensorFlow Serving reads it: ASCII digits, 64 bits."""
    return name.isascii() and name.isdigit() and int(name) <= LARGEST


def model_directory(path: str | os.PathLike) -> pathlib.Path:
    """The directory of a model, which holds versions by number.

    Raises:
        FileNotFoundError: there is no such directory.
        ValueError: it is a version's.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"There is no directory {str(path)!r}.")
    check(
        not (path / "saved_model.pb").is_file(),
        "This is a version; name the model's directory, which holds versions by number: "
        f"{str(path.parent)!r}.",
        str(path),
    )
    return path


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
    return found[max(found)]


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
