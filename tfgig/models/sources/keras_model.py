"""Keras 3 models as sources."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfgig.exported.signatures import SERVING_DEFAULT
from tfgig.models.graphs.constants import fixed_of
from tfgig.models.graphs.cut import Concrete, concrete
from tfgig.models.graphs.entry import Known, view_of
from tfgig.models.graphs.gradients import refuse_unservable
from tfgig.models.graphs.keras_cut import find, layers_of, survey
from tfgig.models.graphs.refusal import CannotExplain, check
from tfgig.models.graphs.shapes import with_shape
from tfgig.models.graphs.tensorflow_private import flat_layers
from tfgig.models.options import LoadOptions, Names
from tfgig.models.picture import range_of_image
from tfgig.models.source import Model, Served, SourceModel, model_outputs, resources_of
from tfgig.spec import nearest


def from_keras(model: keras.Model, options: LoadOptions = LoadOptions()) -> SourceModel:
    """A built Keras model as a source.

    Args:
        model: A functional, Sequential or subclassed model that knows its inputs.
        options: As for `load_model`.

    Raises:
        ValueError: the model is not built, takes what cannot be explained, has no such layer, or no
            gradient reaches what is to be explained.
    """
    if keras.backend.backend() != "tensorflow":
        raise CannotExplain(
            "tfgig explains models that run on TensorFlow: set KERAS_BACKEND=tensorflow before "
            f"Keras is imported. Received: the backend {keras.backend.backend()!r}."
        )
    where = f"the Keras model {model.name!r}"
    every = _renamed(_inputs_of(model), options.input_names, where)
    fixed = fixed_of(every, options.constants, {}, where)
    inputs = with_shape([spec for spec in every if spec.name not in fixed], options.shape, where)
    names = _output_names(model)

    def call_with_all(*values):
        with _without_cudnn(model):
            outputs = tf.nest.flatten(model(_structured(model, values), training=False))
        return model_outputs(dict(zip(names, outputs, strict=True)))

    def call(*values):
        given = iter(values)
        return call_with_all(
            *(
                tf.constant(fixed[spec.name], spec.dtype) if spec.name in fixed else next(given)
                for spec in every
            )
        )

    serve = _traced(call, inputs, where)
    finding = functools.partial(find, model, call, inputs)
    refuse_unservable(serve.graph, where)
    layers = [layer.name for _, layer in layers_of(model)]
    places = functools.cache(functools.partial(survey, model, call, inputs))
    known = Known(where, places, layers, options.example, options.data_format)
    view = view_of(serve, inputs, options.layer, finding, known)
    by_name = {spec.name: spec for spec in inputs}
    served = tuple(by_name.get(spec.name, spec) for spec in every)
    loaded = Model(
        name=model.name,
        inputs=inputs,
        serve=serve,
        served=Served(
            _traced(call_with_all, served, where) if fixed else serve,
            served,
            names,
            tuple(
                key
                for key, spec in zip(_keys_of(model), every, strict=False)
                if spec.name not in fixed
            ),
            defaults={SERVING_DEFAULT: fixed},
        ),
        value_range=options.value_range or range_of_image(serve, inputs, view.entry),
        origin=model,
        resources=tuple(resources_of(model)),
    )
    return SourceModel(loaded, view)


def _traced(call: Callable, inputs: Sequence[tf.TensorSpec], where: str) -> Concrete:
    """The model, traced; one of an open size may not be traced without one."""
    try:
        return concrete(call, *inputs)
    except TypeError as error:  # what TensorFlow raises where Python asks for a size
        opened = {spec.name: tuple(spec.shape) for spec in inputs if None in spec.shape[1:]}
        if not opened:
            raise
        raise CannotExplain(
            "The model needs the size of its input while it is traced, as UpSampling2D does, and "
            "that size is open. Give the size of one example: shape=(224, 224, 3) "
            f"(--shape=224,224,3). Received: {where} with {opened}."
        ) from error


@contextlib.contextmanager
def _without_cudnn(model: keras.Model) -> Iterator[None]:
    """Traces recurrent layers without cuDNN's operations, which a server on a CPU lacks."""
    recurrent = [layer for layer in flat_layers(model) if hasattr(layer, "use_cudnn")]
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
        raise CannotExplain(
            "The model has no defined input. Wrap it: `inputs = keras.Input(shape); "
            f"keras.Model(inputs, model(inputs))`. Received: {type(model).__name__} "
            f"{model.name!r}, which has no known input."
        )
    for tensor in inputs:
        if getattr(tensor, "sparse", False) or getattr(tensor, "ragged", False):
            raise CannotExplain(
                "Sparse and ragged inputs cannot be explained; wrap the model so that it takes "
                f"dense inputs. Received: {model.name!r} with the input {tensor.name!r}."
            )
    for layer in flat_layers(model):
        if getattr(layer, "stateful", False):
            raise CannotExplain(
                "The score of a stateful layer depends on earlier calls; build the model with "
                f"stateful=False. Received: {layer.name!r}."
            )
    return tuple(tf.TensorSpec(tensor.shape, tensor.dtype, tensor.name) for tensor in inputs)


def _renamed(
    inputs: Sequence[tf.TensorSpec], names: Names | None, where: str
) -> tuple[tf.TensorSpec, ...]:
    """The inputs under other names."""
    if names is None:
        return tuple(inputs)
    old = [str(spec.name) for spec in inputs]
    if isinstance(names, Mapping):
        for name in names:
            check(name in old, f"The model has no input of this name. {nearest(name, old)}", name)
        new = [names.get(name, name) for name in old]
    else:
        new = [names] if isinstance(names, str) else list(names)
    check(
        len(new) == len(old) == len(set(new)) and all(isinstance(name, str) for name in new),
        f"`input_names` needs one unique name for each input of {where}; the inputs are "
        f"{', '.join(old)}.",
        names,
    )
    return tuple(
        tf.TensorSpec(spec.shape, spec.dtype, name) for spec, name in zip(inputs, new, strict=True)
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
