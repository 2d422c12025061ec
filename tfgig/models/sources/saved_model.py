"""SavedModels of any age as sources: Keras 3, Keras 2, plain modules, TensorFlow 1."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfgig.exported.description import read_description
from tfgig.exported.signatures import SERVING_DEFAULT
from tfgig.models.graphs.constants import fixed_of, has_rows
from tfgig.models.graphs.cut import Concrete, concrete
from tfgig.models.graphs.entry import Known, View, view_of
from tfgig.models.graphs.gradients import refuse_unservable, unsaved_gradients
from tfgig.models.graphs.graph_find import find, survey
from tfgig.models.graphs.inlining import body_of, inline
from tfgig.models.graphs.refusal import CannotExplain
from tfgig.models.graphs.shapes import Shape, refuse_ragged, with_shape
from tfgig.models.options import LoadOptions
from tfgig.models.picture import range_of_image
from tfgig.models.source import Kept, Model, Served, SourceModel, model_outputs, resources_of
from tfgig.models.sources.archive import SUFFIXES
from tfgig.models.sources.opening import CALL, Opened, Signature, choose, defaults_of

_OWN = (SERVING_DEFAULT, CALL)  # an export writes these itself
_AXES_OF_SERIES = 2  # of one example: steps, features
_REFERENCES = ("Variable", "VariableV2")


def from_saved_model(opened: Opened, options: LoadOptions = LoadOptions()) -> SourceModel:
    """One signature of a SavedModel as a source; its other signatures go along.

    Args:
        opened: The SavedModel.
        options: As for `load_model`.

    Raises:
        ValueError: there is no such signature, or no gradient reaches what is to be explained;
            the error says where it ends.
    """
    chosen = choose(opened, options.signature)
    ours = read_description(opened.directory)
    if options.data_format is None and ours.data_format != "channels_last":
        options = dataclasses.replace(options, data_format=ours.data_format)
    found = explainable(opened, chosen, options)
    left_out = {chosen.name} & set(_OWN) | set(ours.endpoints)
    others = _others(opened.loaded, left_out, found.replaced)
    defaults = {name: defaults_of(opened, name) for name in others}
    for name, function in others.items():
        specs, _ = function.structured_input_signature
        same = {s.name: found.fixed[s.name] for s in specs if _takes(s, found.fixed)}
        defaults[name] = {**defaults[name], **same}
    defaults[SERVING_DEFAULT] = {**defaults_of(opened, chosen.name), **found.fixed}
    serve, inputs = found.served
    loaded = Model(
        name=_name(opened.handle),
        inputs=found.inputs,
        serve=found.serve,
        served=Served(
            serve,
            inputs,
            {name: name for name in found.serve.structured_outputs.values},
            signatures=others,
            defaults=defaults,
        ),
        value_range=options.value_range
        or ours.value_range
        or range_of_image(found.serve, found.inputs, found.view.entry),
        labels=ours.labels,
        origin=Kept((opened.loaded, found.replaced)),
        resources=tuple(resources_of(opened.loaded)),
    )
    return SourceModel(loaded, found.view)


class Explainable(NamedTuple):
    """A signature that can be explained: its inputs, its function, and where it is cut."""

    inputs: tuple[tf.TensorSpec, ...]
    serve: Concrete
    view: View
    replaced: dict[str, tf.Variable]  # TensorFlow 1's variables, by ones that can be saved
    fixed: dict[str, np.ndarray]
    # With the inputs that explanations fix.
    served: tuple[Concrete, tuple[tf.TensorSpec, ...]]


def explainable(
    opened: Opened, signature: Signature, options: LoadOptions = LoadOptions()
) -> Explainable:
    """A signature, laid out and cut.

    Raises:
        ValueError: it cannot be explained.
    """
    where = f"the signature {signature.name!r} of {opened.handle!r}"
    every = _named(signature)
    fixed = fixed_of(every, options.constants, defaults_of(opened, signature.name), where)
    named = [spec for spec in every if spec.name not in fixed]
    refuse_ragged(_traced(signature, every), every, where)
    inputs = _inputs(named, options.shape, where)
    function = _traced(signature, inputs, fixed)
    # Before the layout, which gives custom gradients other names.
    refuse_unservable(function.graph, where, unsaved_gradients(opened.meta_graph.graph_def))
    replaced = _references(function, opened.loaded)

    def laid_out(*values):
        return model_outputs(_by_name(inline(function, values, replaced)))

    def called(*values):
        return model_outputs(_by_name(function(*values)))

    # Where the layout loses a gradient, the call may have it, if without the logits.
    refusals = []
    for forward in (laid_out,) if replaced else (laid_out, called):
        serve = concrete(forward, *inputs)
        finding = functools.partial(find, serve, where)
        places = functools.cache(functools.partial(survey, serve, inputs))
        try:
            known = Known(where, places, example=options.example, data_format=options.data_format)
            view = view_of(serve, inputs, options.layer, finding, known)
        except CannotExplain as error:
            refusals.append(error)
            continue
        served = _served(signature, every, inputs, replaced) if fixed else (serve, inputs)
        return Explainable(inputs, serve, view, replaced, fixed, served)
    raise refusals[0]


def _named(signature: Signature) -> tuple[tf.TensorSpec, ...]:
    """What the signature takes, in the order of their names."""
    return tuple(
        tf.TensorSpec(spec.shape, spec.dtype, name)
        for name, spec in sorted(signature.inputs.items())
    )


def _inputs(
    named: Sequence[tf.TensorSpec], shape: Shape | None, where: str
) -> tuple[tf.TensorSpec, ...]:
    """The same, each [None, ...], as the user has them."""
    inputs = with_shape(named, shape, where)
    for spec in inputs:
        open_axes = spec.shape.rank is None or (
            spec.dtype.is_floating and (spec.shape.rank < 2 or None in _fixed_axes(spec))
        )
        if open_axes:
            raise CannotExplain(
                "The shape of the input must be known except for the batch. Give the shape of one "
                f"example: {_advice(inputs)}. Received: {where}, {spec.name!r} of shape "
                f"{spec.shape}."
            )
    return inputs


def _fixed_axes(spec: tf.TensorSpec) -> list[int | None]:
    """The axes whose size must be known; the length of a series [B, steps, features] need not."""
    axes = spec.shape.as_list()[1:]
    return axes[1:] if len(axes) <= _AXES_OF_SERIES else axes


def _advice(inputs: Sequence[tf.TensorSpec]) -> str:
    if len(inputs) == 1:
        return "shape=(224, 224, 3) (--shape=224,224,3)"
    name = inputs[0].name
    flag = f'--shape={{"{name}": [224, 224, 3]}}'
    return f"shape={{{name!r}: (224, 224, 3), ...}} ({flag})"


def _traced(
    signature: Signature,
    inputs: Sequence[tf.TensorSpec],
    fixed: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> Concrete:
    dtypes = {name: spec.dtype for name, spec in signature.inputs.items()}

    def call(*values):
        given = {spec.name: v for spec, v in zip(inputs, values, strict=True)}
        constants = {name: tf.constant(value, dtypes[name]) for name, value in fixed.items()}
        return signature.call(**given, **constants)

    return concrete(call, *inputs)


def _served(
    signature: Signature,
    every: Sequence[tf.TensorSpec],
    inputs: Sequence[tf.TensorSpec],
    replaced: dict[str, tf.Variable],
) -> tuple[Concrete, tuple[tf.TensorSpec, ...]]:
    """The model with all of its inputs, where explanations fix some."""
    known = {spec.name: spec for spec in inputs}
    specs = tuple(known.get(spec.name, spec) for spec in every)
    function = _traced(signature, specs)

    def laid_out(*values):
        return model_outputs(_by_name(inline(function, values, replaced)))

    return concrete(laid_out, *specs), specs


def _takes(spec: tf.TensorSpec, fixed: Mapping[str, np.ndarray]) -> bool:
    """Whether what is fixed elsewhere may be left out here."""
    value = fixed.get(spec.name)
    if value is None or has_rows(spec) or not spec.shape.is_compatible_with(value.shape):
        return False
    return tf.as_dtype(value.dtype if value.dtype != object else tf.string) == spec.dtype


def _by_name(outputs: Any) -> dict[str, tf.Tensor]:
    """Outputs by name, as a SavedModel's signature would name them."""
    if isinstance(outputs, dict):
        return dict(outputs)
    return {f"output_{index}": value for index, value in enumerate(tf.nest.flatten(outputs))}


