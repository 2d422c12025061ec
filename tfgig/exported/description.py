"""What an export says of itself: `assets.extra/tfgig.json`, and the labels beside it.

There is one record, one writer and one reader. A field that an older reader may pass over is added
with a default; what changes the meaning of one that is there raises `VERSION`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfgig.exported.lane import Lane
from tfgig.exported.signatures import TARGET
from tfgig.image.axes import DATA_FORMATS, DataFormat
from tfgig.image.layout import Layout
from tfgig.spec import Named, is_whole

VERSION = 1  # exports from before it was written are read as 0
SPEC_FILE = pathlib.PurePath("assets.extra") / "tfgig.json"
_NO_LABELS = "A labels file must be UTF-8 text with one name per line; this file is not"
LABELS_FILE = pathlib.PurePath("assets.extra") / "labels.txt"


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor: its name, its shape [None, ...] with None for open axes, and its dtype's name."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    @classmethod
    def of(cls, spec: tf.TensorSpec) -> Tensor:
        """What there is to say of a spec."""
        return cls(spec.name, tuple(spec.shape.as_list()), spec.dtype.name)


@dataclasses.dataclass(frozen=True)
class EndpointDescription:
    """One explaining signature.

    Args:
        kind: What it answers with, a kind of `tfgig.exported.kinds`.
        method: The config of the `Method`.
        target: The config of the `Target`.
        complete: Whether `delta` measures an error; see `Method.complete`.
        layer: Where the model is explained, by one name or several; None for where it
            was loaded to be.
        overlay: The config of the `Style` of a heat-map; None for other kinds.
        explained: What the attributions are of.
        output: The output of `serving_default` that is explained; None if that is not known.
        place: The inner tensor that is explained: its "name", and its "layout" over the picture,
            as `tfgig.image.layout.Layout` reads it; None where the inputs are, or several places.
        columns: The names of the columns of an answer [B, columns]; none for other kinds.
        left_out: The inputs that the score depends on and nothing explained does.
        doubt: Why it is not known whether its rows depend on each other; None if they do not.
    """

    kind: str
    method: Mapping[str, Any]
    target: Mapping[str, Any]
    complete: bool = True
    layer: Named = None
    overlay: Mapping[str, Any] | None = None
    explained: tuple[Tensor, ...] = ()
    output: str | None = None
    place: Mapping[str, Any] | None = None
    columns: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    doubt: str | None = None

    @property
    def layout(self) -> Layout | None:
        """How what is explained lies over the picture; None for pixels, and where it does not."""
        found = None if self.place is None else self.place["layout"]
        return None if found is None else Layout.from_config(found)

    def to_config(self) -> dict[str, Any]:
        """Plain JSON data."""
        found = dataclasses.asdict(self)
        return {name: value for name, value in found.items() if (name, value) != ("overlay", None)}


@dataclasses.dataclass(frozen=True)
class Description:
    """An export; of a SavedModel that tfgig did not write, nothing but its labels.

    Args:
        model: What the model is called.
        inputs: What its explaining signatures take, beside the class to explain.
        target: What they call that; another name if the model has an input `target`.
        picture: The image among what they take; None if there is none.
        value_range: What is black and what is white in it; None if not known.
        data_format: Which axes of it are what in the model's input; `picture` has its channels
            last.
        endpoints: The signatures that explain, by name.
        labels: The class names, if known.
        lane: How its explanations share a machine with predictions; None if nothing bounds them.
    """

    model: str = ""
    inputs: tuple[Tensor, ...] = ()
    target: str = TARGET
    picture: Tensor | None = None
    value_range: tuple[float, float] | None = None
    endpoints: Mapping[str, EndpointDescription] = dataclasses.field(default_factory=dict)
    labels: tuple[str, ...] | None = None
    lane: Lane | None = None
    data_format: DataFormat = "channels_last"

    def to_config(self) -> dict[str, Any]:
        """Plain JSON data; the labels have a file of their own."""
        return {
            "version": VERSION,
            "model": self.model,
            "inputs": [dataclasses.asdict(tensor) for tensor in self.inputs],
            "target": self.target,
            "picture": self.picture and dataclasses.asdict(self.picture),
            "value_range": self.value_range,
            "data_format": self.data_format,
            "lane": self.lane and dataclasses.asdict(self.lane),
            "endpoints": {name: found.to_config() for name, found in self.endpoints.items()},
        }


def write_description(description: Description, directory: str | os.PathLike) -> None:
    """Writes the description, and the labels if there are any, into a version's directory."""
    path = pathlib.Path(directory) / SPEC_FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(description.to_config(), indent=2) + "\n", encoding="utf-8")
    if description.labels is not None:
        text = "\n".join(description.labels) + "\n"
        (pathlib.Path(directory) / LABELS_FILE).write_text(text, encoding="utf-8")


