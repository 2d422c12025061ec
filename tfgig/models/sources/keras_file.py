"""Keras's own files, and what may be wrong with them."""

from __future__ import annotations

import pathlib
import re

import keras

from tfgig.keras_archive import Looked, look_at

SUFFIXES = (".keras", ".h5")
_WRITTEN_BY_KERAS_2 = ("batch_input_shape", "tf_keras", "TFOpLambda")
# How Keras names what it does not know: in .keras files, and in .h5 files.
_UNKNOWN = re.compile(
    r"(?:Could not (?:locate|deserialize) (?:class|function)|Unknown \w+:) '([^']+)'"
)
# How Keras says that something is not done in its safe mode, and how to leave that.
_ADVICE = re.compile(
    r" ?If you trust the source of the artifact.*?unsafe_deserialization\(\)\.", re.S
)
_TFSM = re.compile(r'"class_name": ?"TFSMLayer".*?"filepath": ?"([^"]*)"', re.S)
_LONGEST = 400  # characters of Keras's own words
KERAS_2 = (
    "This is a Keras 2 model, which Keras 3 does not fully support. Open it with tf_keras (pip "
    "install tf_keras), save it with `model.export(directory)`, and give the directory."
)


def read_keras_file(path: pathlib.Path, unsafe: bool) -> keras.Model:
    """The model in a `.keras` or `.h5` file; with `unsafe`, its Python code is run.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is damaged, holds no model, or one that cannot be rebuilt from it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no model file or directory at {str(path)!r}.")
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"A model file ends in {' or '.join(SUFFIXES)}, a SavedModel is a directory; load "
            f"other formats yourself and pass the keras.Model. Received: {str(path)!r}."
        )
    looked = look_at(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=not unsafe)
    except Exception as error:  # whatever a file makes Keras raise, it is the file's
        reason = _reason(str(error), looked)
        raise ValueError(f"{reason} Received: {str(path)!r}.") from error


def _reason(error: str, looked: Looked) -> str:
    """What is wrong with a file that Keras does not read, and what to do."""
    own = _own_reason(error)
    if "python lambda" in own.lower():
        return (
            "The file contains Python code (a Lambda layer) that loading would run; nothing was "
            "run. Allow it with allow_unsafe_deserialization=True (--allow_unsafe_deserialization) "
            "only if you trust the file: the code has all your permissions."
        )
    elsewhere = _TFSM.search(looked.config)
    if elsewhere is not None:
        return (
            "The file contains a TFSMLayer, which is only the path of a SavedModel, "
            f"{elsewhere[1]!r}, that Keras would load and run. If you trust it, give that "
            "directory (with signature=..., --signature)."
        )
    if _ADVICE.search(error):
        return f"Keras rejects the file: {own} Do not trust it."
    if any(mark in looked.config for mark in _WRITTEN_BY_KERAS_2):
        return KERAS_2
    unknown = _UNKNOWN.search(error)
    if unknown is not None:
        return (
            f"The model has a custom class, {unknown[1]!r}, whose code is not in the file. In "
            "Python, import the module that registers it, load the file with "
            "keras.saving.load_model, and pass the live model."
        )
    if _numbers(looked.saved_by) > _numbers(keras.__version__):
        return (
            f"The file was saved by Keras {looked.saved_by}, and Keras {keras.__version__} cannot "
            f"read it: {own} Install that version, or save the model again with this one."
        )
    return f"Keras cannot rebuild the model from the file: {own}"


def _own_reason(error: str) -> str:
    """The innermost of the reasons that Keras gives, without its advice; one line."""
    innermost = _ADVICE.sub("", error.rpartition("Exception encountered: ")[2])
    words = " ".join(innermost.split()) or "it gives no reason."
    words = words if len(words) <= _LONGEST else f"{words[:_LONGEST]} ..."
    return words if words.endswith((".", "?", "!")) else f"{words}."


def _numbers(version: object) -> list[int]:
    """The numbers of a version, such as [3, 12, 4], which compare as versions do."""
    return [int(number) for number in re.findall(r"\d{1,9}", str(version or ""))[:3]]
