"""The one form in which models are explained and exported."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfgig.image.axes import (
    CHANNELS,
    DataFormat,
    as_picture,
    looks_channels_first,
    picture_shape,
)
from tfgig.models.graphs.cut import Cut
from tfgig.models.graphs.places import Survey
from tfgig.models.graphs.tensorflow_private import capturable_resource, flat_layers
from tfgig.models.graphs.units import range_of
from tfgig.spec import Named, as_named, check
from tfgig.targets import ModelOutputs

_PASSING_ON = ("Identity", "Cast")
# By the operation's type, the logarithm of what it computes.
_LAST_ACTIVATIONS = {"Softmax": "log_softmax", "Sigmoid": "log_sigmoid"}  # of tf.math


class Served(NamedTuple):
    """A model as its owner serves it.

    Args:
        serve: Its inputs to `ModelOutputs`.
        inputs: What it takes.
    """

    serve: tf.types.experimental.ConcreteFunction
    inputs: tuple[tf.TensorSpec, ...]


@dataclasses.dataclass(frozen=True)
class SourceModel:
    """A model, and where it is explained.

    Args:
        name: Its name in messages.
        inputs: The explained model's inputs, each [None, ...], by name.
        serve: The model: its inputs to `ModelOutputs`. A concrete function, because a
            `tf.function` would be traced anew while an export is written.
        cut: The explained tensors: the inputs, what is decoded from them, or an inner layer.
        signature_outputs: The model's output names and what its own export calls them.
        value_range: The values of black and white in an image's units; None if unknown.
        origin: The object that owns the weights, kept alive with this one.
        signatures: Other signatures of the model, by name: concrete functions, exported as they
            are.
        resources: What the functions need besides variables: lookup tables, asset files.
        entry: The cut at the inputs, whose pictures heat-maps are drawn over; None if the model
            takes nothing that could be explained.
        cut_at: The cut at layers or inputs, by their names; for None, at the last layer with a
            height and a width.
        originals: For models of encoded images: decodes one [] to float32 [height, width, 3] at
            its own size, in the model's units.
        labels: The class names, if known.
        keys: The names of the inputs in Python, if different.
        own: The model as its owner serves it, where it takes other inputs than what is explained:
            images and not files, or also `is_training`.
        defaults: The inputs of signatures that may be left out, and their values, by the names of
            the signatures.
        layer: The names of the layers or inputs that it is cut at; None for its inputs.
        survey: The places at which it can be explained, by the name of the explained output.
    """

    name: str
    inputs: tuple[tf.TensorSpec, ...]
    serve: tf.types.experimental.ConcreteFunction
    cut: Cut
    signature_outputs: dict[str, str]
    value_range: tuple[float, float] | None = None
    origin: Any = None
    signatures: Mapping[str, tf.types.experimental.ConcreteFunction] = dataclasses.field(
        default_factory=dict
    )
    resources: tuple[Any, ...] = ()
    entry: Cut | None = None
    cut_at: Callable[[Named], Cut] | None = None
    originals: Callable[[tf.Tensor], tf.Tensor] | None = None
    labels: tuple[str, ...] | None = None
    keys: tuple[str, ...] = ()
    own: Served | None = None
    defaults: Mapping[str, Mapping[str, np.ndarray]] = dataclasses.field(default_factory=dict)
    layer: Named = None
    survey: Callable[[str | None], Survey] | None = None

    def __post_init__(self) -> None:
        if self.value_range is not None:
            check(
                len(self.value_range) == 2 and self.value_range[0] < self.value_range[1],
                "`value_range` must be (black, white) in the model's input units, such as (0, "
                "255).",
                self.value_range,
            )

    @property
    def served(self) -> Served:
        """The model as its owner serves it."""
        return Served(self.serve, self.inputs) if self.own is None else self.own

    @property
    def at_inputs(self) -> bool:
        """Whether it is cut at the inputs, and not at a layer."""
        return self.cut is self.entry

    @property
    def points(self) -> tf.TensorSpec:
        """What is explained, [None, ...]."""
        return self.cut.points

    @property
    def forward(self) -> tf.types.experimental.ConcreteFunction:
        """`(points [N, ...], *context)` to `ModelOutputs`."""
        return self.cut.forward

    @property
    def takes_images(self) -> bool:
        """Whether there is a picture, [None, height, width, 1, 3 or 4 channels], to draw over."""
        return self._image is not None

    @property
    def picture_spec(self) -> tf.TensorSpec | None:
        """The spec of the picture as it is explained; None if there is none."""
        if self._image is None:
            return None
        index, entry = self._image
        return entry.explained[index]

    @property
    def data_format(self) -> DataFormat:
        """Which axes of the picture are what, for models of images."""
        index, entry = self._image  # type: ignore[misc]
        return entry.format_of(index) or "channels_last"

    def picture(self, *inputs: tf.Tensor) -> tf.Tensor:
        """The picture [B, height, width, channels] in the inputs, for models of images."""
        index, entry = self._image  # type: ignore[misc]
        points, *_ = entry.front(*inputs)
        return as_picture(entry.unpack(points)[index], self.data_format)

    def drawn(self, cut: Cut) -> tuple[str, DataFormat]:
        """The name of the attributions at a cut that are drawn over the picture, and their axes."""
        index, entry = self._image  # type: ignore[misc]
        picture = entry.explained[index]
        at = cut.explained.index(picture) if picture in cut.explained else 0
        return cut.attribution_names[at], cut.format_of(at) or "channels_last"

    @property
    def _image(self) -> tuple[int, Cut] | None:
        """The place of the only image among what the entry explains."""
        if self.entry is None:
            return None
        specs = self.entry.explained
        images = [
            index
            for index in range(len(specs))
            if len(shape := _shape_of(self.entry, index)) == 4 and shape[-1] in CHANNELS
        ]
        if len(images) != 1:
            return None
        is_drawn = self.at_inputs or self.points.shape.rank == 4
        is_drawn = is_drawn or specs[images[0]] in self.cut.explained
        return (images[0], self.entry) if is_drawn else None

    def with_labels(self, labels: Sequence[str]) -> SourceModel:
        """The same model with class names, which an export includes.

        Raises:
            ValueError: no output has as many classes.
        """
        outputs = self.serve.structured_outputs.values
        classes = [value.shape[-1] for value in outputs.values() if value.shape.rank]
        check(
            len(labels) in classes or None in classes,
            f"Each class needs a label; the model has {classes} classes.",
            f"{len(labels)} labels",
        )
        return dataclasses.replace(self, labels=tuple(labels))

    def at(self, layer: Named) -> SourceModel:
        """The same model, explained at layers or inputs; None: the last layer of positions.

        Raises:
            ValueError: the layer does not exist, or the output does not depend on it.
        """
        check(self.cut_at is not None, "This model has no layers to explain.", self.name)
        layer = as_named(layer, "`layer`")
        return dataclasses.replace(self, cut=self.cut_at(layer), layer=layer)  # type: ignore[misc]


def range_of_image(
    serve: tf.types.experimental.ConcreteFunction,
    inputs: Sequence[tf.TensorSpec],
    entry: Cut | None,
) -> tuple[float, float] | None:
    """What is black and white in the only image among a model's inputs, if its graph tells it."""
    images = [spec.name for spec in inputs if _is_image(spec, entry)]
    return range_of(serve, inputs, images[0]) if entry is not None and len(images) == 1 else None