def read_description(directory: str | os.PathLike) -> Description:
    """The description of a version's directory, of this format or an older one.

    Raises:
        ValueError: it is of a newer format, or the file is damaged.
    """
    path = pathlib.Path(directory) / SPEC_FILE
    names = pathlib.Path(directory) / LABELS_FILE
    labels = read_labels(names) if names.is_file() else None
    if not path.is_file():
        return Description(labels=labels)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        version = _typed(_typed(config, dict).get("version", 0), int)
        found = None if version > VERSION else _described(config, labels)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{str(SPEC_FILE)!r}, the description of the endpoints, is damaged ({error}). Copy the "
            f"version or export the model again. Received: {str(directory)!r}."
        ) from error
    if found is None:
        raise ValueError(
            f"A newer tfgig wrote this version: its description has format {version}, and this "
            f"tfgig reads formats up to {VERSION}. Upgrade tfgig, or export the model again with "
            f"this one. Received: {str(directory)!r}."
        )
    return found


def read_labels(file: str | os.PathLike) -> tuple[str, ...]:
    """The names in a text file, one a line.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text in UTF-8.
    """
    try:
        text = pathlib.Path(file).read_text(encoding="utf-8-sig")  # editors write a mark first
    except UnicodeDecodeError as error:
        raise ValueError(f"{_NO_LABELS} ({error}). Received: {str(file)!r}.") from error
    if "\0" in text:
        raise ValueError(f"{_NO_LABELS}. Received: {str(file)!r}, which contains null bytes.")
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _described(config: Mapping[str, Any], labels: tuple[str, ...] | None) -> Description:
    endpoints = _typed(config.get("endpoints", {}), dict)
    value_range, picture = config.get("value_range"), config.get("picture")
    if value_range is not None:
        black, white = (_typed(number, (int, float)) for number in _typed(value_range, list))
        value_range = black, white
    return Description(
        model=_typed(config.get("model", ""), str),
        inputs=_tensors(config.get("inputs", [])),
        target=_typed(config.get("target", TARGET), str),
        picture=None if picture is None else _tensors([picture])[0],
        value_range=value_range,
        endpoints={name: _endpoint(found) for name, found in endpoints.items()},
        labels=labels,
        lane=_lane(config.get("lane")),
        data_format=_data_format(config.get("data_format", DATA_FORMATS[0])),
    )


def _data_format(found: Any) -> DataFormat:
    if found not in DATA_FORMATS:
        raise TypeError(f"{found!r:.60} is none of {', '.join(DATA_FORMATS)}")
    return found


def _lane(config: Any) -> Lane | None:
    if config is None:
        return None
    known = {field.name for field in dataclasses.fields(Lane)}
    return Lane(**{name: value for name, value in _typed(config, dict).items() if name in known})


def _endpoint(config: Any) -> EndpointDescription:
    known = {field.name for field in dataclasses.fields(EndpointDescription)}
    given = {name: value for name, value in _typed(config, dict).items() if name in known}
    for name, wanted in (("kind", str), ("method", dict), ("target", dict)):
        _typed(given.get(name), wanted)
    if given.get("place") is not None:
        _checked_place(given["place"])
    for name in ("columns", "left_out"):
        given[name] = tuple(_typed(text, str) for text in _typed(given.get(name, []), list))
    if given.get("doubt") is not None:
        _typed(given["doubt"], str)
    if isinstance(given.get("layer"), list):
        given["layer"] = tuple(_typed(name, str) for name in given["layer"])
    return EndpointDescription(**{**given, "explained": _tensors(given.get("explained", []))})


def _checked_place(place: Any) -> None:
    """Raises `TypeError` for what is no place."""
    _typed(_typed(place, dict).get("name"), str)
    try:
        if place.get("layout") is not None:
            Layout.from_config(place["layout"])
    except (KeyError, IndexError) as error:
        raise TypeError(f"a layout lacks {error}") from error


def _tensors(configs: Any) -> tuple[Tensor, ...]:
    found = []
    for config in _typed(configs, list):
        name, shape, dtype = (_typed(config, dict).get(key) for key in ("name", "shape", "dtype"))
        if not all(axis is None or is_whole(axis) for axis in _typed(shape, list)):
            raise TypeError(f"a shape is {shape!r}")
        found.append(Tensor(_typed(name, str), tuple(shape), _typed(dtype, str)))
    return tuple(found)


def _typed(value: Any, wanted: type | tuple[type, ...]) -> Any:
    """The value, which is of a type; true and false are no numbers."""
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        kinds = wanted if isinstance(wanted, tuple) else (wanted,)
        names = {dict: "an object", list: "a list", str: "a text", int: "a number"}
        raise TypeError(f"{value!r:.60} is not {names[kinds[0]]}")
    return value
