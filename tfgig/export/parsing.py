"""What a graph that parses `tf.Example`s expects of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf


def parsed_examples(definition: tf.compat.v1.GraphDef) -> Iterator[bytes]:
    """For each op of a graph that parses, an example of zeros that it takes, serialised.

    Only dense features matter: those of variable length may be missing.
    """
    functions = [function.node_def for function in definition.library.function]
    for nodes in (definition.node, *functions):
        for node in nodes:
            if node.op == "ParseExampleV2":
                keys = _constant(nodes, node.input[3])
            elif node.op == "ParseSingleExample":
                keys = np.array(node.attr["dense_keys"].list.s, object)
            else:
                continue
            if keys is not None:
                yield _example(node, keys).SerializeToString()


def _example(node: tf.compat.v1.NodeDef, keys: np.ndarray) -> tf.train.Example:
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


def _constant(nodes: Sequence[tf.compat.v1.NodeDef], name: str) -> np.ndarray | None:
    """The value of an input of a node, where it is a constant."""
    name = name.removeprefix("^").partition(":")[0]
    for node in nodes:
        if node.name == name and node.op == "Const":
            return tf.make_ndarray(node.attr["value"].tensor)
    return None
