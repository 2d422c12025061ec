"""How large answers are: known from a signature before anything is asked."""

from __future__ import annotations

import os

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.exported.directory import signatures_in

GRPC_LIMIT = 4 << 20  # bytes: what a gRPC client takes unless it says otherwise


def row_bytes(info: meta_graph_pb2.TensorInfo) -> int | None:
    """The bytes of one row of a tensor [B, ...]; None where the signature leaves them open."""
    dtype = tf.dtypes.as_dtype(info.dtype)
    sizes = [axis.size for axis in info.tensor_shape.dim[1:]]
    if info.tensor_shape.unknown_rank or dtype == tf.string or min(sizes, default=0) < 0:
        return None
    total = dtype.size
    for size in sizes:
        total *= size
    return total


def answer_sizes(directory: str | os.PathLike) -> dict[str, int | None]:
    """The bytes of one row's answer by signature; None where they are not known."""
    found: dict[str, int | None] = {}
    for name, definition in signatures_in(directory).items():
        sizes = [row_bytes(info) for info in definition.outputs.values()]
        known = [size for size in sizes if size is not None]
        found[name] = sum(known) if len(known) == len(sizes) else None
    return found
