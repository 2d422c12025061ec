"""Cuts at the layers of Keras models: a layer's output is replaced while the model is traced."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfgig.models.graphs.cut import Cut, concrete, cut_behind
from tfgig.models.graphs.inlining import needed_for
from tfgig.models.graphs.places import Survey
from tfgig.models.graphs.refusal import CannotExplain, check
from tfgig.models.graphs.ways import inputs_of, ways_of, with_rows
from tfgig.spec import nearest

_CALLS = ("call", "quantized_call")


def cut_at_layer(
    model: keras.Model, call: Callable, inputs: Sequence[tf.TensorSpec], name: str | None
) -> Cut:
    """The cut at the output of a layer, which is put in its place while the model is traced.

    So masks go on: they are computed beside the output, from the inputs.
    """
    layer = _last_spatial(model, call, inputs) if name is None else _layer_of(model, name)

    def front(*values):
        return [_only_output(layer, _outputs_of_calls(call, values, [layer])[0])]

    tensor = concrete(front, *inputs).structured_outputs[0]
    explained = tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, layer.name)

    def forward(tensors, *values):
        def stand_in(method, *arguments, **options):
            # A new tensor, for Keras hangs the mask on it: that of the layer's own output, if it
            # is made within the layer, as that of a nested model is.
            mask = getattr(method(*arguments, **options), "_keras_mask", None)
            output = tf.identity(tensors[0])
            if mask is not None:
                output._keras_mask = mask
            return output

        with _calling(layer, stand_in):
            return call(*values)

    return cut_behind((explained,), front, forward, inputs)


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


def _only_output(layer: keras.layers.Layer, found: Sequence[Any]) -> tf.Tensor:
    graph = tf.compat.v1.get_default_graph()
    if len(found) == 1 and tf.is_tensor(found[0]) and found[0].graph is graph:
        return found[0]
    if len(found) != 1:
        why = f"it is called {len(found)} times in the model"
    elif tf.is_tensor(found[0]):
        why = "it is called in a loop or a branch"
    else:
        why = f"it has {len(tf.nest.flatten(found[0]))} outputs"
    raise CannotExplain(
        f"`layer` is one that is called once, outside of loops, and has one output; {why}. "
        f"Received: layer={layer.name!r}."
    )


def survey(
    model: keras.Model, call: Callable, inputs: Sequence[tf.TensorSpec], output: str | None
) -> Survey:
    """The places of a model: the outputs of its layers that are called once.

    Args:
        model, call, inputs: As for `cut_at_layer`.
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
        raise CannotExplain(f"The model has no such layer. {hint} Received: layer={name!r}.")
    if len({id(layer) for layer in inner.values()}) > 1:
        raise CannotExplain(
            f"Several inner layers have this name: {', '.join(inner)}. Name one of them whole. "
            f"Received: layer={name!r}."
        )
    return next(iter(inner.values()))


def _last_spatial(
    model: keras.Model, call: Callable, inputs: Sequence[tf.TensorSpec]
) -> keras.layers.Layer:
    """The last layer with a height and a width that the classes, or else any output, come from."""
    layers = [layer for _, layer in layers_of(model) if not list(layer._layers)]
    layers = list({id(layer): layer for layer in layers}.values())
    chosen: list[keras.layers.Layer] = []

    def trace(*values):
        results: list[tf.Tensor] = []
        found = _outputs_of_calls(
            lambda *given: results.extend(call(*given).values.values()), values, layers
        )
        single = [(layer, o[0]) for layer, o in zip(layers, found, strict=True) if len(o) == 1]
        chosen.extend(_spatial(single, results))
        return results

    concrete(trace, *inputs)
    check(
        len(chosen) > 0,
        "The model has no layer with a height and a width; name one with layer=...",
        model.name,
    )
    return chosen[-1]


def _spatial(
    outputs: Sequence[tuple[keras.layers.Layer, Any]], results: Sequence[tf.Tensor]
) -> list[keras.layers.Layer]:
    """The layers with a height and a width that results are computed from, in their order."""
    classes = [result for result in results if result.shape.rank == 2]
    needed = needed_for(classes or results)
    operations = tf.compat.v1.get_default_graph().get_operations()
    order = {op.name: place for place, op in enumerate(operations) if op.name in needed}
    places = {
        order[output.op.name]: layer
        for layer, output in outputs
        if tf.is_tensor(output)
        and output.shape.rank == 4
        and 1 not in output.shape[1:3]
        and output.op.name in order
        and not any(output is result for result in results)
    }
    return [places[place] for place in sorted(places)]
