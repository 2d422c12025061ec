"""Three rows that a model takes, made from what its signature and its graph say of its inputs."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfgig.models.graphs.gradients import nodes
from tfgig.models.graphs.inlining import called_by
from tfgig.models.graphs.parsed import PARSERS, constant_among, keys_of
from tfgig.models.graphs.refusal import check
from tfgig.spec import nearest

ROWS = 3
Rows = tuple["tf.Tensor", ...]  # [ROWS, ...] each, in the order of the inputs
Given = Mapping[str, Any] | Any  # rows by the input's name, or those of the only input

_OPEN_SIZES = (7, 32, 224)  # tried in turn for what a signature leaves open beyond the batch
_BOUNDS = (4, 2, 1)  # ids below these are tried in turn
_TEXTS = (("the film was good", "bad", "a plot"), ("1", "2", "3"), ("0.5", "1.5", "2.5"))
# How many values of a feature of variable length the three rows have; one is missing.
_COUNTS = ((1, 0, 1), (1, 2, 1), (1, 1, 1))
_MOST = 40  # candidates, if each of them fails


class Examples:
    """Batches of three distinct rows, of which one may be what a model takes.

    Args:
        graph: The model's, which says what it parses and decodes.
        inputs: What the model takes.
        given: The rows that the user knows of, [2 or 3, ...] by the input's name, or those of the
            only input; None to make some up.

    Raises:
        ValueError: what is given is not what the model takes.
    """

    def __init__(
        self, graph: tf.Graph, inputs: Sequence[tf.TensorSpec], given: Given | None = None
    ) -> None:
        self._graph = graph
        self._inputs = tuple(inputs)
        self._given = None if given is None else _given_rows(given, self._inputs)
        self._first = 0  # the place of the candidate that worked last

    @property
    def are_given(self) -> bool:
        """Whether the rows are the user's."""
        return self._given is not None

    def __iter__(self) -> Iterator[Rows]:
        """The candidates; first the one that was found to work."""
        if self._given is not None:
            yield self._given
            return
        for place, rows in enumerate(self._made[self._first :], self._first):
            self._first = place
            yield rows
        self._first = 0

    @functools.cached_property
    def _made(self) -> list[Rows]:
        texts: Sequence[Sequence[Any]] = ((),)
        if any(spec.dtype == tf.string for spec in self._inputs):
            texts = list(_texts(self._graph))
        open_axes = any(None in (spec.shape[1:] or ()) for spec in self._inputs)
        ids = any(spec.dtype.is_integer for spec in self._inputs)
        choices = itertools.product(
            texts, _OPEN_SIZES if open_axes else (0,), _BOUNDS if ids else (0,)
        )
        return [
            tuple(_made_up(spec, *choice) for spec in self._inputs)
            for choice in itertools.islice(choices, _MOST)
        ]


def _made_up(spec: tf.TensorSpec, text: Sequence[Any], size: int, bound: int) -> tf.Tensor:
    random = np.random.default_rng(len(spec.name or "") + 1)
    axes = spec.shape.as_list()[1:] if spec.shape.rank is not None else [size]
    shape = [ROWS, *(size if axis is None else axis for axis in axes)]
    if spec.dtype == tf.string:
        column = tf.reshape(tf.constant(text), [ROWS] + [1] * (len(shape) - 1))
        return tf.broadcast_to(column, shape)
    if spec.dtype.is_floating:
        return tf.constant(random.uniform(0.0, 1.0, shape), spec.dtype)
    if spec.dtype == tf.bool:
        return tf.constant(random.uniform(size=shape) < 0.5)
    if spec.dtype in (tf.uint8, tf.uint16):
        return tf.constant(random.integers(0, 256, shape), spec.dtype)
    values = random.integers(0, bound, shape)
    values.reshape(ROWS, -1)[:, :1] = np.arange(ROWS)[:, None] % bound  # so that rows differ
    return tf.constant(values, spec.dtype)


