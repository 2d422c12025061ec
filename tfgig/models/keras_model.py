"""Keras 3 models as sources."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from numbers import Real
from typing import Any

import keras
import tensorflow as tf

from tfgig.models.cut import Cut, concrete, cut_behind
from tfgig.models.entry import cuts_of
from tfgig.models.inlining import needed_for
from tfgig.models.source import SourceModel, model_outputs, resources_of
from tfgig.spec import check, nearest

_COMMON_RANGES = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))
_CALLS = ("call", "quantized_call")


def from_keras(
    model: keras.Model,
    value_range: tuple[float, float] | None = None,
    layer: str | None = None,
) -> SourceModel:
    """A built Keras model as a source.

    Args:
        model: A functional, Sequential or subclassed model that knows its inputs.
        value_range: What is black and what is white in the input's units; None reads it off a
            leading `Rescaling` layer, where there is one.
        layer: Where it is explained: the name of a layer, of one in a nested model, or of an
            input; None for all float inputs, or what is decoded from them.

    Raises:
        ValueError: the model is not built, takes what cannot be explained, or has no such layer.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "tfgig explains models that run on TensorFlow: set KERAS_BACKEND=tensorflow before "
            f"Keras is imported. Received: the backend {keras.backend.backend()!r}."
        )
    inputs = _inputs_of(model)
    names = _output_names(model)

    def call(*values):
        with _without_cudnn(model):
            outputs = tf.nest.flatten(model(_structured(model, values), training=False))
        return model_outputs(dict(zip(names, outputs, strict=True)))

    serve = concrete(call, *inputs)
    cut_at_layer = functools.partial(_cut_at_layer, model, call, inputs)
    where = f"the Keras model {model.name!r}"
    layers = [layer.name for _, layer in _layers_of(model)]
    cuts = cuts_of(serve, inputs, layer, cut_at_layer, where, layers)
    return SourceModel(
        name=model.name,
        inputs=inputs,
        serve=serve,
        **cuts._asdict(),
        signature_outputs=names,
        value_range=value_range or _range_of_rescaling(model),
        origin=model,
        resources=tuple(resources_of(model)),
        keys=_keys_of(model),
        layer=layer,
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


def _inputs_of(model: keras.Model) -> tuple[tf.TensorSpec, ...]:
    """The model's inputs in its own order, by the names that its own export gives them."""
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise ValueError(
            "The model does not say what it takes. Wrap it: `inputs = keras.Input(shape); "
            "keras.Model(inputs, model(inputs))`. "
            f"Received: {type(model).__name__} {model.name!r}, which has no known input."
        )
    for tensor in inputs:
        if getattr(tensor, "sparse", False) or getattr(tensor, "ragged", False):
            raise ValueError(
                "Sparse and ragged inputs cannot be explained; wrap the model so that it takes "
                f"dense ones. Received: {model.name!r} with the input {tensor.name!r}."
            )
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False):
            raise ValueError(
                "A layer that keeps a state from call to call has no score of its own for an "
                f"input; build the model with stateful=False. Received: {layer.name!r}."
            )
    return tuple(
        tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, tensor.name) for tensor in inputs
    )


def _structured(model: keras.Model, values: Sequence[tf.Tensor]) -> Any:
    """Values as the model takes them: one tensor, a list, a dictionary."""
    structure = getattr(model, "_inputs_struct", model.inputs[0])
    return keras.tree.pack_sequence_as(structure, list(values))


def _keys_of(model: keras.Model) -> tuple[str, ...]:
    """The keys of a dictionary of inputs, in the order of `model.inputs`."""
    structure: Any = getattr(model, "_inputs_struct", None)
    return tuple(sorted(structure)) if _is_flat(structure) else ()


def _is_flat(structure: Any) -> bool:
    """Whether a structure is a dictionary of tensors, and of nothing deeper."""
    return isinstance(structure, dict) and len(keras.tree.flatten(structure)) == len(structure)


def _output_names(model: keras.Model) -> dict[str, str]:
    """Keras's names of the outputs, in flattened order, and their names in `model.export`."""
    structure: Any = getattr(model, "_outputs_struct", None)
    if _is_flat(structure):
        return {name: name for name in sorted(structure)}
    exported = [f"output_{i}" for i in range(len(keras.tree.flatten(structure)) or 1)]
    names = getattr(model, "output_names", None) or ["output"]
    if len(set(names)) != len(exported):  # one layer may have several outputs
        names = exported
    return dict(zip(names, exported, strict=True))


def _cut_at_layer(
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
    raise ValueError(
        f"`layer` is one that is called once, outside of loops, and has one output; {why}. "
        f"Received: layer={layer.name!r}."
    )


def _layers_of(outer: keras.layers.Layer, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All layers by their paths: "block", and what is inside of it as "block/convolution"."""
    for layer in outer._layers:
        yield f"{prefix}{layer.name}", layer
        yield from _layers_of(layer, f"{prefix}{layer.name}/")


def _layer_of(model: keras.Model, name: str) -> keras.layers.Layer:
    """The layer of a path or, if there is one such only, of a name."""
    layers = dict(_layers_of(model))
    if name in layers:
        return layers[name]
    inner = {path: layer for path, layer in layers.items() if path.endswith(f"/{name}")}
    if not inner:
        hint = nearest(name, layers)
        raise ValueError(f"The model has no such layer. {hint} Received: layer={name!r}.")
    if len({id(layer) for layer in inner.values()}) > 1:
        raise ValueError(
            f"Several inner layers have this name: {', '.join(inner)}. Name one of them whole. "
            f"Received: layer={name!r}."
        )
    return next(iter(inner.values()))


def _last_spatial(
    model: keras.Model, call: Callable, inputs: Sequence[tf.TensorSpec]
) -> keras.layers.Layer:
    """The last layer with a height and a width that the classes, or else any output, come from."""
    layers = [layer for _, layer in _layers_of(model) if not list(layer._layers)]
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


def _range_of_rescaling(model: keras.Model) -> tuple[float, float] | None:
    """The input range that a leading Rescaling maps to [0, 1], [-1, 1] or around 0."""
    for layer in model.layers:
        leading = isinstance(layer, keras.layers.Rescaling) and any(
            layer.input is tensor for tensor in model.inputs
        )
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
