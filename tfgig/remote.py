"""Directories of other file systems, such as gs://bucket/model, by those that TensorFlow has.

They are copied: what is read, to this machine; what is written, from here when it is complete.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import posixpath
import uuid
from collections.abc import Iterator

import tensorflow as tf

from tfgig.local import scheme_of
from tfgig.temporary import TemporaryDirectory

# File systems that rename a directory in one step. Object stores have no directories: TensorFlow
# copies there one object after the other, each under its final name.
RENAMING = ("hdfs", "viewfs")
_LAST = "saved_model.pb"  # without it, a directory is no SavedModel


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path is the address of a file system that is not this machine's."""
    return scheme_of(path) not in ("", "file", "http", "https")


def check_scheme(address: str) -> None:
    """Raises `ValueError` unless TensorFlow has the file system of an address."""
    scheme = scheme_of(address)
    if not address.partition(":")[2].startswith("//"):
        raise ValueError(
            f"pathlib.Path drops one slash of {scheme}://; pass the address as a string. Received: "
            f"{address!r}."
        )
    known = tf.io.gfile.get_registered_schemes()
    if scheme not in known:
        raise ValueError(
            f"TensorFlow has no file system for {scheme}:// in this process (available: "
            f"{', '.join(f'{name}://' for name in sorted(known) if name)}). First import a package "
            "that adds it, such as tensorflow-io; or use a local directory, and copy it to or from "
            "the store with the store's own program (gcloud storage cp -r, aws s3 cp --recursive, "
            "hdfs dfs -put); when copying an export, copy saved_model.pb last. Received: "
            f"{address!r}."
        )


def is_directory(address: str) -> bool:
    """Whether there is a directory at an address.

    Raises:
        OSError: nobody answers there.
        ValueError: TensorFlow has no such file system.
    """
    check_scheme(address)
    with _as_os_error(address):
        return tf.io.gfile.isdir(address)


def names_in(address: str) -> list[str]:
    """What is in a directory, without what is in that; nothing if there is no directory.

    Raises:
        OSError, ValueError: as `is_directory`.
    """
    if not is_directory(address):
        return []
    with _as_os_error(address):
        return [name.rstrip("/") for name in tf.io.gfile.listdir(address)]


def fetch(address: str) -> tuple[pathlib.Path, TemporaryDirectory]:
    """A copy of a file or a directory, and the temporary directory that holds it.

    Raises:
        OSError: there is nothing there, or it cannot be read.
        ValueError: TensorFlow has no such file system.
    """
    address = address.rstrip("/")
    directory = is_directory(address)
    temporary = TemporaryDirectory("tfgig-")
    copy = temporary.path / posixpath.basename(address)
    try:
        with _as_os_error(address):
            if directory:
                _copy_in(address, copy)
            else:
                tf.io.gfile.copy(address, str(copy))
    except BaseException:
        temporary.cleanup()
        raise
    return copy, temporary


def _copy_in(address: str, to: pathlib.Path) -> None:
    to.mkdir(exist_ok=True)
    for name in (name.rstrip("/") for name in tf.io.gfile.listdir(address)):
        # An object store may have an object of no name, which stands for the directory.
        if name and tf.io.gfile.isdir(f"{address}/{name}"):
            _copy_in(f"{address}/{name}", to / name)
        elif name:
            tf.io.gfile.copy(f"{address}/{name}", str(to / name), overwrite=True)


def put(directory: pathlib.Path, address: str) -> None:
    """Writes a SavedModel to an address at which there is none; nothing is left if that fails.

    Where the file system renames, it appears whole; else its files do one by one, and
    `saved_model.pb` when all others are there.

    Raises:
        OSError: it cannot be written.
        ValueError: TensorFlow has no such file system.
    """
    check_scheme(address)
    renames = scheme_of(address) in RENAMING
    base, name = posixpath.split(address)
    written = f"{base}/.incoming-{name}-{uuid.uuid4().hex}" if renames else address
    try:
        with _as_os_error(address):
            for file in _saved_model_last(directory):
                to = f"{written}/{file.relative_to(directory).as_posix()}"
                tf.io.gfile.makedirs(posixpath.dirname(to))
                tf.io.gfile.copy(str(file), to, overwrite=True)
            if renames:
                tf.io.gfile.rename(written, address)
    except BaseException:
        with contextlib.suppress(tf.errors.OpError):  # what cannot be written may not be removed
            tf.io.gfile.rmtree(written)
        raise


def _saved_model_last(directory: pathlib.Path) -> list[pathlib.Path]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return sorted(files, key=lambda path: path.name == _LAST)


def remove(address: str) -> None:
    """Removes a SavedModel, its graph first: what is left of it in between is none.

    Raises:
        OSError: it cannot be removed.
    """
    with _as_os_error(address):
        if tf.io.gfile.exists(f"{address}/{_LAST}"):
            tf.io.gfile.remove(f"{address}/{_LAST}")
        tf.io.gfile.rmtree(address)


@contextlib.contextmanager
def _as_os_error(address: str) -> Iterator[None]:
    try:
        yield
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(f"Nothing exists at {address!r}.") from error
    except tf.errors.OpError as error:
        reason = " ".join(str(error).split())
        raise OSError(f"TensorFlow cannot reach {address!r}: {reason:.300}") from error
