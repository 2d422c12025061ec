"""Objectives: the score of a model under a target, and its gradient at any points.

The engine knows models only through these two functions. Each is traced once, so that all the
methods of an export share one copy of the model's graph.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import tensorflow as tf

from tfgig.targets import ModelOutputs, Target
from tfgig.tracing import WHOLE, traced_once

Forward = Callable[..., ModelOutputs]


class Objective(Protocol):
    """A score of points, its targets bound: B examples, and N = k B points, point-major."""

    @property
    def parts(self) -> tuple[tf.TensorSpec, ...]:
        """What the points hold, each [None, ...] by its name: one tensor as it is, or several flat
        and side by side; empty where that is not known."""

    def score(self, points: tf.Tensor) -> tf.Tensor:
        """The scores, float32 [N], of points [N, ...]."""

    def score_and_gradient(self, points: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The scores, float32 [N], of points [N, ...] and their gradients, float32 [N, ...]."""

    def represented(self, points: tf.Tensor) -> tf.Tensor:
        """What the model makes of points [N, ...] before its last layer: float32 [N, D].

        Raises:
            ValueError: the model has no representation.
        """

    def approach(self, points: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
        """How points come nearer to representations `wanted` [N, D]: float32 [N, ...].

        The gradient of the negative mean squared distance between the points' own and those.
        """

    def turns(self, count: int | tf.Tensor) -> tf.Tensor:
        """How often a loop need turn (int32 []): `count` times, or once if no row can be explained.

        Such rows come back as zeros, whatever is computed. A server's warm-up consists of them:
        every operation runs, and none often.
        """

    def rows(self, index: tf.Tensor) -> Objective:
        """The objective of the examples `index` (int [B'], repeats allowed) of this one."""

    @property
    def target(self) -> tf.Tensor:
        """What of the output is explained, int64 [B]: by most targets the index of a class."""

    @property
    def classes(self) -> int | None:
        """The number of possible targets, if known."""

    def of(self, target: tf.Tensor) -> Objective:
        """The same score of other classes, int64 [B], for the same examples."""

    def under(self, target: Target, inputs: tf.Tensor) -> Objective:
        """The same model under another target, frozen at the same examples' inputs [B, ...].

        A baseline may need it: where the decision changes is not a matter of what is explained.
        A target that names no output is of the one that is explained.
        """


class Binding(NamedTuple):
    """A model objective bound to inputs: the frozen targets and the score, row by row."""

    objective: Objective
    target: tf.Tensor  # int64 [B]
    valid: tf.Tensor  # bool [B]: the requested target exists
    score: tf.Tensor  # float32 [B]


def classes_of(target: Target, outputs: ModelOutputs) -> int | None:
    """How many targets there are to choose from in a model's traced outputs, where that is known.

    Raises:
        ValueError: the target is not one of the model's outputs.
    """

    def stand_in(output: tf.Tensor) -> tf.Tensor:
        return tf.compat.v1.placeholder(output.dtype, output.shape)

    # A target may compute with the outputs, and nothing is to be left behind in the model's graph.
    with tf.Graph().as_default():
        return target.classes(tf.nest.map_structure(stand_in, outputs))


class ModelObjective:
    """A model and a target, not yet bound to inputs.

    Args:
        forward: The model: points [N, ...] of `points.dtype`, and its context if it has one, to
            its outputs; any function of TensorFlow operations that keeps rows apart.
        target: The output to explain.
        points: The points' `tf.TensorSpec`, [None, ...].
        context: The specs, [None, ...] each, of what `forward` takes beside the points and nobody
            explains.
        parts: What the points hold, as `Objective.parts` has it.
        represent: `(points, *context)` to the representation, float32 [N, D]; None if the model
            has none.
    """

    def __init__(
        self,
        forward: Forward,
        target: Target,
        points: tf.TensorSpec,
        context: Sequence[tf.TensorSpec] = (),
        parts: Sequence[tf.TensorSpec] = (),
        represent: Callable[..., tf.Tensor] | None = None,
    ) -> None:
        self.target = target
        self.parts = tuple(parts)
        self.points = points
        self._forward = forward
        self._context = tuple(context)
        self._represent = represent
        self._others: dict[Target, ModelObjective] = {}
        targets = tf.TensorSpec([None], tf.int64)
        float_points = tf.TensorSpec(points.shape, tf.float32)

        def outputs_of(at, *context):
            return forward(tf.cast(at, points.dtype), *context)

        # One copy of the model for scores and one for gradients, whoever asks for them.
        outputs = traced_once(outputs_of, [float_points, *context], WHOLE)
        self._outputs = outputs

        def score(at, selected, *context):
            return tf.cast(target.select(outputs(at, *context), selected), tf.float32)

        def score_and_gradient(at, selected, *context):
            value = tf.cast(target.select(outputs_of(at, *context), selected), tf.float32)
            # Not by a tape: the gradient of a call of the model, as a tape would take it, is that
            # by its weights, too, and twice as slow where the runtime does not find out.
            (gradient,) = tf.gradients(value, at)
            if gradient is None:
                raise ValueError(
                    "No gradient flows from the target's score to the model's input: the model "
                    "rounds, takes an argmax, casts to integers or stops the gradient somewhere. "
                    f"Explain it at a layer after that operation. Received: target {target!r}."
                )
            return value, tf.convert_to_tensor(gradient)

        def represented(at, *context):
            if represent is None:
                raise ValueError("This model has no representation. Received: represent=None.")
            return represent(tf.cast(at, points.dtype), *context)

        def approach(at, wanted, *context):
            distance = tf.math.squared_difference(represented(at, *context), wanted)
            (gradient,) = tf.gradients(-tf.reduce_mean(distance, 1), at)
            if gradient is None:
                raise ValueError(
                    "The model's representation does not depend on what is explained: no gradient "
                    f"flows between them. Name an earlier place. Received: {points.name!r}."
                )
            return tf.convert_to_tensor(gradient)

        def resolve(inputs, requested, *context):
            values = outputs(inputs, *context)
            chosen, valid = target.resolve(values, requested)
            return chosen, valid, tf.cast(target.select(values, chosen), tf.float32)

        signature = [float_points, targets, *context]
        self.score = traced_once(score, signature)
        self.score_and_gradient = traced_once(score_and_gradient, signature, WHOLE)
        self.represented = traced_once(represented, [float_points, *context])
        features = tf.TensorSpec([None, None], tf.float32)
        self.approach = traced_once(approach, [float_points, features, *context], WHOLE)
        self._resolve = traced_once(resolve, signature)

    def bind(
        self,
        inputs: tf.Tensor,
        requested: tf.Tensor,
        context: Sequence[tf.Tensor] = (),
        readable: tf.Tensor | None = None,
    ) -> Binding:
        """Freezes the targets at the inputs.

        Args:
            inputs: float32 [B, ...], finite.
            requested: int64 [B]; -1 for the top class.
            context: [B, ...] each.
            readable: bool [B]: whether a row is worth the work; None if all are.
        """
        target, valid, score = self._resolve(inputs, requested, *context)
        worth_it = None if readable is None else tf.reduce_any(readable & valid)
        return Binding(_Bound(self, (target, *context), worth_it), target, valid, score)

    @functools.cached_property
    def classes(self) -> int | None:
        """The number of possible targets, if known."""
        return classes_of(self.target, self._outputs.get_concrete_function().structured_outputs)

    def under(self, target: Target) -> ModelObjective:
        """The same model under another target, of the same output; made and traced once."""
        if target.output_name is None:
            target = dataclasses.replace(target, output_name=self.target.output_name)
        if target not in self._others:
            self._others[target] = ModelObjective(
                self._forward, target, self.points, self._context, self.parts, self._represent
            )
        return self._others[target]


class _Bound:
    """A `ModelObjective` with what belongs to B rows, repeated over point-major points."""

    def __init__(
        self, model: ModelObjective, rows: Sequence[tf.Tensor], worth_it: tf.Tensor | None = None
    ) -> None:
        self._model = model
        self._rows = tuple(rows)  # the targets [B] and the context [B, ...]
        self._worth_it = worth_it  # bool []: whether any row can be explained

    @property
    def parts(self):
        return self._model.parts

    def score(self, points):
        return self._model.score(points, *self._repeated(points))

    def score_and_gradient(self, points):
        return self._model.score_and_gradient(points, *self._repeated(points))

    def represented(self, points):
        _, *context = self._repeated(points)
        return self._model.represented(points, *context)

    def approach(self, points, wanted):
        _, *context = self._repeated(points)
        return self._model.approach(points, wanted, *context)

    def turns(self, count):
        count = tf.convert_to_tensor(count, tf.int32)
        if self._worth_it is None:
            return count
        return tf.where(self._worth_it, count, tf.minimum(count, 1))

    def rows(self, index):
        rows = [tf.gather(values, index) for values in self._rows]
        return _Bound(self._model, rows, self._worth_it)

    @property
    def target(self):
        return self._rows[0]

    @property
    def classes(self):
        return self._model.classes

    def of(self, target):
        return _Bound(self._model, (target, *self._rows[1:]), self._worth_it)

    def under(self, target, inputs):
        requested, *context = self._rows
        return self._model.under(target).bind(inputs, requested, context).objective

    def _repeated(self, points: tf.Tensor) -> list[tf.Tensor]:
        rows = tf.maximum(tf.shape(self._rows[0])[0], 1)
        index = tf.range(tf.shape(points)[0]) % rows
        # Not tiled, which TensorFlow cannot do with every dtype.
        return [tf.gather(values, index) for values in self._rows]
