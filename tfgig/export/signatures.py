"""The graphs behind an export: one function for each signature, all sharing one objective."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import cast

import tensorflow as tf

from tfgig.export.endpoint import Endpoint
from tfgig.image.style import encode_png
from tfgig.methods import Method, explain
from tfgig.models import SourceModel
from tfgig.objective import ModelObjective
from tfgig.spec import check
from tfgig.targets import TOP_CLASS, Target

TARGET = "target"


class Signatures:
    """Builds the functions of an export.

    The model is traced once, its gradient once for each target, and each method once; heat-map
    and attributions of one method share its graph.
    """

    def __init__(self, source: SourceModel) -> None:
        check(
            source.points.name != TARGET,
            f"An explaining signature has an input {TARGET!r} of its own; rename the model's.",
            source.points.name,
        )
        self._source = source
        self._objectives: dict[Target, ModelObjective] = {}
        self._explaining: dict[tuple[Target, Method], Callable] = {}

    def build(self, endpoints: Sequence[Endpoint]) -> dict[str, Callable]:
        """The functions by signature name, `serving_default` first."""
        # A model's other signatures go along; among them may be its own serving_default.
        functions = {"serving_default": self._serve(), **self._source.signatures}
        for endpoint in endpoints:
            check(
                endpoint.name not in functions,
                "The model has a signature of this name; give the endpoint another.",
                endpoint.name,
            )
            make = self._heatmap if endpoint.kind == "heatmap" else self._attributions
            functions[endpoint.name] = make(endpoint)
        return functions

    def _serve(self) -> Callable:
        source = self._source

        def serve(inputs):
            values = source.forward(inputs).values
            return {source.signature_outputs[name]: value for name, value in values.items()}

        return tf.function(serve, input_signature=[source.points], autograph=False)

    def _attributions(self, endpoint: Endpoint) -> Callable:
        explaining = self._explain(endpoint)
        signature = [self._source.points, tf.TensorSpec([None], tf.int64, TARGET)]
        # An eager tensor as the default becomes the signature's default over gRPC.
        top_class = tf.constant([TOP_CLASS], tf.int64)

        def explain_target(inputs, target=top_class):
            target = tf.broadcast_to(target, tf.shape(inputs)[:1])
            return explaining(tf.cast(inputs, tf.float32), target)

        return tf.function(explain_target, input_signature=signature, autograph=False)

    def _heatmap(self, endpoint: Endpoint) -> Callable:
        explaining = self._explain(endpoint)
        source, overlay = self._source, endpoint.overlay
        value_range = cast(tuple[float, float], source.value_range)

        def draw_heatmap(inputs):
            inputs = tf.cast(inputs, tf.float32)
            target = tf.fill(tf.shape(inputs)[:1], tf.constant(TOP_CLASS, tf.int64))
            explanation = dict(explaining(inputs, target))
            attributions = explanation.pop("attributions")
            explanation.pop("baseline_score")
            images = tf.where(tf.math.is_finite(inputs), inputs, value_range[0])
            pictures = overlay.draw(images, attributions, value_range)
            return {"heatmap_bytes": encode_png(pictures), **explanation}

        return tf.function(draw_heatmap, input_signature=[source.points], autograph=False)

    def _explain(self, endpoint: Endpoint) -> Callable:
        target, method = endpoint.target, cast(Method, endpoint.method)
        if target not in self._objectives:
            objective = ModelObjective(self._source.forward, target, self._source.points)
            self._objectives[target] = objective
        if (target, method) not in self._explaining:
            objective = self._objectives[target]
            points = tf.TensorSpec(self._source.points.shape, tf.float32)
            self._explaining[target, method] = tf.function(
                functools.partial(explain, objective, method),
                input_signature=[points, tf.TensorSpec([None], tf.int64)],
                autograph=False,
            )
        return self._explaining[target, method]