def _references(function: Any, loaded: Any) -> dict[str, tf.Variable]:
    """Variables that can be saved, for the TensorFlow 1 reference variables of a function.

    Those live in the session's memory, not in Python: saved again, they would be empty.
    """
    names = [op.name for op in body_of(function)[0].get_operations() if op.type in _REFERENCES]
    if not names:
        return {}
    with loaded.graph.as_default():  # a function cannot return a reference, but a copy of it
        copies = [tf.identity(loaded.graph.get_tensor_by_name(f"{name}:0")) for name in names]
    values = loaded.prune([], copies)()
    return {
        name: tf.Variable(value, trainable=False, name=name.replace("/", "_"))
        for name, value in zip(names, values, strict=True)
    }


def _others(
    loaded: Any, left_out: Iterable[str], replaced: dict[str, tf.Variable]
) -> dict[str, tf.types.experimental.ConcreteFunction]:
    """The functions of the other signatures, with their own names of inputs and outputs."""
    return {
        name: _kept_signature(function, loaded, replaced)
        for name, function in loaded.signatures.items()
        if name not in left_out
    }


def _kept_signature(
    function: Any, loaded: Any, replaced: dict[str, tf.Variable]
) -> tf.types.experimental.ConcreteFunction:
    _, specs = function.structured_input_signature
    names = sorted(specs)
    in_order = [tf.TensorSpec(specs[name].shape, specs[name].dtype, name) for name in names]

    def call(*values):
        return function(**dict(zip(names, values, strict=True)))

    traced = tf.function(call, autograph=False).get_concrete_function(*in_order)
    for name, variable in _references(traced, loaded).items():
        replaced.setdefault(name, variable)
    laid_out = tf.function(lambda *values: inline(traced, values, replaced), autograph=False)
    return laid_out.get_concrete_function(*in_order)


def _name(handle: str) -> str:
    """The last part of a path or an address that is neither a version nor a suffix."""
    parts = [part for part in handle.partition("?")[0].split("/") if part and not part.isdigit()]
    name = parts[-1] if parts else "model"
    suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")
    return name.removesuffix(suffix)
