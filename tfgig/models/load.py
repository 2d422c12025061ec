"""From a handle to a source."""

from __future__ import annotations

import pathlib
from dataclasses import replace
from typing import Any

import keras

from tfgig.models.keras_model import from_keras
from tfgig.models.source import SourceModel

_KERAS_FILES = (".keras", ".h5")


def load_model(handle: Any, value_range: tuple[float, float] | None = None) -> SourceModel:
    """Turns a model into one differentiable, exportable object.

    Args:
        handle: A live Keras 3 model, an already loaded one, or the path of a `.keras` or `.h5`
            file. Files that hold code (Lambda layers) are not executed; Keras says so.
        value_range: For models of images, what is black and what is white in the input's units:
            (0, 255), (-1, 1), ...; None reads it off a leading `Rescaling` layer, if there is one.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be explained; the error says why and what to do.
    """
    if isinstance(handle, SourceModel):
        return handle if value_range is None else replace(handle, value_range=value_range)
    if isinstance(handle, keras.Model):
        return from_keras(handle, value_range)
    if not isinstance(handle, (str, pathlib.Path)):
        raise TypeError(
            "A model is a keras.Model or the path of a .keras or .h5 file. "
            f"Received: {type(handle).__name__}."
        )
    path = pathlib.Path(handle)
    if path.suffix not in _KERAS_FILES:
        raise ValueError(
            f"A model file ends in {' or '.join(_KERAS_FILES)}; load other formats yourself and "
            f"pass the keras.Model. Received: {str(handle)!r}."
        )
    if not path.is_file():
        raise FileNotFoundError(f"There is no model file at {str(path)!r}.")
    return from_keras(keras.saving.load_model(path, compile=False), value_range)
