"""A model and a method as one function: the model's inputs in, the explanation out.

The Keras layer and the exported signatures are both made of these, so they cannot differ.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import cast

import tensorflow as tf

from tfgig.methods import Attribution, LayerMethod, Method, explain
from tfgig.methods.explain import Explanation
from tfgig.models.cut import Cut
from tfgig.models.source import SourceModel
from tfgig.objective import ModelObjective, Objective
from tfgig.targets import Target


class Explaining:
    """Explanations of one source; each objective is traced once, and each method once.

    Args:
        source: The model.
    """

    def __init__(self, source: SourceModel) -> None:
        self._source = source
        self._cut_at = functools.cache(lambda layer: source.at(layer).cut)
        self._objectives: dict[tuple[Cut, Target], ModelObjective] = {}
        self._functions: dict[tuple[Cut, Target, Method], Callable] = {}

    def explained(self, method: Method, layer: str | None = None) -> Cut:
        """The cut whose tensors the attributions are of."""
        if isinstance(method, LayerMethod):
            return self._pixels(method)
        return self._looked_at(method, layer)

    def function(
        self, method: Method, target: Target, layer: str | None = None
    ) -> Callable[..., Explanation]:
        """`(target int64 [B], *inputs [B, ...])` to an explanation, as `explain` returns it.

        Where several tensors are explained together, each has `attributions_<name>` of its own.

        Args:
            method: The recipe.
            target: Which output is explained.
            layer: The name of a layer or an input; None for where the source is cut.
        """
        cut = self._looked_at(method, layer)
        traced = self._traced(method, target, cut)
        source, pixels = self._source, isinstance(method, LayerMethod)
        if pixels:
            self._pixels(method)  # with its error, now

        def explain_inputs(requested, *inputs):
            points, *context = cut.front(*inputs)
            shape = tf.shape(source.picture(*inputs) if pixels else points)  # of the attributions
            explanation = dict(traced(tf.cast(points, tf.float32), requested, shape, *context))
            if cut.parts:
                attributions = cut.unpack(explanation.pop("attributions"))
                explanation |= zip(cut.attribution_names, attributions, strict=True)
            return explanation

        return explain_inputs

    def _looked_at(self, method: Method, layer: str | None) -> Cut:
        if isinstance(method, LayerMethod):
            layer = method.layer if layer is None else layer
            if layer is None and self._source.cut is self._source.entry:
                return self._cut_at(None)
        return self._source.cut if layer is None else self._cut_at(layer)

    def _pixels(self, method: Method) -> Cut:
        entry = self._source.entry
        if entry is None or entry.parts or entry.points.shape.rank != 4:
            raise ValueError(
                f"{type(method).__name__} lays the map of a layer over an image, and this model "
                f"does not take one image. Received: {self._source.name!r} with the inputs "
                f"{[spec.name for spec in self._source.inputs]}."
            )
        return entry

    def _traced(self, method: Method, target: Target, cut: Cut) -> Callable:
        if (cut, target) not in self._objectives:
            objective = ModelObjective(cut.forward, target, cut.points, cut.context)
            self._objectives[cut, target] = objective
        objective = self._objectives[cut, target]
        if (cut, target, method) not in self._functions:
            points = tf.TensorSpec(cut.points.shape, tf.float32)
            shape = tf.TensorSpec([None], tf.int32)
            pixels = self._pixels(method).points.shape if isinstance(method, LayerMethod) else None

            def explain_points(at, requested, shape, *context):
                recipe = method
                if pixels is not None:
                    recipe = cast(Method, _LaidOver(method, shape, pixels))
                return explain(objective, recipe, at, requested, context)

            self._functions[cut, target, method] = tf.function(
                functools.partial(explain_points),
                input_signature=[points, tf.TensorSpec([None], tf.int64), shape, *cut.context],
                autograph=False,
            )
        return self._functions[cut, target, method]


class _LaidOver:
    """A method of a layer whose maps [B, h, w, 1] are laid over images [B, height, width, c].

    Bilinear, shared out evenly among the channels, and with the map's sum.
    """

    def __init__(self, method: Method, shape: tf.Tensor, static: tf.TensorShape) -> None:
        self._method, self._shape, self._static = method, shape, static

    def attribute(self, objective: Objective, inputs: tf.Tensor) -> Attribution:
        maps, baseline_score = self._method.attribute(objective, inputs)
        over = tf.image.resize(maps, self._shape[1:3])
        before, after = (tf.reduce_sum(m, [1, 2, 3], keepdims=True) for m in (maps, over))
        channels = tf.cast(self._shape[3], tf.float32)
        over *= tf.math.divide_no_nan(before, after) / channels
        return Attribution(
            tf.ensure_shape(tf.broadcast_to(over, self._shape), self._static), baseline_score
        )
