"""The layers of Keras models: their outputs are found while the model is traced."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfgig.models.graphs.cut import Concrete, concrete
from tfgig.models.graphs.places import Survey
from tfgig.models.graphs.refusal import CannotExplain, check
from tfgig.models.graphs.ways import inputs_of, ways_of, with_rows
from tfgig.spec import nearest

_CALLS = ("call", "quantized_call")


def find(
    model: keras.Model, call: Callable, inputs: Sequence[tf.TensorSpec], names: Sequence[str]
) -> tuple[Concrete, list[list[tf.Tensor]], list[str]]:
    """The outputs of layers, call by call, each apart from what it may hand on as it is.

    Args:
        model: The model.
        call: Its inputs to `ModelOutputs`.
        inputs: What it takes.
        names: Of the layers, or their paths in nested models.

    Returns:
        The model, traced; for each layer the tensors in its graph; and what layers are called.

    Raises:
        ValueError: there is no such layer, or it is called in a loop, or has several outputs.
    """
    layers = [_layer_of(model, name) for name in names]
    check(len({id(layer) for layer in layers}) == len(layers), "One layer is named twice.", names)
    found: list[list[Any]] = [[] for _ in layers]

    def marking(outputs):
        def marked(method, *arguments, **options):
            output = method(*arguments, **options)
            if tf.is_tensor(output):
                # Keras hangs the mask on a layer's output; one that is made within the layer, as
                # that of a nested model is, has to go along.
                mask, output = getattr(output, "_keras_mask", None), tf.identity(output)
                if mask is not None:
                    output._keras_mask = mask
            outputs.append(output)
            return output

        return marked

    def trace(*values):
        with contextlib.ExitStack() as stack:
            for layer, outputs in zip(layers, found, strict=True):
                stack.enter_context(_calling(layer, marking(outputs)))
            return call(*values)

    traced = concrete(trace, *inputs)
    tensors = [
        _one_each(layer, outputs, traced.graph)
        for layer, outputs in zip(layers, found, strict=True)
    ]
    short = [layer.name for layer in layers]
    return traced, tensors, short if len(set(short)) == len(short) else list(names)


def _outputs_of_calls(
    call: Callable, values: Sequence[tf.Tensor], layers: Sequence[keras.layers.Layer]
) -> list[list[Any]]:
    """What each of the layers returns, call by call, while the model is traced."""
    found: list[list[Any]] = [[] for _ in layers]

    def watching(outputs):
        def watched(method, *arguments, **options):
            outputs.append(method(*arguments, **options))
            return outputs[-1]

        return watched

    with contextlib.ExitStack() as stack:
        for layer, outputs in zip(layers, found, strict=True):
            stack.enter_context(_calling(layer, watching(outputs)))
        call(*values)
    return found


@contextlib.contextmanager
def _calling(layer: keras.layers.Layer, function: Callable) -> Iterator[None]:
    """Has a layer call `function(its own method, *arguments)` in the place of its own method."""
    own = {name: getattr(layer, name) for name in _CALLS if hasattr(layer, name)}
    try:
        for name, method in own.items():
            layer.__dict__[name] = functools.partial(function, method)
        yield
    finally:
        for name in own:
            layer.__dict__.pop(name, None)


def _one_each(layer: keras.layers.Layer, found: Sequence[Any], graph: tf.Graph) -> list[tf.Tensor]:
    """The output of each call of a layer."""
    inside = [output for output in found if not tf.is_tensor(output) or output.graph is not graph]
    if found and not inside:
        return list(found)
    if not found:
        why = "the model does not call it"
    elif tf.is_tensor(inside[0]):
        why = "it is called in a loop or a branch"
    else:
        why = f"it has {len(tf.nest.flatten(inside[0]))} outputs"
    raise CannotExplain(
        f"`layer` must be called outside of loops and have one output; {why}. Received: "
        f"layer={layer.name!r}."
    )


def survey(
    model: keras.Model, call: Callable, inputs: Sequence[tf.TensorSpec], output: str | None
) -> Survey:
    """The places of a model: the outputs of its layers that are called once.

    Args:
        model, call, inputs: As for `find`.
        output: The name of the explained output; None for the first.
    """
    every = dict(layers_of(model))
    layers = list({id(layer): layer for layer in every.values()}.values())
    found: list[list[Any]] = []

    def trace(*values):
        outputs: list[Any] = []
        found.extend(_outputs_of_calls(lambda *v: outputs.append(call(*v)), values, layers))
        return outputs[0]

    traced = concrete(trace, *with_rows(inputs))
    once = {
        id(layer): outputs[0]
        for layer, outputs in zip(layers, found, strict=True)
        if len(outputs) == 1
        and isinstance(outputs[0], tf.Tensor)  # ragged and sparse ones are no places
        and outputs[0].graph is traced.graph
    }
    names: dict[str, str] = {}
    for path, layer in every.items():
        if id(layer) in once:
            names.setdefault(once[id(layer)].name, path)
    given = inputs_of(traced, inputs)
    return Survey(
        ways_of(traced, list(given.values()), output),
        given,
        lambda tensor: names.get(tensor.name),
        lambda name: once.get(id(_layer_of(model, name))),
    )


def layers_of(outer: keras.layers.Layer, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All layers by their paths: "block", and what is inside of it as "block/convolution"."""
    for layer in outer._layers:
        yield f"{prefix}{layer.name}", layer
        yield from layers_of(layer, f"{prefix}{layer.name}/")


def _layer_of(model: keras.Model, name: str) -> keras.layers.Layer:
    """The layer of a path or, if there is one such only, of a name."""
    layers = dict(layers_of(model))
    if name in layers:
        return layers[name]
    inner = {path: layer for path, layer in layers.items() if path.endswith(f"/{name}")}
    if not inner:
        hint = nearest(name, layers)
        raise CannotExplain(
            f"The model has no layer of this name. {hint} Received: layer={name!r}."
        )
    if len({id(layer) for layer in inner.values()}) > 1:
        raise CannotExplain(
            f"Several inner layers have this name: {', '.join(inner)}. Give the full name of one. "
            f"Received: layer={name!r}."
        )
    return next(iter(inner.values()))
