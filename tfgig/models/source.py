"""The one form in which models are explained and exported."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

# The common base of tables, iterators and TensorFlow 1 initialisers has no public name.
from tensorflow.python.trackable.resource import CapturableResource

from tfgig.spec import check
from tfgig.targets import ModelOutputs

IMAGE_CHANNELS = (1, 3, 4)
_PASSING_ON = ("Identity", "Cast")
# By the operation's type, the logarithm of what it computes.
_LAST_ACTIVATIONS = {"Softmax": tf.nn.log_softmax, "Sigmoid": tf.math.log_sigmoid}


@dataclasses.dataclass(frozen=True)
class SourceModel:
    """A model with one differentiable input.

    Args:
        name: What to call it in messages.
        forward: The traced model: inputs [N, ...] to `ModelOutputs`. A concrete function, because
            a `tf.function` would be traced anew while an export is written.
        points: The input's name, dtype and shape [None, ...].
        signature_outputs: The model's output names and what its own export calls them.
        value_range: What is black and what is white in an image's units; None if not known.
        origin: The object that owns the weights, kept alive with this one.
        signatures: Other signatures of the model, by name: concrete functions, exported as they
            are.
        resources: What the functions need beside variables: lookup tables, asset files.
    """

    name: str
    forward: tf.types.experimental.ConcreteFunction
    points: tf.TensorSpec
    signature_outputs: dict[str, str]
    value_range: tuple[float, float] | None = None
    origin: Any = None
    signatures: Mapping[str, tf.types.experimental.ConcreteFunction] = dataclasses.field(
        default_factory=dict
    )
    resources: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.value_range is not None:
            check(
                len(self.value_range) == 2 and self.value_range[0] < self.value_range[1],
                "`value_range` is (black, white) in the model's input units, such as (0, 255).",
                self.value_range,
            )

    @property
    def takes_images(self) -> bool:
        """Whether the input is [None, height, width, 1, 3 or 4 channels]."""
        shape = self.points.shape
        return shape.rank == 4 and shape[-1] in IMAGE_CHANNELS


def model_outputs(values: dict[str, tf.Tensor]) -> ModelOutputs:
    """A model's outputs with the logits behind them; inside the graph that computes them."""
    logits: dict[str, tf.Tensor] = {}
    log_probabilities: dict[str, tf.Tensor] = {}
    for name, value in values.items():
        activation = _last_activation(value)
        if activation is not None:
            logits[name] = activation.inputs[0]
            log_probabilities[name] = _LAST_ACTIVATIONS[activation.type](
                tf.cast(logits[name], tf.float32)
            )
    return ModelOutputs(values, logits, log_probabilities)


def resources_of(origin: Any) -> Iterator[Any]:
    """The tables, assets and initialisers that a Keras model or a loaded object tracks."""
    for item in tf.train.TrackableView(origin).descendants():
        if isinstance(item, (CapturableResource, tf.saved_model.Asset)):
            yield item


def _last_activation(value: tf.Tensor) -> tf.Operation | None:
    """The softmax or sigmoid that computes a symbolic tensor, if one does."""
    operation = value.op
    while operation.type in _PASSING_ON:
        operation = operation.inputs[0].op
    return operation if operation.type in _LAST_ACTIVATIONS else None
