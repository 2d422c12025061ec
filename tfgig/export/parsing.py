"""What a graph that parses `tf.Example`s expects of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfgig.models.graphs.parsed import PARSERS, constant_among, keys_of


def parsed_examples(definition: tf.compat.v1.GraphDef) -> Iterator[bytes]:
    """For each op of a graph that parses, an example of zeros that it takes, serialised.

    Only dense features matter: those of variable length may be missing.
    """
    functions = [function.node_def for function in definition.library.function]
    for nodes in (definition.node, *functions):
        for node in nodes:
            if node.op in PARSERS:
                keys = keys_of(node, constant_among(nodes), "dense")
                if len(keys) == len(node.attr["Tdense"].list.type):
                    yield _example(node, keys).SerializeToString()


def _example(node: tf.compat.v1.NodeDef, keys: Sequence[bytes]) -> tf.train.Example:
    types, shapes = node.attr["Tdense"].list.type, node.attr["dense_shapes"].list.shape
    example = tf.train.Example()
    for key, kind, shape in zip(keys, types, shapes, strict=True):
        # Where the first axis is open, one stretch of it.
        count = int(np.prod([max(1, axis.size) for axis in shape.dim]))
        feature = example.features.feature[key.decode()]
        if kind == tf.string.as_datatype_enum:
            feature.bytes_list.value.extend([b""] * count)
        elif kind == tf.int64.as_datatype_enum:
            feature.int64_list.value.extend([0] * count)
        else:
            feature.float_list.value.extend([0.0] * count)
    return example
