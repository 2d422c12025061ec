"""The one form in which models are explained and exported."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfgig.models.graphs.cut import Cut
from tfgig.models.graphs.entry import View
from tfgig.models.graphs.tensorflow_private import capturable_resource, flat_layers
from tfgig.models.picture import Picture, picture_of
from tfgig.spec import Named, check
from tfgig.targets import ModelOutputs

_PASSING_ON = ("Identity", "Cast")
# By the operation's type, the logarithm of what it computes.
_LAST_ACTIVATIONS = {"Softmax": "log_softmax", "Sigmoid": "log_sigmoid"}  # of tf.math


class Served(NamedTuple):
    """A model as its owner serves it.

    Args:
        serve: Its inputs to `ModelOutputs`.
        inputs: What it takes.
        output_names: Its output names and what its own export calls them.
        keys: The names of the inputs in Python, if different.
        signatures: Other signatures of the model, by name: concrete functions, exported as they
            are.
        defaults: The inputs of signatures that may be left out, and their values, by the names of
            the signatures.
    """

    serve: tf.types.experimental.ConcreteFunction
    inputs: tuple[tf.TensorSpec, ...]
    output_names: dict[str, str]
    keys: tuple[str, ...] = ()
    signatures: Mapping[str, tf.types.experimental.ConcreteFunction] = MappingProxyType({})
    defaults: Mapping[str, Mapping[str, np.ndarray]] = MappingProxyType({})


@dataclasses.dataclass(frozen=True)
class Model:
    """A model, and what is known of it.

    Args:
        name: Its name in messages.
        inputs: What the explained model takes, each [None, ...].
        serve: Its inputs to `ModelOutputs`. A concrete function, because a `tf.function` would be
            traced anew while an export is written.
        served: The model as its owner serves it: where explanations take images, that may take
            files, or also `is_training`.
        value_range: The values of black and white in an image's units; None if unknown.
        labels: The class names, if known.
        origin: The object that owns the weights, kept alive with this one.
        resources: What the functions need besides variables: lookup tables, asset files.
        original: For models of encoded images: decodes one [] to float32 [height, width, 3] at
            its own size, in the model's units.
    """

    name: str
    inputs: tuple[tf.TensorSpec, ...]
    serve: tf.types.experimental.ConcreteFunction
    served: Served
    value_range: tuple[float, float] | None = None
    labels: tuple[str, ...] | None = None
    origin: Any = None
    resources: tuple[Any, ...] = ()
    original: Callable[[tf.Tensor], tf.Tensor] | None = None

    def __post_init__(self) -> None:
        if self.value_range is not None:
            check(
                len(self.value_range) == 2 and self.value_range[0] < self.value_range[1],
                "`value_range` must be (black, white) in the model's input units, such as (0, "
                "255).",
                self.value_range,
            )


@dataclasses.dataclass(frozen=True)
class SourceModel:
    """A model, and where it is explained.

    Args:
        model: The model.
        view: Where it is explained.
    """

    model: Model
    view: View

    @property
    def name(self) -> str:
        """The model's name in messages."""
        return self.model.name

    @property
    def inputs(self) -> tuple[tf.TensorSpec, ...]:
        """What the explained model takes, each [None, ...]."""
        return self.model.inputs

    @property
    def cut(self) -> Cut:
        """The explained tensors, what is in front of them and what is behind."""
        return self.view.cut

    @property
    def value_range(self) -> tuple[float, float] | None:
        """The values of black and white in an image's units; None if unknown."""
        return self.model.value_range

    @functools.cached_property
    def picture(self) -> Picture | None:
        """The image that explanations are drawn over; None if there is none."""
        return picture_of(self.view)

    @property
    def takes_images(self) -> bool:
        """Whether there is a picture to draw over."""
        return self.picture is not None

    def with_labels(self, labels: Sequence[str]) -> SourceModel:
        """The same model with class names, which an export includes.

        Raises:
            ValueError: no output has as many classes.
        """
        outputs = self.model.serve.structured_outputs.values
        classes = [value.shape[-1] for value in outputs.values() if value.shape.rank]
        check(
            len(labels) in classes or None in classes,
            f"Each class needs a label; the model has {classes} classes.",
            f"{len(labels)} labels",
        )
        return self._with(labels=tuple(labels))

    def with_value_range(self, value_range: tuple[float, float]) -> SourceModel:
        """The same model with other values of black and white in an image's units.

        Raises:
            ValueError: they are not two, or black is not below white.
        """
        return self._with(value_range=value_range)

    def kept_with(self, owner: Any) -> SourceModel:
        """The same model, which keeps another object alive as well, such as its files."""
        return self._with(origin=Kept((self.model.origin, owner)))

    def at(self, layer: Named) -> SourceModel:
        """The same model, explained at layers or inputs; None: the last layer of positions.

        Raises:
            ValueError: the layer does not exist, or the output does not depend on it.
        """
        return dataclasses.replace(self, view=self.view.at(layer))

    def _with(self, **changes: Any) -> SourceModel:
        return dataclasses.replace(self, model=dataclasses.replace(self.model, **changes))


@dataclasses.dataclass(frozen=True)
class Kept:
    """Keeps objects alive, which functions do not do for their variables.

    Wrapped, so that no Keras layer takes them for its own.
    """

    objects: Any


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
