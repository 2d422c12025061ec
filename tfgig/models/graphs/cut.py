"""Where a model is cut in two: before the explained tensor, and after it.

What comes before (a parser, a decoder, an embedding) runs once for an input; what comes after
runs at every point of a path.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import tensorflow as tf

from tfgig.image.axes import DataFormat
from tfgig.models.graphs.inlining import needed_for
from tfgig.models.graphs.refusal import check
from tfgig.tracing import Concrete, concrete


class Column(NamedTuple):
    """How the attributions of a tensor are those of columns of a table.

    Args:
        name: Of the input, the parsed feature or the layer that they are of.
        size: How many columns it has.
        by: Whether "each" number is a column's; the "width" of an embedding or a one-hot tensor,
            its last axis, is added up; or the "whole" is.
    """

    name: str
    size: int
    by: Literal["each", "width", "whole"]

    @property
    def is_one_value(self) -> bool:
        """Whether it is one of a table: of one value of an input."""
        return self.size == 1 and self.by != "whole"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns one by one."""
        if self.size == 1:
            return (self.name,)
        return tuple(f"{self.name}_{index}" for index in range(self.size))

    def of(self, attributions: tf.Tensor) -> tf.Tensor:
        """The columns [B, size] of the attributions [B, ...] of the tensor."""
        if self.by == "width":
            attributions = tf.reduce_sum(attributions, -1)
        if self.by == "whole":
            attributions = tf.reduce_sum(attributions, list(range(1, attributions.shape.rank)))
        return tf.reshape(attributions, [tf.shape(attributions)[0], self.size])


@dataclasses.dataclass(frozen=True)
class Cut:
    """A model in two: `front`, the explained tensor, `forward`.

    Args:
        points: What is explained, [None, ...].
        front: The model's inputs, in their order, to `(points, *context)`.
        forward: `(points [N, ...], *context [N, ...])` to `ModelOutputs`.
        context: What `forward` takes beside the points: inputs that are not explained.
        parts: Several explained tensors, which lie flat and side by side in points
            [None, features]; empty where there is one.
        doubt: Why it is not known whether rows depend on each other; None if they do not.
        mixed: The names of outputs whose rows depend on each other or on the call, and how.
        columns: What each of the explained tensors is of a table; empty where that is not known.
        left_out: The inputs that the outputs depend on and nothing explained does.
        why: Why they are left out, if the user did not choose it.
        origins: The inputs whose values are in each of the explained tensors; empty where that is
            not known.
        formats: Of each of the explained tensors that is a picture, which axes are what; None of
            others. Empty where all that are have their channels last.
    """

    points: tf.TensorSpec
    front: Callable[..., tuple[tf.Tensor, ...]]
    forward: Concrete
    context: tuple[tf.TensorSpec, ...] = ()
    parts: tuple[tf.TensorSpec, ...] = ()
    doubt: str | None = None
    mixed: tuple[tuple[str, str], ...] = ()
    columns: tuple[Column, ...] = ()
    left_out: tuple[str, ...] = ()
    why: str | None = None
    origins: tuple[frozenset[str], ...] = ()
    formats: tuple[DataFormat | None, ...] = ()

    @property
    def explained(self) -> tuple[tf.TensorSpec, ...]:
        """The explained tensors one by one."""
        return self.parts or (self.points,)

    def format_of(self, index: int) -> DataFormat | None:
        """Which axes of one of the explained tensors are what, if it is a picture."""
        return self.formats[index] if self.formats else None

    @property
    def table(self) -> tuple[Column, ...]:
        """The columns that the explained tensors are of."""
        return self.columns or tuple(
            Column(spec.name, _size(spec) or 0, "each") for spec in self.explained
        )

    @property
    def attribution_names(self) -> tuple[str, ...]:
        """What an explanation calls the attributions of each explained tensor."""
        if not self.parts:
            return ("attributions",)
        return tuple("attributions_" + re.sub(r"\W", "_", spec.name) for spec in self.parts)

    def only(self, index: int) -> Cut:
        """One of the explained tensors alone, as the front makes it."""

        def front(*inputs):
            points, *_ = self.front(*inputs)
            return (self.unpack(points)[index],)

        return dataclasses.replace(
            self,
            points=self.explained[index],
            front=front,
            parts=(),
            formats=self.formats[index : index + 1],
        )

    def unpack(self, points: tf.Tensor) -> list[tf.Tensor]:
        """Points [N, ...] as the explained tensors, each [N, ...] in the points' dtype."""
        return unpack(points, self.parts) if self.parts else [points]


def pack(tensors: Sequence[tf.Tensor], parts: Sequence[tf.TensorSpec]) -> tf.Tensor:
    """Tensors [N, ...] flat and side by side, float32 [N, features]."""
    flat = [
        tf.reshape(tf.cast(tensor, tf.float32), [tf.shape(tensor)[0], _size(spec)])
        for tensor, spec in zip(tensors, parts, strict=True)
    ]
    return tf.concat(flat, 1)


