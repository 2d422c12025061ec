"""Keras 3 models as sources."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from numbers import Real
from typing import Any

import keras
import tensorflow as tf

from tfgig.models.source import SourceModel, model_outputs, resources_of

_DIFFERENTIABLE = ("float16", "bfloat16", "float32", "float64")
_COMMON_RANGES = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))


def from_keras(model: keras.Model, value_range: tuple[float, float] | None = None) -> SourceModel:
    """A built Keras model with one floating-point input as a source.

    Args:
        model: A functional, Sequential or subclassed model that knows its input.
        value_range: What is black and what is white in the input's units; None reads it off a
            leading `Rescaling` layer, where there is one.

    Raises:
        ValueError: the model is not built, has several inputs, or none that has a gradient.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "tfgig explains models that run on TensorFlow: set KERAS_BACKEND=tensorflow before "
            f"Keras is imported. Received: the backend {keras.backend.backend()!r}."
        )
    tensor = _single_input(model)
    points = tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, tensor.name)
    names = _output_names(model)

    def forward(inputs):
        with _without_cudnn(model):
            outputs = tf.nest.flatten(model(inputs, training=False))
        return model_outputs(dict(zip(names, outputs, strict=True)))

    return SourceModel(
        name=model.name,
        forward=tf.function(forward, autograph=False).get_concrete_function(points),
        points=points,
        signature_outputs=names,
        value_range=value_range or _range_of_rescaling(model),
        origin=model,
        resources=tuple(resources_of(model)),
    )


@contextlib.contextmanager
def _without_cudnn(model: keras.Model) -> Iterator[None]:
    """Traces recurrent layers without cuDNN's operations, which a server on a CPU lacks."""
    recurrent = [layer for layer in model._flatten_layers() if hasattr(layer, "use_cudnn")]
    before = [layer.use_cudnn for layer in recurrent]
    for layer in recurrent:
        layer.use_cudnn = False
    try:
        yield
    finally:
        for layer, value in zip(recurrent, before, strict=True):
            layer.use_cudnn = value


def _single_input(model: keras.Model) -> Any:
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise ValueError(
            "The model does not say what it takes. Wrap it: `inputs = keras.Input(shape); "
            "keras.Model(inputs, model(inputs))`. "
            f"Received: {type(model).__name__} {model.name!r}, which has no known input."
        )
    if len(inputs) > 1:
        raise ValueError(
            "Models with one input can be explained; fix the others in a wrapping model. "
            f"Received: {model.name!r} with the inputs {[tensor.name for tensor in inputs]}."
        )
    tensor = inputs[0]
    if tensor.dtype not in _DIFFERENTIABLE:
        raise ValueError(
            "A gradient needs a floating-point input. Cut the model behind its decoding, cast or "
            "embedding, and explain what comes out there. "
            f"Received: {model.name!r}, whose input {tensor.name!r} is {tensor.dtype}."
        )
    return tensor


def _output_names(model: keras.Model) -> dict[str, str]:
    """Keras's names of the outputs, in flattened order, and their names in `model.export`."""
    structure = getattr(model, "_outputs_struct", None)
    if isinstance(structure, dict):
        return {name: name for name in sorted(structure)}
    names = getattr(model, "output_names", None) or ["output"]
    return {name: f"output_{index}" for index, name in enumerate(names)}


def _range_of_rescaling(model: keras.Model) -> tuple[float, float] | None:
    """The input range that a leading Rescaling maps to [0, 1], [-1, 1] or around 0."""
    for layer in model.layers:
        leading = isinstance(layer, keras.layers.Rescaling) and layer.input is model.inputs[0]
        scale, offset = getattr(layer, "scale", None), getattr(layer, "offset", None)
        if not leading or not isinstance(scale, Real) or not isinstance(offset, Real):
            continue
        for low, high in _COMMON_RANGES:
            scaled = (low * float(scale) + float(offset), high * float(scale) + float(offset))
            if any(_close(scaled, to) for to in ((0.0, 1.0), (-1.0, 1.0), (-0.5, 0.5))):
                return (low, high)
    return None


def _close(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return all(abs(a - b) < 1e-2 for a, b in zip(first, second, strict=True))
