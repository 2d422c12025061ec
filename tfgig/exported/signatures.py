"""What the signatures of an export are called, and which of their inputs are whose."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

SERVING_DEFAULT = "serving_default"  # what is served where no signature is named
TARGET = "target"  # the input of explaining signatures that is not the model's
BESIDE = "explain_target"  # the same, of a model that has an input `target` of its own
Signatures = Mapping[str, meta_graph_pb2.SignatureDef]


def public(signatures: Signatures) -> dict[str, meta_graph_pb2.SignatureDef]:
    """The signatures that can be called, by name; TensorFlow keeps `__saved_model_init_op`."""
    return {name: found for name, found in sorted(signatures.items()) if not name.startswith("__")}


def target_beside(inputs: Collection[str]) -> str:
    """What the class to explain is called beside the inputs of a model."""
    return BESIDE if TARGET in inputs else TARGET


def target_of(definition: meta_graph_pb2.SignatureDef) -> str | None:
    """The input of a signature that is the class to explain; None if it takes none."""
    if BESIDE in definition.inputs:
        return BESIDE
    info = definition.inputs.get(TARGET)
    if info is None or info.dtype != tf.int64.as_datatype_enum or len(info.tensor_shape.dim) != 1:
        return None
    # A model's own `target` may be like it: of one that explains it has a default, which older
    # servers do not tell.
    said = not definition.defaults and "baseline_score" in definition.outputs
    return TARGET if TARGET in definition.defaults or said else None


def model_inputs(definition: meta_graph_pb2.SignatureDef) -> list[str]:
    """The inputs of a signature that are the model's own."""
    return sorted(name for name in definition.inputs if name != target_of(definition))


def has_rows(info: meta_graph_pb2.TensorInfo) -> bool:
    """Whether the first axis of a tensor may be the batch: it is open, or not known."""
    axes = info.tensor_shape.dim
    return info.tensor_shape.unknown_rank or (len(axes) > 0 and axes[0].size < 0)


def defaults_of(definition: meta_graph_pb2.SignatureDef) -> dict[str, np.ndarray]:
    """The inputs of a signature that may be left out, and their values."""
    return {name: tf.make_ndarray(value) for name, value in definition.defaults.items()}
