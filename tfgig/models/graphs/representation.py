"""A classifier's representation of its inputs: what its last dense layer is given."""

from __future__ import annotations

import tensorflow as tf

from tfgig.models.graphs.inlining import inline, outputs_of
from tfgig.models.graphs.refusal import CannotExplain
from tfgig.targets import Target
from tfgig.tracing import Concrete

# What may stand between a dense layer's product and the output.
_BEHIND = ("Add", "AddV2", "BiasAdd", "Cast", "Identity", "LogSoftmax", "Sigmoid", "Softmax")


def representation(forward: Concrete, target: Target, *values: tf.Tensor) -> tf.Tensor:
    """What the last dense layer of a model is given, float32 [N, D].

    To be called while a `tf.function` is traced.

    Args:
        forward: `(points [N, ...], *context)` to `ModelOutputs`.
        target: Says which output is explained.
        *values: What `forward` takes.

    Raises:
        ValueError: the output is not that of a dense layer.
    """
    outputs = tf.nest.pack_sequence_as(forward.structured_outputs, outputs_of(forward))
    name = target.name_of(outputs)
    found = _given(outputs.values[name])
    if found is None:
        raise CannotExplain(
            "A path to a representation takes what the model's last dense layer is given, and the "
            "explained output does not come from one behind the place that is explained. Name an "
            "earlier place, or another path, such as Straight with the same baseline. "
            f"Received: the output {name!r}."
        )
    (features,) = inline(forward, values, {}, wanted=[found.name])
    return tf.cast(features, tf.float32)


def _given(tensor: tf.Tensor) -> tf.Tensor | None:
    """What the matrix product behind an output multiplies by weights; None if there is none."""
    if tensor.op.type == "MatMul":
        return tensor.op.inputs[0]
    sources = tensor.op.inputs if tensor.op.type in _BEHIND else ()
    found = (_given(source) for source in sources if source.dtype.is_floating)
    return next((given for given in found if given is not None), None)
