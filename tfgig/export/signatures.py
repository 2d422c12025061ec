"""The graphs behind an export: one function for each signature, all sharing one objective."""

from __future__ import annotations

import functools
import inspect
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import tensorflow as tf

from tfgig.explaining import Explaining
from tfgig.export.endpoint import Endpoint
from tfgig.export.guard import guarded, unless_empty
from tfgig.export.lane import Entrance
from tfgig.exported.kinds import KINDS, Material
from tfgig.exported.lane import Lane
from tfgig.exported.signatures import BESIDE, SERVING_DEFAULT, target_beside
from tfgig.image import Style
from tfgig.image.layout import Layout
from tfgig.image.style import encode_png
from tfgig.methods import Method
from tfgig.models import SourceModel
from tfgig.models.graphs.constants import has_rows
from tfgig.models.graphs.cut import Cut
from tfgig.models.graphs.places import Place
from tfgig.spec import check
from tfgig.targets import TOP_CLASS
from tfgig.tracing import WHOLE, traced_once


class Signatures:
    """Builds the functions of an export.

    The model is traced once, its gradient once for each target, and each method once; heat-map
    and attributions of one method share its graph. Before each signature stands a guard, and
    before those that explain the lane.

    Args:
        source: The model.
        explaining: Its explanations.
        lane: How explanations share the machine with predictions.
    """

    def __init__(self, source: SourceModel, explaining: Explaining, lane: Lane = Lane()) -> None:
        names = [spec.name for spec in source.inputs]
        self._target = target_beside(names)
        check(
            BESIDE not in names,
            f"Explaining signatures use the name {BESIDE!r} for the class to explain; rename the "
            "model's input.",
            names,
        )
        _check_names(names)
        self._source = source
        self._explaining = explaining
        self._entrance = Entrance(lane)
        self._draw = functools.cache(functools.partial(_drawing, source.value_range))

    def build(self, endpoints: Sequence[Endpoint]) -> dict[str, Callable]:
        """The functions by signature name, `serving_default` first.

        Raises:
            ValueError: a name is taken, or the model has nothing for an endpoint of that kind.
        """
        # A model's other signatures go along; among them may be its own serving_default.
        served = self._source.model.served
        kept = {
            name: _kept(function, served.defaults.get(name, {}))
            for name, function in served.signatures.items()
        }
        functions = {SERVING_DEFAULT: self._serve(), **kept}
        for endpoint in endpoints:
            check(
                endpoint.name not in functions,
                "The model already has a signature with this name; rename the endpoint.",
                endpoint.name,
            )
            functions[endpoint.name] = self._explaining_signature(endpoint)
        return functions

    def explained(self, endpoint: Endpoint) -> Cut:
        """The cut whose tensors an endpoint's attributions are of."""
        return self._cut(endpoint)

    def place(self, endpoint: Endpoint) -> Place | None:
        """Where an endpoint explains the model; None for its inputs."""
        method = cast(Method, endpoint.method)
        return self._explaining.place(method, endpoint.target, endpoint.layer)

    def _serve(self) -> Callable:
        served = self._source.model.served

        def predict(*inputs):
            values = served.serve(*inputs).values
            return {served.output_names[name]: value for name, value in values.items()}

        return _guarded(predict, served.inputs, served.defaults.get(SERVING_DEFAULT, {}))

    def _explaining_signature(self, endpoint: Endpoint) -> Callable:
        kind, source, specs = KINDS[endpoint.kind], self._source, self._source.inputs
        obstacle = kind.obstacle(source, self._cut(endpoint))
        if obstacle is not None:
            raise ValueError(obstacle)
        explain = self._explain(endpoint)
        place = self.place(endpoint)
        draw = self._draw(endpoint.overlay, None if place is None else place.layout)
        material = Material(source, self._cut(endpoint), explain, draw)
        answer, taken = kind.build(material), _structure(specs)
        # An eager tensor as the default becomes the signature's default over gRPC.
        top_class = tf.constant([TOP_CLASS], tf.int64)

        def explain_target(inputs, target=top_class):
            inputs = guarded(_in_order(inputs, specs), specs)
            target = tf.broadcast_to(target, tf.shape(inputs[0])[:1])
            return self._entrance.through(answer, [target, *inputs], endpoint.name)

        def explain_top_class(inputs):
            return explain_target(inputs, tf.constant([TOP_CLASS], tf.int64))

        if kind.takes_target:
            signature = [taken, tf.TensorSpec([None], tf.int64, self._target)]
            return tf.function(explain_target, input_signature=signature, autograph=False)
        return tf.function(explain_top_class, input_signature=[taken], autograph=False)

    def _cut(self, endpoint: Endpoint) -> Cut:
        return self._explaining.explained(
            cast(Method, endpoint.method), endpoint.target, endpoint.layer
        )

    def _explain(self, endpoint: Endpoint) -> Callable:
        return self._explaining.function(
            cast(Method, endpoint.method), endpoint.target, endpoint.layer
        )


