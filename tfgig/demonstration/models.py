"""The small models that come with tfgig, by name."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from importlib import resources

from tfgig.models import SourceModel, load_model

_FOLDER = "tfgig_saved_models"
_FILE = "model.keras"


def names() -> list[str]:
    """The names of the models."""
    folder = resources.files(_FOLDER)
    return sorted(entry.name for entry in folder.iterdir() if (entry / _FILE).is_file())


@contextlib.contextmanager
def located(handle: str) -> Iterator[str]:
    """The file of one of the models; any other handle, or a file of that name, is itself."""
    if handle in names() and not pathlib.Path(handle).exists():
        with resources.as_file(resources.files(_FOLDER) / handle / _FILE) as file:
            yield str(file)
    else:
        yield handle


def load(name: str) -> SourceModel:
    """One of the models: RGB images [B, 96, 96, 3], 0 to 255, to probabilities of 8 shapes.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in names():
        raise ValueError(f"The models are {', '.join(names())}. Received: {name!r}.")
    with located(name) as file:
        return load_model(file)
