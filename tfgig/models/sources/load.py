"""From a handle to a source."""

from __future__ import annotations

import contextlib
import os
import pathlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from tfgig import remote
from tfgig.exported.directory import is_number, latest
from tfgig.image.axes import DataFormat
from tfgig.local import local_path
from tfgig.models.graphs.constants import Constants
from tfgig.models.graphs.examples import Given
from tfgig.models.graphs.rows import words_of_doubt
from tfgig.models.graphs.shapes import Shape
from tfgig.models.graphs.singular import is_normalised, words_of_singular
from tfgig.models.options import LoadOptions, Names
from tfgig.models.source import SourceModel
from tfgig.models.sources import archive, hub
from tfgig.models.sources.keras_file import KERAS_2, read_keras_file
from tfgig.models.sources.keras_model import from_keras
from tfgig.models.sources.opening import open_saved_model
from tfgig.models.sources.saved_model import from_saved_model
from tfgig.spec import as_named, check
from tfgig.temporary import TemporaryDirectory

# Tasks of keras-hub have one.
_PREPROCESSED = (
    "predict() runs `model.preprocessor` first, but the model itself does not: explanations and "
    "exports take the preprocessor's output, and the value range is in its units. To take raw "
    "images, load a model with the preprocessing inside: keras.Model(raw, "
    "model(model.preprocessor.image_converter(raw))), with raw = keras.Input((height, width, 3)). "
    "To take texts, hand in model.preprocessor(texts), and name the embedding with layer=..."
)


def load_model(
    handle: Any,
    value_range: tuple[float, float] | None = None,
    signature: str | None = None,
    shape: Shape | None = None,
    layer: str | Sequence[str] | None = None,
    allow_unsafe_deserialization: bool = False,
    example: Given | None = None,
    constants: Constants | None = None,
    input_names: Names | None = None,
    data_format: DataFormat | None = None,
) -> SourceModel:
    """Loads a model as one differentiable, exportable object.

    Args:
        handle: A Keras 3 model; a result of this function; the path of a `.keras` or `.h5` file;
            the directory of a SavedModel, or of versions of one (the latest is used); a `.tar.gz`
            archive of one; or its address, such as on TensorFlow Hub.
        value_range: For image models, the values of black and white in the input's units: (0, 255),
            (-1, 1), ...; None infers it from the first arithmetic on the image (scaling,
            standardising, as by `Rescaling`, `Normalization`, `preprocess_input`).
        signature: Which signature of a SavedModel; None takes `serving_default`, or the only one.
        shape: The shape of one example, such as (height, width, channels), where the model leaves
            it open; for several inputs by name, `{"image": (224, 224, 3), "sound": (16000,)}`.
        layer: Where to explain the model: the name of a layer (also a nested one) or an input; in a
            SavedModel, also a name scope or an operation of its graph. Several names, `("city_emb",
            "job_emb", "numbers")`, are explained together. An input that is not float is explained
            where it becomes float: at its embedding or one-hot tensor. None takes all inputs; if
            the only input is text, name the embedding.
        allow_unsafe_deserialization: Whether to run Python code in a `.keras` or `.h5` file (Lambda
            layers). Such code has all your permissions; allow it only for files that you trust.
        example: Two or three different rows, [rows, ...] by input name, or those of the only input.
            They are used to test whether a row's score depends on other rows; None generates rows.
        constants: The values of inputs that have one value for the whole batch, such as
            `{"is_training": False}`. Explaining signatures fix them; in other signatures they are
            inputs with these defaults. Inputs with a default in the model need no entry.
        input_names: Names for the inputs of a Keras model, in order or by name,
            `{"keras_tensor_28": "image"}`. Keras names unnamed inputs with a counter of the
            process, so the names change from export to export and break clients. By default the
            names of `model.export` are used, which have the same problem.
        data_format: The axes of its pictures: "channels_last" [B, height, width, channels],
            "channels_first" [B, channels, height, width] or, for grey ones, "no_channels" [B,
            height, width]. None infers it from the graph, from what looks at positions.

    Raises:
        OSError: the model does not exist, or cannot be read or downloaded.
        ValueError: the model cannot be explained; the error gives the reason and a fix.
    """
    options = LoadOptions(
        value_range,
        signature,
        shape,
        as_named(layer, "`layer`"),
        allow_unsafe_deserialization,
        example,
        constants,
        input_names,
        data_format,
    )
    return load(handle, options)


