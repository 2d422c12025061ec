"""What the signatures of an export are called, and which of their inputs are whose."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

SERVING_DEFAULT = "serving_default"  # what is served where no signature is named
TARGET = "target"  # the input of explaining signatures that is not the model's
Signatures = Mapping[str, meta_graph_pb2.SignatureDef]


def public(signatures: Signatures) -> dict[str, meta_graph_pb2.SignatureDef]:
    """The signatures that can be called, by name; TensorFlow keeps `__saved_model_init_op`."""
    return {name: found for name, found in sorted(signatures.items()) if not name.startswith("__")}


def model_inputs(definition: meta_graph_pb2.SignatureDef) -> list[str]:
    """The inputs of a signature that are the model's own."""
    return sorted(name for name in definition.inputs if name != TARGET)


def has_rows(info: meta_graph_pb2.TensorInfo) -> bool:
    """Whether the first axis of a tensor may be the batch: it is open, or not known."""
    axes = info.tensor_shape.dim
    return info.tensor_shape.unknown_rank or (len(axes) > 0 and axes[0].size < 0)


def defaults_of(definition: meta_graph_pb2.SignatureDef) -> dict[str, np.ndarray]:
    """The inputs of a signature that may be left out, and their values."""
    return {name: tf.make_ndarray(value) for name, value in definition.defaults.items()}
