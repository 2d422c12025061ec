"""A model and a method as one function: the model's inputs in, the explanation out.

The Keras layer and the exported signatures are both made of these, so they cannot differ.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf

from tfgig.methods import Method, explain
from tfgig.methods.explain import Explanation
from tfgig.models.cut import Cut
from tfgig.models.source import SourceModel
from tfgig.objective import ModelObjective
from tfgig.targets import Target


class Explaining:
    """Explanations of one source; each objective is traced once, and each method once.

    Args:
        source: The model.
    """

    def __init__(self, source: SourceModel) -> None:
        self._source = source
        self._cuts: dict[str | None, Cut] = {None: source.cut}
        self._objectives: dict[tuple[str | None, Target], ModelObjective] = {}
        self._functions: dict[tuple[str | None, Target, Method], Callable] = {}

    def cut(self, layer: str | None = None) -> Cut:
        """The cut at a layer; that of the source itself for None."""
        if layer not in self._cuts:
            self._cuts[layer] = self._source.at(layer).cut
        return self._cuts[layer]

    def function(
        self, method: Method, target: Target, layer: str | None = None
    ) -> Callable[..., Explanation]:
        """`(target int64 [B], *inputs [B, ...])` to an explanation, as `explain` returns it.

        Where several tensors are explained together, each has `attributions_<name>` of its own.
        """
        cut, traced = self.cut(layer), self._traced(method, target, layer)

        def explain_inputs(requested, *inputs):
            points, *context = cut.front(*inputs)
            explanation = dict(traced(tf.cast(points, tf.float32), requested, *context))
            if cut.parts:
                attributions = cut.unpack(explanation.pop("attributions"))
                explanation |= zip(cut.attribution_names, attributions, strict=True)
            return explanation

        return explain_inputs

    def _traced(self, method: Method, target: Target, layer: str | None) -> Callable:
        cut = self.cut(layer)
        if (layer, target) not in self._objectives:
            objective = ModelObjective(cut.forward, target, cut.points, cut.context)
            self._objectives[layer, target] = objective
        objective = self._objectives[layer, target]
        if (layer, target, method) not in self._functions:
            points = tf.TensorSpec(cut.points.shape, tf.float32)

            def explain_points(at, requested, *context):
                return explain(objective, method, at, requested, context)

            self._functions[layer, target, method] = tf.function(
                functools.partial(explain_points),
                input_signature=[points, tf.TensorSpec([None], tf.int64), *cut.context],
                autograph=False,
            )
        return self._functions[layer, target, method]