def unpack(points: tf.Tensor, parts: Sequence[tf.TensorSpec]) -> list[tf.Tensor]:
    """The inverse of `pack`, in the points' dtype."""
    flat = tf.split(points, [_size(spec) for spec in parts], 1)
    return [
        tf.reshape(values, [tf.shape(points)[0], *spec.shape[1:]])
        for values, spec in zip(flat, parts, strict=True)
    ]


def _size(spec: tf.TensorSpec) -> int:
    return spec.shape[1:].num_elements()


def cut_at_inputs(serve: Concrete, inputs: Sequence[tf.TensorSpec], names: Sequence[str]) -> Cut:
    """The cut that explains some of a model's inputs; the others pass through.

    Args:
        serve: The model: its inputs to `ModelOutputs`.
        inputs: What it takes.
        names: Which of them are explained, in this order.

    Raises:
        ValueError: several are to be explained, and one has no fixed size.
    """
    inputs = tuple(inputs)
    if len(inputs) == 1:
        return Cut(inputs[0], lambda points: (points,), serve)
    chosen = [[spec.name for spec in inputs].index(name) for name in names]
    others = [index for index in range(len(inputs)) if index not in chosen]

    def forward(explained, *context):
        given = dict(zip([*chosen, *others], [*explained, *context], strict=True))
        return serve(*(given[index] for index in range(len(inputs))))

    def front(*values):
        return [values[i] for i in chosen], [values[i] for i in others]

    explained = tuple(inputs[i] for i in chosen)
    return join(explained, front, forward, tuple(inputs[i] for i in others))


def join(
    explained: tuple[tf.TensorSpec, ...],
    front: Callable[..., tuple[Sequence[tf.Tensor], Sequence[tf.Tensor]]],
    forward: Callable,
    context: tuple[tf.TensorSpec, ...],
) -> Cut:
    """The cut whose points hold all the explained tensors.

    Args:
        explained: Their specs, [None, ...] each.
        front: The model's inputs to `([explained tensors], [context])`.
        forward: `([explained tensors], *context)` to `ModelOutputs`.
        context: What else `forward` takes.
    """
    several = len(explained) > 1
    for spec in explained:
        check(
            not several or None not in spec.shape[1:],
            "To explain several tensors together, each needs a fixed size. Give the shape of one "
            f'example: shape={{{spec.name!r}: (9, 2), ...}} (--shape={{"{spec.name}": [9, 2]}}), '
            "or name one of them with layer=...",
            f"{spec.name!r} of shape {spec.shape}",
        )
    parts = explained if several else ()
    points = explained[0]
    if several:
        features = sum(map(_size, parts))
        points = tf.TensorSpec([None, features], tf.float32, "features")

    def whole_front(*inputs):
        tensors, others = front(*inputs)
        return (pack(tensors, parts) if several else tensors[0], *others)

    def whole_forward(at, *others):
        tensors = unpack(at, parts) if several else [at]
        typed = [tf.cast(t, spec.dtype) for t, spec in zip(tensors, explained, strict=True)]
        return forward(typed, *others)

    return Cut(points, whole_front, concrete(whole_forward, points, *context), context, parts)


def only_needed(
    forward: Callable, explained: Sequence[tf.TensorSpec], inputs: Sequence[tf.TensorSpec]
) -> list[int]:
    """Which of the inputs the outputs of `forward(explained, *inputs)` are computed from."""

    def flat(*values):
        return forward(list(values[: len(explained)]), *values[len(explained) :])

    graph = concrete(flat, *explained, *inputs).graph
    needed = needed_for(graph.outputs)
    placeholders = graph.inputs[len(explained) : len(explained) + len(inputs)]
    return [i for i, placeholder in enumerate(placeholders) if placeholder.op.name in needed]


def blank(spec: tf.TensorSpec, rows: tf.Tensor) -> tf.Tensor:
    """A tensor of a spec, its open axes open, for what is traced but never computed."""
    # Any size that is not known while the model is traced.
    return tf.zeros(
        [rows, *(rows if size is None else size for size in spec.shape[1:])], spec.dtype
    )


def cut_behind(
    explained: tuple[tf.TensorSpec, ...],
    front: Callable[..., Sequence[tf.Tensor]],
    forward: Callable,
    inputs: Sequence[tf.TensorSpec],
) -> Cut:
    """The cut at tensors that are computed from the inputs.

    Args:
        explained: Their specs, [None, ...] each.
        front: The model's inputs to the tensors.
        forward: `([tensors], *inputs)` to `ModelOutputs`: the model with these tensors put in the
            place of its own. What it does not need of the inputs is left out of the context.
        inputs: What the model takes.
    """
    needed = only_needed(forward, explained, inputs)

    def whole_front(*values):
        return front(*values), [values[index] for index in needed]

    def forward_of_needed(tensors, *context):
        given = iter(context)
        rows = tf.shape(tensors[0])[0]
        values = [
            next(given) if index in needed else blank(spec, rows)
            for index, spec in enumerate(inputs)
        ]
        return forward(tensors, *values)

    context = tuple(inputs[index] for index in needed)
    return join(explained, whole_front, forward_of_needed, context)