def load(handle: Any, options: LoadOptions) -> SourceModel:
    """As `load_model`, with its arguments in a record."""
    if isinstance(handle, SourceModel):
        _refuse(
            handle.name,
            options,
            ("signature", "shape", "example", "constants", "input_names", "data_format"),
        )
        source = handle if options.layer is None else handle.at(options.layer)
        if options.value_range is None:
            return source
        return source.with_value_range(options.value_range)
    if isinstance(handle, keras.Model):
        _refuse(handle.name, options, ("signature",))
        return _told(from_keras(handle, options))
    if _is_keras_2(handle):
        raise TypeError(f"{KERAS_2} Received: {type(handle).__name__} {handle.name!r}.")
    if not isinstance(handle, (str, pathlib.Path)):
        raise TypeError(
            "A model must be a keras.Model, the path of a .keras or .h5 file, or the directory, "
            f"archive or address of a SavedModel. Received: {type(handle).__name__}."
        )
    with located(handle) as place:
        if place.file is None:
            check(
                options.input_names is None,
                "A SavedModel's signature already names its inputs; leave `input_names` out.",
                options.input_names,
            )
            opened = open_saved_model(place.directory, str(handle))
            source = from_saved_model(opened, options)
            return _told(source.kept_with(place.keep()))
        _refuse(str(handle), options, ("signature",))
        model = read_keras_file(place.file, options.allow_unsafe_deserialization)
    return _told(from_keras(model, options))


def _told(source: SourceModel) -> SourceModel:
    """The same; says what is not known of its rows, and which inputs it leaves out."""
    if source.cut.doubt is not None:
        warnings.warn(f"{source.name!r}: {words_of_doubt(source.cut.doubt)}", stacklevel=3)
    if is_normalised(source.cut):
        warnings.warn(f"{source.name!r}: {words_of_singular(source.cut.points.name)}", stacklevel=3)
    if getattr(source.model.origin, "preprocessor", None) is not None:
        warnings.warn(f"{source.name!r}: {_PREPROCESSED}", stacklevel=3)
    if source.cut.left_out and source.view.layer is None:
        why = "" if source.cut.why is None else f" ({source.cut.why})"
        warnings.warn(
            f"{source.name!r}: the score also depends on {', '.join(source.cut.left_out)}, which "
            f"{'is' if len(source.cut.left_out) == 1 else 'are'} not explained{why}. To choose "
            'what is explained: load_model(handle, layer=("...", "...")) (--layer=a,b).',
            stacklevel=3,
        )
    return source


def _refuse(name: str, options: LoadOptions, choices: Sequence[str]) -> None:
    """Raises `ValueError` for what there is nothing to choose of."""
    given = {choice: getattr(options, choice) for choice in choices}
    given = {choice: value for choice, value in given.items() if value is not None}
    if given:
        raise ValueError(
            "Keras models have no signatures to choose from, and a loaded model already has its "
            "shape, constants, names and axes; leave the option out. "
            f"Received: {name!r} with {given}."
        )


def _is_keras_2(handle: Any) -> bool:
    """Whether an object is a model of Keras 2, a package of its own beside Keras 3."""
    bases = {base.__module__.partition(".")[0] for base in type(handle).__mro__}
    return "tf_keras" in bases and hasattr(handle, "name")


class Place:
    """Where a model is on this machine; a temporary directory is removed, unless somebody keeps it.

    Args:
        directory: Of the SavedModel; of another file, the one that it is in.
        file: What is no SavedModel: a Keras file, or a path at which there may be nothing.
    """

    def __init__(self, directory: pathlib.Path, file: pathlib.Path | None = None) -> None:
        self.directory = directory
        self.file = file
        self.temporary: list[TemporaryDirectory] = []

    def keep(self) -> Any:
        """Hands what is temporary over: an export reads asset files again."""
        kept, self.temporary = self.temporary, []
        return kept


@contextlib.contextmanager
def located(handle: str | os.PathLike) -> Iterator[Place]:
    """The place of the model that a handle stands for.

    Raises:
        OSError: there is none, or it cannot be downloaded.
        ValueError: an archive is not to be trusted, or TensorFlow has no such file system.
    """
    if isinstance(handle, str) and hub.is_address(handle):
        yield Place(latest(hub.resolve(handle)))
        return
    place = Place(pathlib.Path())
    try:
        _locate(place, handle)
        yield place
    finally:
        for temporary in place.temporary:
            temporary.cleanup()


def _locate(place: Place, handle: str | os.PathLike) -> None:
    if remote.is_remote(handle):
        path, temporary = remote.fetch(_latest_at(os.fspath(handle).rstrip("/")))
        place.temporary.append(temporary)
    else:
        path = local_path(handle)
    if path.is_file() and path.name.endswith(archive.SUFFIXES):
        temporary = TemporaryDirectory("tfgig-")
        place.temporary.append(temporary)
        archive.unpack(path, temporary.path)
        path = archive.root(temporary.path)
    if path.is_dir():
        place.directory = latest(path)
    else:
        place.directory, place.file = path.parent, path


def _latest_at(address: str) -> str:
    """The address of the newest version in a model's directory; that of all else is itself."""
    names = remote.names_in(address)
    found = [] if "saved_model.pb" in names else [name for name in names if is_number(name)]
    return f"{address}/{max(found, key=int)}" if found else address
