"""The graphs behind an export: one function for each signature, all sharing one objective."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import tensorflow as tf

from tfgig.export.endpoint import Endpoint
from tfgig.exported.kinds import KINDS, Material
from tfgig.exported.signatures import SERVING_DEFAULT, TARGET
from tfgig.methods import Method
from tfgig.models import SourceModel
from tfgig.models.cut import Cut
from tfgig.models.explaining import Explaining
from tfgig.spec import check
from tfgig.targets import TOP_CLASS


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
        """The functions by signature name, `serving_default` first.

        Raises:
            ValueError: a name is taken, or the model has nothing for an endpoint of that kind.
        """
        # A model's other signatures go along; among them may be its own serving_default.
        functions = {SERVING_DEFAULT: self._serve(), **self._source.signatures}
        for endpoint in endpoints:
            check(
                endpoint.name not in functions,
                "The model has a signature of this name; give the endpoint another.",
                endpoint.name,
            )
            functions[endpoint.name] = self._explaining_signature(endpoint)
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

    def _explaining_signature(self, endpoint: Endpoint) -> Callable:
        kind, source, specs = KINDS[endpoint.kind], self._source, self._source.inputs
        obstacle = kind.obstacle(source, self._cut(endpoint))
        if obstacle is not None:
            raise ValueError(obstacle)
        explain = self._explain(endpoint)
        material = Material(source, self._cut(endpoint), explain, endpoint.overlay)
        answer, taken = kind.build(material), _structure(specs)
        # An eager tensor as the default becomes the signature's default over gRPC.
        top_class = tf.constant([TOP_CLASS], tf.int64)

        def explain_target(inputs, target=top_class):
            inputs = _in_order(inputs, specs)
            target = tf.broadcast_to(target, tf.shape(inputs[0])[:1])
            return answer(target, *inputs)

        def explain_top_class(inputs):
            return explain_target(inputs, tf.constant([TOP_CLASS], tf.int64))

        if kind.takes_target:
            signature = [taken, tf.TensorSpec([None], tf.int64, TARGET)]
            return tf.function(explain_target, input_signature=signature, autograph=False)
        return tf.function(explain_top_class, input_signature=[taken], autograph=False)

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
