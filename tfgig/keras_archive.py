"""What a Keras file is, looked at before Keras reads it: sizes, links to other files, its JSON.

A `.keras` file is a zip archive and an `.h5` file an HDF5 one. Both can say of themselves that they
unpack to far more than they are, and HDF5 can hold links to other files of the reader's. HDF5's
library does not always survive a damaged file, so all that Keras will read is read here first, in
a process of its own, which does not import TensorFlow.
"""

from __future__ import annotations

import io
import json
import pathlib
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import h5py  # in which Keras writes weights

from tfgig.spec import check
from tfgig.worker import alone

MAX_JSON = 64 << 20  # bytes of a configuration; those of the largest models have a few MiB
FLOOR = 256 << 20  # bytes that may be unpacked whatever a file's size is
EXPANSION = 100  # times a file's size that what it holds may have; Keras does not compress
MAX_DEPTH = 500  # of JSON within JSON; a model within a model takes six
_WEIGHTS = "model.weights.h5"
_SECONDS, _BYTES_PER_SECOND = 60, 16 << 20  # how long a file may take, by its size
# Numbers of a layer that it cannot have without as many weights.
_SIZES = ("units", "filters", "input_dim", "output_dim", "key_dim", "value_dim")


class Looked(NamedTuple):
    """What a file says: its model's layers, as JSON, and which version of Keras wrote it."""

    config: str
    saved_by: str | None


def look_at(path: pathlib.Path) -> Looked:
    """What a file says of itself, where it may be handed to Keras.

    Raises:
        PermissionError, ValueError: as `read_all`; or reading it crashes, or never ends.
    """
    seconds = _SECONDS + path.stat().st_size / _BYTES_PER_SECOND
    try:
        return alone(str(path), seconds, read_all, path)
    except ChildProcessError as error:
        raise ValueError(
            f"The file is damaged or malicious: the process that checked it {error}. Copy it "
            f"again, or do not trust it. Received: {str(path)!r}."
        ) from error


def read_all(path: pathlib.Path) -> Looked:
    """What a file says of itself; everything in it is read.

    Raises:
        PermissionError: it is not to be read.
        ValueError: it is not whole, holds no model, unpacks to more than it may, links to other
            files, or is nested too deeply.
    """
    stored: int | None
    try:
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                config = file.attrs.get("model_config")
                stored = _check_weights(file, path, path.stat().st_size)
        else:
            with zipfile.ZipFile(path) as archive:
                _check_sizes(archive, path)
                config = archive.read("config.json")
                stored = _check_members(archive, path)
    except PermissionError:
        raise
    except _DAMAGED as error:
        raise ValueError(
            f"This is not a valid {path.suffix} file: it may be damaged or truncated; copy it "
            f"again ({error}). Received: {str(path)!r}."
        ) from error
    if config is None:
        raise ValueError(
            "The file contains only weights. Build the model, call `model.load_weights(file)` and "
            "pass the model; or save the whole model with `model.save(...)`. Received: "
            f"{str(path)!r}."
        )
    text = config.decode("utf-8", "replace") if isinstance(config, bytes) else str(config)
    _check_config(text, stored, path)
    return Looked(text, _saved_by(path))


def _saved_by(path: pathlib.Path) -> str | None:
    """The version of Keras that wrote a file, if it says so."""
    try:
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                version = file.attrs.get("keras_version")
        else:
            with zipfile.ZipFile(path) as archive:
                version = json.loads(archive.read("metadata.json")).get("keras_version")
    except (*_DAMAGED, ValueError, AttributeError, RecursionError):
        return None
    return version.decode() if isinstance(version, bytes) else version


# What broken archives end in; h5py has no errors of its own.
_DAMAGED = (
    OSError, zipfile.BadZipFile, zlib.error, KeyError, RuntimeError, NotImplementedError, EOFError,
    TypeError, AttributeError, OverflowError, MemoryError,
)  # fmt: skip


