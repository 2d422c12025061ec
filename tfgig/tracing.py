"""Functions traced once, and how the runtime is told to treat them.

A server optimises the graph of each signature anew, and copies into it every function that it
calls, and theirs, wherever they are called. A model's gradient that stands in three loops is so
optimised a dozen times before a signature gives its first answer. Two attributes of functions
spare that:

- `WHOLE`: the function is called, not copied. It is optimised once, when it is first called.
- `AS_IS`: neither the function nor what it calls is optimised with the graph that it stands in.
  What it calls and is `WHOLE` is optimised all the same, when it is first called.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

Concrete: TypeAlias = "tf.types.experimental.ConcreteFunction"
Attributes = Mapping[str, bool]

WHOLE: Attributes = {"_noinline": True}
# By tf.data for its own functions, which it optimises itself; it means no more than that.
AS_IS: Attributes = {"_tf_data_function": True}

_UNOPTIMISED = config_pb2.ConfigProto()
_UNOPTIMISED.graph_options.rewrite_options.disable_meta_optimizer = True


def call_as_it_is(function: Concrete, *values: tf.Tensor) -> Any:
    """A function's outputs, by a call in a graph that does not have the function optimised.

    Of use where the call is not replaced by the function's body: in one that is `AS_IS`. No
    gradient can be taken through it.
    """
    outputs = tf.raw_ops.StatefulPartitionedCall(
        args=[*values, *function.captured_inputs],
        Tout=[output.dtype for output in function.outputs],
        f=function,
        config_proto=_UNOPTIMISED.SerializeToString(deterministic=True),
    )
    for output, known in zip(outputs, function.outputs, strict=True):
        output.set_shape(known.shape)
    return tf.nest.pack_sequence_as(function.structured_outputs, outputs)


def traced_once(
    function: Callable[..., Any],
    signature: Sequence[tf.TensorSpec] | None = None,
    attributes: Attributes | None = None,
) -> Any:
    """A `tf.function`, traced for one signature; for each shape anew if none is given."""
    # A partial, for TensorFlow counts retraces by code object: many functions made at one place,
    # each traced once, would make it warn.
    return tf.function(
        functools.partial(function),
        input_signature=signature,
        autograph=False,
        experimental_attributes=attributes,
    )


def concrete(
    function: Callable[..., Any], *specs: Any, attributes: Attributes | None = None
) -> Concrete:
    """A function, traced once for tensors or specs; its inputs keep their order, whatever names."""
    unnamed = [tf.TensorSpec(spec.shape, spec.dtype, f"x{i}") for i, spec in enumerate(specs)]
    return traced_once(function, attributes=attributes).get_concrete_function(*unnamed)
