"""SavedModels of any age as sources: Keras 3, Keras 2, plain modules, TensorFlow 1."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from tfgig.models.archive import SUFFIXES
from tfgig.models.gradients import check_gradient, refuse_unservable, unsaved_gradients
from tfgig.models.inlining import body_of, inline
from tfgig.models.loading import CALL, SERVING_DEFAULT, Opened, Signature, choose
from tfgig.models.source import SourceModel, model_outputs, resources_of
from tfgig.models.versions import description_of

_OWN = (SERVING_DEFAULT, CALL)  # an export writes these itself
_REFERENCES = ("Variable", "VariableV2")


def from_saved_model(
    opened: Opened,
    value_range: tuple[float, float] | None = None,
    signature: str | None = None,
    shape: Sequence[int] | None = None,
) -> SourceModel:
    """One signature of a SavedModel as a source; its other signatures go along.

    Args:
        opened: The SavedModel.
        value_range, signature, shape: As for `load_model`.

    Raises:
        ValueError: there is no such signature, or no gradient reaches its input; the error says
            where it ends.
    """
    chosen = choose(opened, signature)
    points, forward, replaced = forward_of(opened, chosen, shape)
    names = forward.structured_outputs.values
    ours = description_of(opened.directory)
    left_out = {chosen.name} & set(_OWN) | set(ours["endpoints"])
    others = _others(opened.loaded, left_out, replaced)
    return SourceModel(
        name=_name(opened.handle),
        forward=forward,
        points=points,
        signature_outputs={name: name for name in names},
        value_range=value_range or ours["value_range"],
        origin=Kept((opened.loaded, replaced)),
        signatures=others,
        resources=tuple(resources_of(opened.loaded)),
    )


def forward_of(
    opened: Opened, signature: Signature, shape: Sequence[int] | None
) -> tuple[tf.TensorSpec, Any, dict[str, tf.Variable]]:
    """A signature's input, its function of points, and the variables exchanged in it.

    Raises:
        ValueError: it cannot be explained.
    """
    where = f"the signature {signature.name!r} of {opened.handle!r}"
    points = _points(signature, shape, where)
    function = _traced(signature, points)
    # Before the layout, which gives custom gradients other names.
    refuse_unservable(function.graph, where, unsaved_gradients(opened.meta_graph.graph_def))
    replaced = _references(function, opened.loaded)

    def laid_out(inputs):
        return model_outputs(_by_name(inline(function, [inputs], replaced)))

    def called(inputs):
        return model_outputs(_by_name(function(inputs)))

    # Where the layout loses a gradient, the call may have it, if without the logits.
    refusals = []
    for forward in (laid_out,) if replaced else (laid_out, called):
        compiled = tf.function(forward, autograph=False).get_concrete_function(points)
        try:
            check_gradient(compiled, points, where)
        except ValueError as error:
            refusals.append(error)
            continue
        return points, compiled, replaced
    raise refusals[0]


@dataclasses.dataclass(frozen=True)
class Kept:
    """Keeps objects alive, which functions do not do for their variables.

    Wrapped, so that no Keras layer takes them for its own.
    """

    objects: Any


def _points(signature: Signature, shape: Sequence[int] | None, where: str) -> tf.TensorSpec:
    """The input that is explained: the only one, of floats, [None, ...]."""
    if len(signature.inputs) != 1:
        raise ValueError(
            "Signatures with one input can be explained; save one that fixes the others. "
            f"Received: {where} with the inputs {sorted(signature.inputs)}."
        )
    ((name, spec),) = signature.inputs.items()
    if not spec.dtype.is_floating:
        raise ValueError(
            f"A gradient needs a floating-point input, and {name!r} is {spec.dtype.name}. "
            f"{_behind(spec.dtype)} Received: {where}."
        )
    if spec.shape.rank is not None and spec.shape.rank > 0 and spec.shape[0] is not None:
        raise ValueError(
            "The first axis of the input is the batch and must be open, [None, ...]: a path "
            "needs many points at once. Save the signature with such a tf.TensorSpec. "
            f"Received: {where}, {name!r} of shape {spec.shape}."
        )
    wanted = spec.shape if shape is None else tf.TensorShape([None, *shape])
    if not spec.shape.is_compatible_with(wanted):
        raise ValueError(
            f"The input does not take this shape. Received: {tuple(wanted[1:])} for {where}, "
            f"{name!r} of shape {spec.shape}."
        )
    if wanted.rank is None or wanted.rank < 2 or None in wanted[1:]:
        raise ValueError(
            "The shape of the input must be known but for the batch. Give that of one example: "
            f"shape=(224, 224, 3) (--shape=224,224,3). Received: {where}, {name!r} of shape "
            f"{spec.shape}."
        )
    return tf.TensorSpec(wanted, spec.dtype, name)


def _behind(dtype: tf.DType) -> str:
    if dtype == tf.string:
        return "Save a signature that starts behind the parsing or decoding, at its floats."
    if dtype == tf.uint8:
        return "Save a signature that starts behind the cast: the same pixels as float32."
    return "Save a signature that starts behind the embedding or the cast."


def _traced(signature: Signature, points: tf.TensorSpec) -> Any:
    def call(inputs):
        return signature.call(**{points.name: inputs})

    return tf.function(call, autograph=False).get_concrete_function(points)


def _by_name(outputs: Any) -> dict[str, tf.Tensor]:
    """Outputs by name, as a SavedModel's signature would name them."""
    if isinstance(outputs, dict):
        return dict(outputs)
    return {f"output_{index}": value for index, value in enumerate(tf.nest.flatten(outputs))}


def _references(function: Any, loaded: Any) -> dict[str, tf.Variable]:
    """Variables that can be saved, for the TensorFlow 1 reference variables of a function.

    Those live in the session's memory, not in Python: saved again, they would be empty.
    """
    names = [op.name for op in body_of(function.graph).get_operations() if op.type in _REFERENCES]
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
