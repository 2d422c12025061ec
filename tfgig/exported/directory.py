"""Directories of SavedModels: a model's holds versions by number, a version's holds a graph."""

from __future__ import annotations

import os
import pathlib

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tfgig.exported.signatures import public
from tfgig.local import local_path
from tfgig.spec import check

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
        FileNotFoundError: the directory does not exist.
        ValueError: it is a version's, or an address of another file system.
    """
    path = local_path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"The directory {str(path)!r} does not exist.")
    check(
        not (path / "saved_model.pb").is_file(),
        "This is a version; give the model's directory, which contains numbered versions: "
        f"{str(path.parent)!r}.",
        str(path),
    )
    return path


def latest(path: str | os.PathLike) -> pathlib.Path:
    """The newest version's directory under a model's directory; a version's own is itself.

    Raises:
        FileNotFoundError: there is no SavedModel in either sense.
        ValueError: it is an address of another file system.
    """
    path = local_path(path)
    if (path / "saved_model.pb").is_file():
        return path
    found = versions(path)
    if not found:
        raise FileNotFoundError(f"There is no SavedModel or version of one in {str(path)!r}.")
    return found[max(found)]


def meta_graph_of(directory: str | os.PathLike) -> meta_graph_pb2.MetaGraphDef:
    """The graph that is served: the one with the tag "serve", or with no tag, or the only one.

    Raises:
        ValueError: the file is damaged, or has several graphs and none of these.
    """
    directory = pathlib.Path(directory)
    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString((directory / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise ValueError(
            f"'saved_model.pb' is damaged or truncated; copy it again ({error}). Received: "
            f"{str(directory)!r}."
        ) from error
    graphs = {tuple(sorted(graph.meta_info_def.tags)): graph for graph in saved.meta_graphs}
    for tags in (("serve",), ()):
        if tags in graphs:
            return graphs[tags]
    if len(graphs) != 1:
        raise ValueError(
            'A SavedModel must have exactly one graph with the tag "serve". Received: '
            f"{str(directory)!r} with the tags {[list(tags) for tags in graphs]}."
        )
    return next(iter(graphs.values()))


def unloadable(error: Exception, handle: str) -> ValueError:
    """The error for a SavedModel over whose files TensorFlow raised one of its many."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(
        "TensorFlow cannot load the SavedModel. The directory may be incomplete, or written by a "
        f"TensorFlow later than {tf.__version__} ({reason:.400}). Received: {handle!r}."
    )


def signatures_in(directory: str | os.PathLike) -> dict[str, meta_graph_pb2.SignatureDef]:
    """The signatures of a version's directory that can be called, by name.

    Raises:
        OSError, ValueError: as `meta_graph_of`.
    """
    return public(meta_graph_of(directory).signature_def)
