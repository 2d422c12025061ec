"""The flags that select and describe a program's model."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from absl import flags
from tfgig_tools import command_line

from tfgig import demonstration
from tfgig.models import SourceModel
from tfgig.models.options import LoadOptions
from tfgig.models.sources.load import load as load_with
from tfgig.spec import as_named, is_whole

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tfgig.bulk.spark import Travelling
    from tfgig.evaluation.running import Elsewhere

VALUE_RANGE = flags.DEFINE_list(
    "value_range",
    None,
    "The values of black and white in the model's input, such as 0,255 or -1,1. By default "
    "inferred from the first arithmetic on the image.",
)
SIGNATURE = flags.DEFINE_string(
    "signature",
    None,
    "The signature of a SavedModel to explain; by default serving_default, or the only one.",
)
SHAPE = flags.DEFINE_string(
    "shape",
    None,
    "The shape of one example, such as 224,224,3, where the model leaves it open; for several "
    'inputs, as JSON by name: {"image": [224, 224, 3]}.',
)
EXAMPLE = flags.DEFINE_string(
    "example",
    None,
    "A .npz or .json file with two or three different rows, by input name, to test whether rows "
    'depend on each other. In JSON, bytes are {"b64": "..."}. By default rows are generated.',
)
CONSTANTS = flags.DEFINE_string(
    "constants",
    None,
    "Values of inputs shared by the whole batch, such as is_training=false,keep_prob=1, or as JSON "
    'by name: {"weights": [1, 2]}. Explaining signatures fix them; in other signatures they are '
    "inputs with these defaults.",
)
INPUT_NAMES = flags.DEFINE_list(
    "input_names",
    None,
    "Names for the inputs of a .keras or .h5 file, in order. Keras names unnamed inputs with a "
    "counter, so their names change from export to export.",
)
DATA_FORMAT = flags.DEFINE_enum(
    "data_format",
    None,
    # As in tfgig.image.axes, whose import is that of TensorFlow.
    ["channels_last", "channels_first", "no_channels"],
    "The order of the axes of the model's images; no_channels means [B, height, width]. By default "
    "inferred from the graph.",
)
OP_LIBRARY = flags.DEFINE_multi_string(
    "op_library",
    [],
    "A shared library with operations that the model needs; may be repeated. It is code, and every "
    "server of the model needs it, too.",
)
ALLOW_UNSAFE_DESERIALIZATION = flags.DEFINE_boolean(
    "allow_unsafe_deserialization",
    False,
    "Run Python code stored in a .keras or .h5 file (Lambda layers). The code has all your "
    "permissions: use this only for files that you trust.",
)
NAMES = (
    "value_range",
    "data_format",
    "signature",
    "shape",
    "example",
    "constants",
    "input_names",
    "op_library",
    "allow_unsafe_deserialization",
)


def load(handle: str, layer: Sequence[str] | None = None) -> SourceModel:
    """The model of a handle, or of a shipped model's name, as the flags say."""
    with demonstration.located(handle) as path:
        return _loaded(path, options(layer), OP_LIBRARY.value)


def options(layer: Sequence[str] | None = None) -> LoadOptions:
    """What the flags say of how a model is loaded."""
    return LoadOptions(
        value_range=_range(),
        signature=SIGNATURE.value,
        shape=_shape(),
        layer=as_named(layer, "--layer"),
        allow_unsafe_deserialization=ALLOW_UNSAFE_DESERIALIZATION.value,
        example=None if EXAMPLE.value is None else read_example(EXAMPLE.value),
        constants=_constants(),
        input_names=INPUT_NAMES.value,
        data_format=cast(Any, DATA_FORMAT.value),
    )


def _loaded(path: str, how: LoadOptions, op_libraries: Sequence[str]) -> SourceModel:
    for library in op_libraries:
        command_line.load_op_library(library)
    return load_with(path, how)


@dataclasses.dataclass(frozen=True)
class Loader:
    """Loads a model on another machine as `load` does here; goes through pickle.

    Args:
        model: The model's file or directory, on its way there.
        how: From `options`.
        op_libraries: Shared libraries with operations, under paths that every machine sees.
    """

    model: Travelling
    how: LoadOptions = LoadOptions()
    op_libraries: Sequence[str] = ()

    def __call__(self) -> SourceModel:
        return _loaded(self.model.here(), self.how, self.op_libraries)


@contextlib.contextmanager
def elsewhere(handle: str, session: SparkSession | None) -> Iterator[Elsewhere | None]:
    """Where a session of Spark judges this model; None without one."""
    if session is None:
        yield None
        return
    from tfgig.bulk.spark import SparkWorkers, Travelling
    from tfgig.evaluation.running import Elsewhere

    with demonstration.located(handle) as path, SparkWorkers(session) as workers:
        model = Travelling.of(path, session)
        yield Elsewhere(workers, Loader(model, options(), OP_LIBRARY.value))


def _range() -> tuple[float, float] | None:
    """The value of --value_range; None if not given."""
    return command_line.numbers(VALUE_RANGE, float, "two numbers, such as 0,255", 2)


def _shape() -> Any:
    """The value of --shape: numbers, or lists of them by the inputs' names; None if not given."""
    text = SHAPE.value
    if text is None:
        return None
    try:
        found = json.loads(text if text.startswith("{") else f"[{text}]")
        shapes = found.values() if isinstance(found, dict) else [found]
        good = all(isinstance(shape, list) and all(map(is_whole, shape)) for shape in shapes)
    except json.JSONDecodeError:
        good = False
    if not good:
        raise ValueError(
            "--shape takes whole numbers, such as 224,224,3, or such lists by input name, "
            f'{{"image": [224, 224, 3]}}. Received: {text!r}.'
        )
    return found


def _constants() -> dict[str, Any] | None:
    """The value of --constants, by the names of inputs; None if not given."""
    text = CONSTANTS.value
    if text is None:
        return None
    try:
        if text.startswith("{"):
            return json.loads(text)
        pairs = [pair.split("=", 1) for pair in text.split(",")]
        return {name: _value(value) for name, value in pairs}
    except ValueError as error:  # no JSON, or no pair
        raise ValueError(
            "--constants takes values by input name, such as is_training=false, or JSON: "
            f'{{"is_training": false}}. Received: {text!r}.'
        ) from error


def _value(text: str) -> Any:
    """A number or a truth value as JSON writes it; else the text."""
    try:
        return json.loads(text.lower() if text in ("True", "False") else text)
    except json.JSONDecodeError:
        return text


def read_example(file: str) -> dict[str, Any]:
    """The rows in a .npz or .json file, by the names of the inputs.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it holds something else.
    """
    try:
        if file.endswith(".npz"):
            with np.load(file) as arrays:
                return dict(arrays)
        found = json.loads(pathlib.Path(file).read_text(encoding="utf-8"), object_hook=_bytes)
    except OSError:
        raise
    except Exception as error:  # whatever a file makes NumPy or JSON raise, it is the file's
        raise ValueError(f"--example cannot be read: {error}. Received: {file!r}.") from error
    if not isinstance(found, dict):
        raise ValueError(
            f'--example takes {{"input": [row, row], ...}}. Received: {file!r} with a '
            f"{type(found).__name__}."
        )
    return found


def _bytes(entry: dict[str, Any]) -> Any:
    return base64.b64decode(entry["b64"]) if set(entry) == {"b64"} else entry
