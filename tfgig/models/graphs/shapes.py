"""The shapes of a model's inputs: open in the batch, and filled in by the user elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from tfgig.models.graphs.constants import advice
from tfgig.models.graphs.gradients import own_name
from tfgig.models.graphs.inlining import CALLS, called
from tfgig.models.graphs.refusal import CannotExplain, check
from tfgig.spec import nearest

Shape = Sequence[int] | Mapping[str, Sequence[int]]  # of one example; by name where several


def with_shape(
    specs: Sequence[tf.TensorSpec], shape: Shape | None, where: str
) -> tuple[tf.TensorSpec, ...]:
    """The inputs of a model, in the shapes that the user gives.

    Args:
        specs: What the model takes.
        shape: That of one example of the only input, or such shapes by the inputs' names; None for
            the model's own.
        where: What was loaded, for the error.

    Raises:
        ValueError: the batch has a fixed size, or the model does not take the shape.
    """
    scalars = [spec for spec in specs if spec.shape.rank == 0]
    if scalars:
        listed = " and ".join(repr(spec.name) for spec in scalars)
        are = "has one value" if len(scalars) == 1 else "have one value each"
        raise CannotExplain(
            f"The input {listed} {are} for the whole batch, like `is_training` or `keep_prob`, and "
            f"no rows. Fix such inputs when the model is loaded: {advice(scalars)}. Received: "
            f"{where}, {listed} of shape ()."
        )
    for spec in specs:
        if spec.shape.rank is not None and spec.shape[0] is not None:
            raise CannotExplain(
                "The first axis of the input is the batch and must be open, [None, ...]: a path "
                "evaluates many points at once. Save the signature with such a tf.TensorSpec, or "
                "build the model with keras.Input(shape). Fix an input that has no batch: "
                f"constants={{{spec.name!r}: ...}} (--constants={spec.name}=...). Received: "
                f"{where}, {spec.name!r} of shape {spec.shape}."
            )
    if shape is None:
        return tuple(specs)
    names = [str(spec.name) for spec in specs]
    if not isinstance(shape, Mapping):
        if len(specs) > 1:
            raise CannotExplain(
                "`shape` without names works for one input only; this model has several. Give the "
                f"shapes by name: shape={{{names[0]!r}: (...), ...}}. Received: "
                f"shape={tuple(shape)} for {where} with {sorted(names)}."
            )
        shape = {names[0]: shape}
    for name in shape:
        check(name in names, f"The model has no input of this name. {nearest(name, names)}", name)
    return tuple(
        _in_shape(spec, shape[spec.name], where) if spec.name in shape else spec for spec in specs
    )


def _in_shape(spec: tf.TensorSpec, shape: Sequence[int], where: str) -> tf.TensorSpec:
    wanted = tf.TensorShape([None, *shape])
    if not spec.shape.is_compatible_with(wanted):
        raise CannotExplain(
            f"The input cannot have this shape. Received: {tuple(shape)} for {where}, "
            f"{spec.name!r} of shape {spec.shape}."
        )
    return tf.TensorSpec(wanted, spec.dtype, spec.name)


def refuse_ragged(
    function: tf.types.experimental.ConcreteFunction, specs: Sequence[tf.TensorSpec], where: str
) -> None:
    """Raises `ValueError` if an input is where the rows of another, a ragged one, begin and end.

    A signature takes a ragged tensor apart: its values, and how they are split into rows.

    Args:
        function: The model, traced; its first inputs are these.
        specs: What it takes.
        where: What was loaded, for the error.
    """
    for spec, tensor in zip(specs, function.graph.inputs, strict=False):
        if spec.dtype in (tf.int32, tf.int64) and spec.shape.rank == 1 and _splits(tensor):
            raise CannotExplain(
                "Ragged inputs cannot be explained, because they do not have one row per example. "
                "Save a signature that takes dense inputs, padded to a fixed length: "
                f"RaggedTensor.to_tensor(shape=[None, length]). Received: {where}, whose input "
                f"{spec.name!r} marks where the rows of another begin and end."
            )


def _splits(tensor: tf.Tensor) -> bool:
    """Whether a vector is taken for the splits of a ragged tensor, wherever it goes."""
    for op in tensor.consumers():
        if "Ragged" in op.type or "Ragged" in own_name(op.node_def):
            return True
        if op.type in (*CALLS, "Identity", "Cast"):
            places = [i for i, source in enumerate(op.inputs) if source is tensor]
            inside = called(op.graph, op).inputs if op.type in CALLS else op.outputs
            if any(_splits(inside[i if op.type in CALLS else 0]) for i in places):
                return True
    return False
