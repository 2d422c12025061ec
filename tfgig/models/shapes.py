"""The shapes of a model's inputs: open in the batch, and filled in by the user elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def with_shape(
    specs: Sequence[tf.TensorSpec], shape: Sequence[int] | None, where: str
) -> tuple[tf.TensorSpec, ...]:
    """The inputs of a model, the only one in the shape that the user gives.

    Args:
        specs: What the model takes.
        shape: That of one example; None for the model's own.
        where: What was loaded, for the error.

    Raises:
        ValueError: the batch has a fixed size, or the model does not take the shape.
    """
    for spec in specs:
        if spec.shape.rank is not None and (spec.shape.rank == 0 or spec.shape[0] is not None):
            raise ValueError(
                "The first axis of the input is the batch and must be open, [None, ...]: a path "
                "needs many points at once. Save the signature with such a tf.TensorSpec, or "
                "build the model with keras.Input(shape). "
                f"Received: {where}, {spec.name!r} of shape {spec.shape}."
            )
    if shape is None:
        return tuple(specs)
    if len(specs) > 1:
        raise ValueError(
            "`shape` is that of the only input; this model has several. "
            f"Received: shape={tuple(shape)} for {where} with {sorted(s.name for s in specs)}."
        )
    (spec,) = specs
    wanted = tf.TensorShape([None, *shape])
    if not spec.shape.is_compatible_with(wanted):
        raise ValueError(
            f"The input does not take this shape. Received: {tuple(shape)} for {where}, "
            f"{spec.name!r} of shape {spec.shape}."
        )
    return (tf.TensorSpec(wanted, spec.dtype, spec.name),)
