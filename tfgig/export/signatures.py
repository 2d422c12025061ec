"""The graphs behind an export: one function for each signature, all sharing one objective."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import tensorflow as tf

from tfgig.export.endpoint import Endpoint
from tfgig.image.resize import over_picture
from tfgig.image.style import encode_png
from tfgig.methods import Method
from tfgig.models import SourceModel
from tfgig.models.cut import Cut
from tfgig.models.explaining import Explaining
from tfgig.spec import check
from tfgig.targets import TOP_CLASS

TARGET = "target"


class Signatures:
    """Builds the functions of an export.

    The model is traced once, its gradient once for each target, and each method once; heat-map
    and attributions of one method share its graph.
    """

    def __init__(self, source: SourceModel) -> None:
        check(
            all(spec.name != TARGET for spec in source.inputs),
            f"An explaining signature has an input {TARGET!r} of its own; rename the model's.",
            [spec.name for spec in source.inputs],
        )
        _check_names([spec.name for spec in source.inputs])
        self._source = source
        self._explaining = Explaining(source)

    def build(self, endpoints: Sequence[Endpoint]) -> dict[str, Callable]:
        """The functions by signature name, `serving_default` first."""
        # A model's other signatures go along; among them may be its own serving_default.
        functions = {"serving_default": self._serve(), **self._source.signatures}
        make = {
            "attributions": self._attributions,
            "tokens": self._tokens,
            "heatmap": self._heatmap,
        }
        for endpoint in endpoints:
            check(
                endpoint.name not in functions,
                "The model has a signature of this name; give the endpoint another.",
                endpoint.name,
            )
            functions[endpoint.name] = make[endpoint.kind](endpoint)
        return functions

    def explained(self, endpoint: Endpoint) -> tuple[tf.TensorSpec, ...]:
        """What an endpoint's attributions are of, each [None, ...]."""
        return self._cut(endpoint).explained

    def _serve(self) -> Callable:
        source = self._source

        def serve(inputs):
            values = source.serve(*_in_order(inputs, source.served)).values
            return {source.signature_outputs[name]: value for name, value in values.items()}

        return tf.function(serve, input_signature=[_structure(source.served)], autograph=False)

    def _tokens(self, endpoint: Endpoint) -> Callable:
        explain = self._explain(endpoint)
        cut = self._cut(endpoint)
        check(
            not cut.parts and cut.points.shape.rank == 3,
            "Tokens are the positions of one sequence, [B, positions, features]; explain the "
            'model at its embedding, with layer="...".',
            f"{cut.points.name!r} of shape {cut.points.shape}",
        )

        def explain_tokens(target, *inputs):
            explanation = explain(target, *inputs)
            return {"tokens": tf.reduce_sum(explanation.pop("attributions"), -1), **explanation}

        return self._for_target(explain_tokens)

    def _attributions(self, endpoint: Endpoint) -> Callable:
        return self._for_target(self._explain(endpoint))

    def _for_target(self, explain: Callable) -> Callable:
        """The signature of `explain(target, *inputs)`, whose target has a default."""
        specs = self._source.inputs
        signature = [_structure(specs), tf.TensorSpec([None], tf.int64, TARGET)]
        # An eager tensor as the default becomes the signature's default over gRPC.
        top_class = tf.constant([TOP_CLASS], tf.int64)

        def explain_target(inputs, target=top_class):
            inputs = _in_order(inputs, specs)
            target = tf.broadcast_to(target, tf.shape(inputs[0])[:1])
            return explain(target, *inputs)

        return tf.function(explain_target, input_signature=signature, autograph=False)

    def _heatmap(self, endpoint: Endpoint) -> Callable:
        explain, source, overlay = self._explain(endpoint), self._source, endpoint.overlay
        signature = [_structure(source.inputs)]
        drawn = source.drawn(self._cut(endpoint))
        black, white = cast(tuple[float, float], source.value_range)
        file = tf.TensorSpec([], tf.string)

        def draw(images, attributions):
            attributions = over_picture(attributions, images)
            return encode_png(overlay.draw(images, attributions, (black, white)))

        def draw_original(row):
            encoded, attributions = row
            image = cast(Callable, source.originals)(encoded)
            return draw(image[tf.newaxis], attributions[tf.newaxis])[0]

        def draw_heatmap(inputs):
            inputs = _in_order(inputs, source.inputs)
            target = tf.fill(tf.shape(inputs[0])[:1], tf.constant(TOP_CLASS, tf.int64))
            explanation = explain(target, *inputs)
            attributions = explanation[drawn]
            if source.originals is None:
                images = tf.cast(source.picture(*inputs), tf.float32)
                images = tf.where(tf.math.is_finite(images), images, black)
                files = draw(images, attributions)
            else:
                files = tf.map_fn(draw_original, (*inputs, attributions), fn_output_signature=file)
            kept = {name: explanation[name] for name in ("target", "score", "delta", "ok")}
            return {"heatmap_bytes": files, **kept}

        return tf.function(draw_heatmap, input_signature=signature, autograph=False)

    def _cut(self, endpoint: Endpoint) -> Cut:
        return self._explaining.explained(cast(Method, endpoint.method), endpoint.layer)

    def _explain(self, endpoint: Endpoint) -> Callable:
        return self._explaining.function(
            cast(Method, endpoint.method), endpoint.target, endpoint.layer
        )


def _check_names(names: Sequence[str]) -> None:
    """Raises `ValueError` for names of inputs that TensorFlow cannot write into a signature."""
    words = [re.sub(r"\W", "_", name) for name in names]
    for name, word in zip(names, words, strict=True):
        check(
            word.isidentifier() and not keyword.iskeyword(word) and word != "self",
            "A signature cannot have an input of this name; rename the model's.",
            name,
        )
    check(
        len({word.lower() for word in words}) == len(words),
        "In a signature, the names of inputs must differ by more than case and punctuation; "
        "rename the model's.",
        list(names),
    )


def _structure(specs: Sequence[tf.TensorSpec]) -> tf.TensorSpec | dict[str, tf.TensorSpec]:
    """One input as it is, several by their names: so Keras's `TFSMLayer` takes them."""
    return specs[0] if len(specs) == 1 else {spec.name: spec for spec in specs}


def _in_order(inputs: Any, specs: Sequence[tf.TensorSpec]) -> list[tf.Tensor]:
    return [inputs] if len(specs) == 1 else [inputs[spec.name] for spec in specs]