def _check_sizes(archive: zipfile.ZipFile, path: pathlib.Path) -> None:
    members = archive.infolist()
    _check_size(sum(member.file_size for member in members), path.stat().st_size, path)
    for member in members:
        if member.filename.endswith(".json"):
            check(
                member.file_size <= MAX_JSON,
                f"The file's {member.filename!r:.60} unpacks to {member.file_size >> 20} MiB, more "
                f"than the limit of {MAX_JSON >> 20} MiB for a configuration. Do not trust it.",
                str(path),
            )


def _check_size(size: int, stored: int, path: pathlib.Path) -> None:
    check(
        size <= max(FLOOR, EXPANSION * stored),
        f"The file has {stored >> 10} KiB and unpacks to {size >> 20} MiB, which is suspicious. Do "
        "not trust it. If it is yours, save it again with model.save(...).",
        str(path),
    )


def _check_members(archive: zipfile.ZipFile, path: pathlib.Path) -> int | None:
    """Looks into the weights; returns how many numbers they are, or None if that is not known."""
    if _WEIGHTS not in archive.namelist():
        return None
    member = archive.getinfo(_WEIGHTS)
    with archive.open(member) as content:
        if member.compress_type == zipfile.ZIP_STORED:  # can be read here and there
            with h5py.File(cast(Any, content), "r") as file:
                return _check_weights(file, path, member.file_size)
        with h5py.File(io.BytesIO(content.read()), "r") as file:
            return _check_weights(file, path, member.file_size)


def _check_weights(file: h5py.File, path: pathlib.Path, size: int) -> int:
    """Refuses what leads to other files, or unpacks to too much; returns how many numbers it is."""
    count = unpacked = 0
    for dataset in _datasets(file, path):
        outside = dataset.external or dataset.is_virtual
        _check_inside(not outside, dataset.name, path)
        count += dataset.size or 0
        unpacked += dataset.nbytes
    _check_size(unpacked, size, path)
    for dataset in _datasets(file, path):  # what crashes or hangs is to do it here
        dataset[()]
    return count


def _datasets(file: h5py.File, path: pathlib.Path) -> Iterator[h5py.Dataset]:
    """The datasets of a file, each once, found by hard links alone."""
    groups, seen = [file["/"]], set()
    while groups:
        group = groups.pop()
        list(group.attrs.values())
        for name in group:
            link = group.get(name, getlink=True)
            _check_inside(not isinstance(link, h5py.ExternalLink), f"{group.name}/{name}", path)
            if not isinstance(link, h5py.HardLink):
                continue
            found = group[name]
            place = h5py.h5o.get_info(found.id).addr
            if place not in seen:
                seen.add(place)
                if isinstance(found, h5py.Group):
                    groups.append(found)
                elif isinstance(found, h5py.Dataset):
                    list(found.attrs.values())
                    yield found


def _check_inside(inside: bool, name: str, path: pathlib.Path) -> None:
    check(
        inside,
        f"The file takes {name!r} from another file on this machine. Do not trust it.",
        str(path),
    )


def _check_config(text: str, stored: int | None, path: pathlib.Path) -> None:
    """Refuses what Keras would go too deep into, or take too much memory for."""
    try:
        waiting = [(json.loads(text), 0)]
    except RecursionError:
        waiting = [({}, MAX_DEPTH + 1)]
    except ValueError as error:
        raise ValueError(
            f"The file's configuration is damaged; copy it again ({error}). "
            f"Received: {str(path)!r}."
        ) from error
    while waiting:
        value, depth = waiting.pop()
        check(
            depth <= MAX_DEPTH,
            f"The file's configuration is nested more than {MAX_DEPTH} levels deep, which no real "
            "model needs. Do not trust it.",
            str(path),
        )
        if isinstance(value, dict):
            _check_layer(value, stored, path)
            waiting += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1) for inner in value]


def _check_layer(config: dict[str, Any], stored: int | None, path: pathlib.Path) -> None:
    for name in _SIZES:
        size = config.get(name)
        check(
            stored is None or not isinstance(size, int) or size <= max(stored, 0),
            f"A layer of the file has {name}={size}, more than all the numbers in the file "
            f"({stored}). It is damaged, or not to be trusted.",
            str(path),
        )