def _texts(graph: tf.Graph) -> Iterator[Sequence[Any]]:
    """Three strings that differ: what a graph seems to take of them first."""
    definition = graph.as_graph_def()
    for counts, bound in itertools.product(_COUNTS, _BOUNDS):
        yield from (list(rows) for rows in _parsed(definition, counts, bound))
    pictures = [_png(row) for row in range(ROWS)]
    decodes = any(node.op.startswith("Decode") for node in nodes(definition))
    yield from (pictures, *_TEXTS) if decodes else (*_TEXTS, pictures)


def _png(row: int) -> bytes:
    values = np.random.default_rng(row).integers(0, 256, (32, 32, 3))
    return tf.io.encode_png(values.astype(np.uint8)).numpy()


def _parsed(
    definition: tf.compat.v1.GraphDef, counts: Sequence[int], bound: int
) -> Iterator[list[bytes]]:
    """For each operation that parses `tf.Example`, three that it takes, serialised."""
    functions = [function.node_def for function in definition.library.function]
    for group in (definition.node, *functions):
        for node in group:
            if node.op in PARSERS and not any(called_by(node)):
                yield [_example(node, group, row, counts[row], bound) for row in range(ROWS)]


def _example(node: Any, group: Sequence[Any], row: int, count: int, bound: int) -> bytes:
    random = np.random.default_rng(row)
    example = tf.train.Example()
    constant = constant_among(group)
    dense, sparse = (keys_of(node, constant, kind) for kind in ("dense", "sparse"))
    types, shapes = node.attr["Tdense"].list.type, node.attr["dense_shapes"].list.shape
    for key, kind, shape in zip(dense, types, shapes, strict=True):
        # Where the first axis is open, one stretch of it.
        size = int(np.prod([max(1, axis.size) for axis in shape.dim]))
        _fill(example.features.feature[key.decode()], kind, size, random, (row, bound))
    sparse_types = node.attr["sparse_types"].list.type
    for key, kind in zip(sparse, sparse_types, strict=True):
        if count:
            _fill(example.features.feature[key.decode()], kind, count, random, (row, bound))
    return example.SerializeToString()


def _fill(
    feature: Any, kind: int, size: int, random: np.random.Generator, ids: tuple[int, int]
) -> None:
    row, bound = ids
    if kind == tf.string.as_datatype_enum:
        words = _TEXTS[0][row].split()
        feature.bytes_list.value.extend([words[i % len(words)].encode() for i in range(size)])
    elif kind == tf.int64.as_datatype_enum:
        feature.int64_list.value.extend([(row + i) % bound for i in range(size)])
    else:
        feature.float_list.value.extend(random.uniform(0.0, 1.0, size).tolist())


def _given_rows(given: Given, inputs: Sequence[tf.TensorSpec]) -> Rows:
    names = [spec.name for spec in inputs]
    if not isinstance(given, Mapping):
        check(len(inputs) == 1, "`example` must be a dictionary of rows by input name.", names)
        given = {names[0]: given}
    for name in given:
        check(name in names, f"The model has no input of this name. {nearest(name, names)}", name)
    check(
        set(given) == set(names),
        f"`example` needs rows for each input: {', '.join(names)}.",
        sorted(given),
    )
    rows = tuple(_as_spec(given[spec.name], spec) for spec in inputs)
    counts = {len(values) for values in rows}
    check(
        counts in ({2}, {3}),
        "`example` needs two or three different rows, the same number for each input.",
        {spec.name: len(values) for spec, values in zip(inputs, rows, strict=True)},
    )
    # A third one, if there are two: the first again.
    return tuple(tf.gather(values, [0, 1, min(2, 2 * (len(values) - 2))]) for values in rows)


def _as_spec(values: Any, spec: tf.TensorSpec) -> tf.Tensor:
    array = np.asarray(values, object if spec.dtype == tf.string else None)
    if spec.dtype.is_integer:
        check(
            np.array_equal(array.astype(spec.dtype.as_numpy_dtype), array),
            f"The input {spec.name!r} must be {spec.dtype.name}.",
            array.dtype.name,
        )
    tensor = tf.constant(array, tf.string) if spec.dtype == tf.string else None
    if tensor is None:
        tensor = tf.cast(tf.constant(array), spec.dtype)
    check(
        spec.shape.is_compatible_with(tensor.shape),
        f"Rows of the input {spec.name!r} must have shape {spec.shape}.",
        tensor.shape,
    )
    return tensor