def _drawing(
    value_range: tuple[float, float] | None, overlay: Style, layout: Layout | None
) -> Callable:
    """Draws images and attributions, each [B, ...], as files; one graph for all heat-maps."""

    def draw(images, attributions):
        over = overlay.laid_over(attributions, images, layout)
        return encode_png(overlay.draw(images, over, cast(tuple, value_range)))

    return traced_once(draw, attributes=WHOLE)


def _kept(
    function: tf.types.experimental.ConcreteFunction, defaults: Mapping[str, np.ndarray]
) -> Callable:
    """A signature of the model's own, behind a guard."""
    specs, _ = function.structured_input_signature
    if defaults:
        return _guarded(function, specs, defaults)

    def call(*values):
        return _answer(function, specs, values)

    # Concrete, with the specs' own names for its inputs.
    return tf.function(call, autograph=False).get_concrete_function(*specs)


def _answer(function: Callable, specs: Sequence[tf.TensorSpec], values: Sequence[tf.Tensor]) -> Any:
    """`function(*values)`, behind a guard; what has no rows is the same for all of them."""
    values = guarded(values, specs)
    rows = [has_rows(spec) for spec in specs]

    def call(*those):
        given = iter(those)
        inputs = (next(given) if row else value for row, value in zip(rows, values, strict=True))
        return function(*inputs)

    if not any(rows):
        return function(*values)
    return unless_empty(call, [v for v, row in zip(values, rows, strict=True) if row])


def _guarded(
    function: Callable, specs: Sequence[tf.TensorSpec], defaults: Mapping[str, np.ndarray]
) -> Callable:
    """A signature of `function(*inputs)`, behind a guard; some inputs may be left out."""
    optional = [spec for spec in specs if spec.name in defaults]
    needed = [spec for spec in specs if spec.name not in defaults]

    def serve(*values):
        given = dict(zip([spec.name for spec in optional], values[bool(needed) :], strict=True))
        if needed:
            inputs = _in_order(values[0], needed)
            given |= zip([spec.name for spec in needed], inputs, strict=True)
        return _answer(function, specs, [given[spec.name] for spec in specs])

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("inputs", kind)] if needed else []
    for spec in optional:
        # An eager tensor as the default becomes the signature's default over gRPC.
        default = tf.constant(defaults[spec.name], spec.dtype)
        word = re.sub(r"\W", "_", spec.name)
        parameters.append(inspect.Parameter(word, kind, default=default))
    serve.__dict__["__signature__"] = inspect.Signature(parameters)  # what TensorFlow looks at
    taken = [*([_structure(needed)] if needed else []), *optional]
    return tf.function(serve, input_signature=taken, autograph=False)


def _check_names(names: Sequence[str]) -> None:
    """Raises `ValueError` for names of inputs that TensorFlow cannot write into a signature."""
    words = [re.sub(r"\W", "_", name) for name in names]
    for name, word in zip(names, words, strict=True):
        check(
            word.isidentifier() and not keyword.iskeyword(word) and word != "self",
            "A signature input cannot have this name; rename the model's input.",
            name,
        )
    check(
        len({word.lower() for word in words}) == len(words),
        "In a signature, input names must differ by more than case and punctuation; rename the "
        "model's inputs.",
        list(names),
    )


def _structure(specs: Sequence[tf.TensorSpec]) -> tf.TensorSpec | dict[str, tf.TensorSpec]:
    """One input as it is, several by their names: so Keras's `TFSMLayer` takes them."""
    return specs[0] if len(specs) == 1 else {spec.name: spec for spec in specs}


def _in_order(inputs: Any, specs: Sequence[tf.TensorSpec]) -> list[tf.Tensor]:
    return [inputs] if len(specs) == 1 else [inputs[spec.name] for spec in specs]