def _is_image(spec: tf.TensorSpec, entry: Cut | None) -> bool:
    at = entry.explained.index(spec) if entry is not None and spec in entry.explained else None
    shape = _shape_of(entry, at) if entry is not None and at is not None else spec.shape
    if looks_channels_first(spec.shape):
        return True
    return len(shape) == 4 and shape[-1] in CHANNELS


def _shape_of(entry: Cut, index: int) -> Sequence[int | None]:
    """[B, height, width, channels] of a picture that is explained; of what is none, its shape."""
    shape, data_format = entry.explained[index].shape, entry.format_of(index)
    return shape if data_format is None else picture_shape(shape.as_list(), data_format)


def model_outputs(values: dict[str, tf.Tensor]) -> ModelOutputs:
    """A model's outputs with the logits behind them; inside the graph that computes them."""
    logits: dict[str, tf.Tensor] = {}
    log_probabilities: dict[str, tf.Tensor] = {}
    for name, value in values.items():
        activation = _last_activation(value)
        if activation is not None:
            logits[name] = activation.inputs[0]
            logarithm = getattr(tf.math, _LAST_ACTIVATIONS[activation.type])
            log_probabilities[name] = logarithm(tf.cast(logits[name], tf.float32))
    return ModelOutputs(values, logits, log_probabilities)


def resources_of(origin: Any) -> Iterator[Any]:
    """The tables, assets and initialisers that a Keras model or a loaded object holds."""
    roots = [origin]
    if isinstance(origin, keras.layers.Layer):
        # Keras keeps its own account of lists and dictionaries, where TensorFlow does not look.
        roots += [item for layer in flat_layers(origin) for item in _held(vars(layer))]
    found: dict[int, Any] = {}
    for root in roots:
        for item in tf.train.TrackableView(root).descendants():
            if isinstance(item, (capturable_resource(), tf.saved_model.Asset)):
                found[id(item)] = item
    yield from found.values()


def _held(value: Any) -> Iterator[Any]:
    """The resources and modules in lists and dictionaries, however deep."""
    if isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _held(item)
    elif isinstance(value, (capturable_resource(), tf.Module)):
        yield value


def _last_activation(value: tf.Tensor) -> tf.Operation | None:
    """The softmax or sigmoid that computes a symbolic tensor, if one does."""
    operation = value.op
    while operation.type in _PASSING_ON:
        operation = operation.inputs[0].op
    return operation if operation.type in _LAST_ACTIVATIONS else None
