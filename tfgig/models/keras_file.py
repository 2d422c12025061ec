"""Keras's own files, and what may be wrong with them."""

from __future__ import annotations

import pathlib
import re
import zipfile

import h5py  # in which Keras writes weights
import keras

SUFFIXES = (".keras", ".h5")
_WRITTEN_BY_KERAS_2 = ("batch_input_shape", "tf_keras", "TFOpLambda")
# How Keras names what it does not know: in .keras files, and in .h5 files.
_UNKNOWN = re.compile(
    r"(?:Could not (?:locate|deserialize) (?:class|function)|Unknown \w+:) '([^']+)'"
)
KERAS_2 = (
    "The model is one of Keras 2, which Keras 3 does not read whole. Open it with tf_keras "
    "(pip install tf_keras), write it with `model.export(directory)`, and give the directory."
)


def read_keras_file(path: pathlib.Path, unsafe: bool) -> keras.Model:
    """The model in a `.keras` or `.h5` file; with `unsafe`, its Python code is run.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is damaged, holds no model, or one that cannot be rebuilt from it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no model file at {str(path)!r}, nor a directory.")
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"A model file ends in {' or '.join(SUFFIXES)}, a SavedModel is a directory; load "
            f"other formats yourself and pass the keras.Model. Received: {str(path)!r}."
        )
    config = _config_of(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=not unsafe)
    except (ValueError, TypeError) as error:
        reason = _reason(str(error), config)
        if reason is None:
            raise
        raise ValueError(f"{reason} Received: {str(path)!r}.") from error


def _config_of(path: pathlib.Path) -> str:
    """What a file says of its model's layers: JSON.

    Raises:
        ValueError: it is not whole, or holds no model.
    """
    try:
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                config = file.attrs.get("model_config")
        else:
            with zipfile.ZipFile(path) as archive:
                config = archive.read("config.json")
    except PermissionError:
        raise
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise ValueError(
            f"This is no {path.suffix} file, or it is damaged or was cut short; copy it again "
            f"({error}). Received: {str(path)!r}."
        ) from error
    if config is None:
        raise ValueError(
            "The file holds weights only. Build the model, `model.load_weights(file)`, and pass "
            f"the model; or save it whole, with `model.save(...)`. Received: {str(path)!r}."
        )
    return config.decode() if isinstance(config, bytes) else str(config)


def _reason(error: str, config: str) -> str | None:
    """What is wrong with a file that Keras does not read, and what to do; None if not known."""
    if "nsafe" in error:
        return (
            "The file holds Python code (a Lambda layer), which loading it would run; nothing was "
            "run. Allow it with allow_unsafe_deserialization=True "
            "(--allow_unsafe_deserialization), only if you trust where the file comes from: such "
            "code can do whatever you can."
        )
    if any(mark in config for mark in _WRITTEN_BY_KERAS_2):
        return KERAS_2
    unknown = _UNKNOWN.search(error)
    if unknown is not None:
        return (
            f"The model has a class of its own, {unknown[1]!r}, whose code is not in "
            "the file. In Python, import the module that registers it, load the file with "
            "keras.saving.load_model, and pass the live model."
        )
    return None
