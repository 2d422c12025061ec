"""A model and a method as one function: the model's inputs in, the explanation out.

The Keras layer and the exported signatures are both made of these, so they cannot differ.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import cast

import tensorflow as tf

from tfgig.image.axes import from_picture, looks_channels_first
from tfgig.image.layout import Layout, spread_over
from tfgig.methods import Edge, LayerMethod, Method, Scales, explain, place_of
from tfgig.methods.explain import Explanation
from tfgig.models.graphs.cut import Cut
from tfgig.models.graphs.formats import is_other, pictured
from tfgig.models.graphs.inlining import inline, needed_for
from tfgig.models.graphs.places import Place
from tfgig.models.graphs.representation import representation
from tfgig.models.graphs.rows import refuse_mixed
from tfgig.models.graphs.texts import texts_of
from tfgig.models.source import SourceModel
from tfgig.objective import ModelObjective
from tfgig.paths import Blur
from tfgig.scaling import at_scales, outputs_of
from tfgig.spec import Named, as_tuple, check, leaves
from tfgig.targets import ClassScore, ModelOutputs, Target
from tfgig.tracing import Concrete, call_as_it_is, traced_once

TOKEN_TEXT = "token_text"
_FEWEST_AXES = 3  # of what has positions: the batch, positions, channels


def may_be_nan(spec: tf.TensorSpec, cut: Cut) -> bool:
    """Whether the model itself says what stands for NaN in an input, in front of a cut."""
    return spec not in cut.explained and spec not in cut.context


class Explaining:
    """Explanations of one source; each objective is traced once, and each method once.

    Args:
        source: The model.
        as_is: Whether methods are called as they are; see `tfgig.tracing`.
    """

    def __init__(self, source: SourceModel, as_is: bool = False) -> None:
        self._source = source
        self._as_is = as_is
        self._cut_at = functools.cache(lambda layer: source.at(layer).cut)
        self._objectives: dict[tuple[Cut, Target], ModelObjective] = {}
        self._functions: dict[tuple[Cut, Target, Method], Callable] = {}
        self._pictured = functools.cache(pictured)
        self._texts = functools.cache(lambda cut: texts_of(cut, source.inputs))

    def explained(self, method: Method, target: Target = ClassScore(), layer: Named = None) -> Cut:
        """The cut whose tensors the attributions are of."""
        if isinstance(method, Scales):
            return self._pixels(method, self._source.cut)
        cut = self._looked_at(method, target, layer)
        return self._pixels(method, cut) if method.lays_over else cut

    def has_texts(self, method: Method, target: Target = ClassScore()) -> bool:
        """Whether an explanation has the texts of its positions."""
        return (
            not isinstance(method, Scales)
            and self._texts(self._looked_at(method, target, None)) is not None
        )

    def place(
        self, method: Method, target: Target = ClassScore(), layer: Named = None
    ) -> Place | None:
        """The place that the attributions are of; None for the model's inputs, and for several.

        Raises:
            ValueError: part of the score does not come through it, or there is none to find.
        """
        name = None if method.lays_over else self._name(method, target, layer)
        survey = self._source.view.survey
        if not isinstance(name, str):
            return None
        if name in {s.name for s in self._source.inputs}:
            return None
        return survey(target.output_name).of(name)

    def _check_all_comes_through(self, cut: Cut, target: Target, name: Named) -> None:
        """Raises `ValueError` if part of the score has a way round the layers of a cut."""
        survey, inputs = self._source.view.survey, {spec.name for spec in self._source.inputs}
        if cut.context and not set(as_tuple(name)) <= inputs:
            survey(target.output_name).check_all_comes_through(as_tuple(name))

    def objective(self, cut: Cut, target: Target = ClassScore()) -> ModelObjective:
        """The score and its gradient by the points of a cut, traced once for all methods.

        Raises:
            ValueError: the explained output does not depend on what is explained.
        """
        if (cut, target) not in self._objectives:
            self._check_on_the_way(cut, target)
            forward = functools.partial(_laid_out, cut.forward)
            objective = ModelObjective(
                forward,
                target,
                cut.points,
                cut.context,
                cut.explained,
                functools.partial(representation, cut.forward, target),
            )
            self._objectives[cut, target] = objective
        return self._objectives[cut, target]

    def function(
        self, method: Method, target: Target, layer: Named = None
    ) -> Callable[..., Explanation]:
        """`(target int64 [B], *inputs [B, ...])` to an explanation, as `explain` returns it.

        Where several tensors are explained together, each has `attributions_<name>` of its own; so
        has each place of `Scales`, beside the map.
        Where the graph looks the strings of a text up, there is `token_text` string
        [B, positions], "" for padding.

        Args:
            method: The recipe; `At(place, recipe)` says where, too.
            target: The output to explain.
            layer: The names of layers or inputs for methods that name none; None for where the
                source is cut.
        """
        if isinstance(method, Scales):
            return self._at_scales(method, target, layer)
        cut = self._looked_at(method, target, layer)
        layout = self._layout(method, target, layer, cut)
        read = self._texts(cut)
        pixels = self._pixels(method, cut) if method.lays_over else None
        of = cut if pixels is None else pixels
        # Methods take the axes of a picture for height, width, channels.
        own = of.format_of(0) if is_other(of) else None
        cut, pixels = self._pictured(cut), None if pixels is None else self._pictured(pixels)
        traced = self._traced(method, target, cut)

        def explain_inputs(requested, *inputs):
            points, *context = cut.front(*inputs)
            points = self._marked(_shaped(points, cut, inputs), cut, inputs)
            explanation = dict(traced(tf.cast(points, tf.float32), requested, *context))
            if pixels is not None:
                image, *_ = pixels.front(*inputs)
                over = spread_over(explanation["attributions"], tf.shape(image), layout)
                explanation["attributions"] = tf.ensure_shape(over, pixels.points.shape)
            if own is not None:
                explanation["attributions"] = from_picture(explanation["attributions"], own)
            if cut.parts:
                attributions = cut.unpack(explanation.pop("attributions"))
                explanation |= zip(cut.attribution_names, attributions, strict=True)
            if read is not None:
                explanation[TOKEN_TEXT] = read(*inputs)
            return explanation

        return explain_inputs

    def scales(self, method: Scales, target: Target = ClassScore()) -> list[Place]:
        """The places of a method of several.

        Raises:
            ValueError: one does not lie over the picture, part of the score does not come through
                it, or there is none to find.
        """
        survey = self._source.view.survey
        found = survey(target.output_name)
        if not method.places:
            return found.scales()
        places = [self.place(method.at(name), target) for name in method.places]
        for name, place in zip(method.places, places, strict=True):
            check(
                place is not None and place.layout is not None,
                "Scales draws maps over the image, and this layer does not map onto it. "
                f"{found.known}",
                name,
            )
        return cast(list[Place], places)

    def _at_scales(self, method: Scales, target: Target, layer: Named) -> Callable:
        """`function` of a method of several places."""
        check(layer is None, "Scales(places=...) already names its layers.", layer)
        whole = self._pixels(method, self._source.cut)
        own = whole.format_of(0) if is_other(whole) else None
        pixels = self._pictured(whole)
        places = self.scales(method, target)
        at = {place: self.function(method.at(place.name), target) for place in places}

        def explain_inputs(requested, *inputs):
            image, *_ = pixels.front(*inputs)
            found = {place: explain(requested, *inputs) for place, explain in at.items()}
            explanation = at_scales(found, tf.shape(image), pixels.points.shape)
            if own is not None:
                explanation["attributions"] = from_picture(explanation["attributions"], own)
            return explanation

        return explain_inputs

    def beside(self, method: Method, target: Target = ClassScore()) -> dict[str, tuple]:
        """What is answered beside attributions and their quality: names and one example's shape."""
        places = self.scales(method, target) if isinstance(method, Scales) else []
        return {name: shape for place in places for name, shape in outputs_of(place).items()}

    def _check_channels(self, method: Method) -> None:
        """Raises `ValueError` for what works on pictures, of a model whose axes are not known."""
        entry = self._source.view.entry
        held = [method, *(value for _, value, _ in leaves(method))]
        found = [value for value in held if isinstance(value, (Blur, Edge, LayerMethod))]
        if entry is None or not found:
            return
        for index, spec in enumerate(entry.explained):
            check(
                entry.format_of(index) is not None or not looks_channels_first(spec.shape),
                f"{type(found[0]).__name__}() works on pictures, and the graph does not show which "
                "axes of this one are what: its channels seem to come first. Say it: "
                'data_format="channels_first" (--data_format=channels_first).',
                f"{spec.name!r} of shape {spec.shape}",
            )

    def _marked(self, points: tf.Tensor, cut: Cut, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """The points, with NaN in each row of which an input that is not explained is infinite.

        The model may hide it: the hyperbolic tangent of infinity is 1. NaN it hides on purpose
        alone, as what fills in missing values does.
        """
        for spec, values in zip(self._source.inputs, inputs, strict=True):
            if not spec.dtype.is_floating or spec in cut.explained:
                continue
            good = ~tf.math.is_inf(values) if may_be_nan(spec, cut) else tf.math.is_finite(values)
            finite = tf.reduce_all(good, list(range(1, values.shape.rank)))
            finite = tf.reshape(finite, [-1, *[1] * (points.shape.rank - 1)])
            points = tf.where(finite, points, tf.cast(float("nan"), points.dtype))
        return points

    def _name(self, method: Method, target: Target, layer: Named) -> Named:
        """The name of the layer or input that a method looks at; None for the inputs as they are.

        Of a method that is laid over the picture it is None, too, if it takes the last layer.
        """
        at = place_of(method)
        outer = self._source.view.layer if layer is None else layer
        if at is None:
            return outer
        named = at.place
        check(
            named is None or layer in (None, named),
            "The method and the explanation name different layers; name only one.",
            (named, layer),
        )
        if named is not None or outer is not None or at.lays_over:
            return outer if named is None else named
        return self._source.view.survey(target.output_name).found(at.positions).name

    def _looked_at(self, method: Method, target: Target, layer: Named) -> Cut:
        self._check_channels(method)
        name = self._name(method, target, layer)
        if name is None:
            return self._cut_at(None) if method.lays_over else self._source.cut
        cut = self._source.cut if name == self._source.view.layer else self._cut_at(name)
        self._check_on_the_way(cut, target)
        if not method.lays_over:
            self._check_all_comes_through(cut, target, name)
        return cut

    def _check_on_the_way(self, cut: Cut, target: Target) -> None:
        """Raises `ValueError` if the explained output does not depend on what is explained."""
        values = cut.forward.structured_outputs.values
        chosen = values.get(target.output_name)
        outputs = list(values.values()) if chosen is None else [chosen]
        if cut.forward.graph.inputs[0].op.name not in needed_for(outputs):
            known = self._source.view.survey(target.output_name).known
            raise ValueError(
                f"The explained output does not depend on {cut.points.name!r}; choose another "
                f"layer, or another output with output_name=... {known} Received: {target!r}."
            )
        refuse_mixed(cut, target.output_name)

    def _pixels(self, method: Method, cut: Cut) -> Cut:
        """The input over which the map of a layer is laid: the one that the layer comes from."""
        entry = self._source.view.entry
        found = [] if entry is None else list(enumerate(entry.explained))
        found = [(i, spec) for i, spec in found if (spec.shape.rank or 0) >= _FEWEST_AXES]
        if len(found) > 1 and cut.origins:
            names = frozenset[str]().union(*cut.origins)
            found = [(i, spec) for i, spec in found if spec.name in names]
        if entry is None or len(found) != 1:
            at = place_of(method)
            recipe = method if at is None else at.inner
            raise ValueError(
                f"{type(recipe).__name__} draws a layer's map over an image, a series or a volume, "
                "and the explained input is none of these. Name a layer that depends on a single "
                f"such input: At(place, method). Received: {self._source.name!r} with the inputs "
                f"{[spec.name for spec in self._source.inputs]}."
            )
        index, _ = found[0]
        return entry.only(index) if entry.parts else entry

    def _layout(self, method: Method, target: Target, layer: Named, cut: Cut) -> Layout | None:
        """How tokens lie over the picture that their map is laid over; None of other layers."""
        if not method.lays_over:
            return None
        axes = self._pictured(self._pixels(method, cut)).points.shape.rank
        if cut.points.shape.rank == axes:
            return None
        name, survey = self._name(method, target, layer), self._source.view.survey
        place = None
        if isinstance(name, str):
            place = survey(target.output_name).of(name)
        layout = None if place is None else place.layout
        check(
            layout is not None,
            "The layer's positions do not match those of the input; name another layer.",
            f"{cut.points.name!r} of shape {cut.points.shape}",
        )
        return layout

    def _traced(self, method: Method, target: Target, cut: Cut) -> Callable:
        objective = self.objective(cut, target)
        if (cut, target, method) not in self._functions:
            points = tf.TensorSpec(cut.points.shape, tf.float32)

            def explain_points(at, requested, *context):
                return explain(objective, method, at, requested, context)

            signature = [points, tf.TensorSpec([None], tf.int64), *cut.context]
            traced = traced_once(explain_points, signature)
            if self._as_is:
                traced = functools.partial(call_as_it_is, traced.get_concrete_function())
            self._functions[cut, target, method] = traced
        return self._functions[cut, target, method]


def _laid_out(forward: Concrete, *values: tf.Tensor) -> ModelOutputs:
    """The model without a call around it, so that a gradient is of what is asked for alone."""
    outputs = inline(forward, values, {})
    for output, known in zip(
        tf.nest.flatten(outputs), tf.nest.flatten(forward.structured_outputs), strict=True
    ):
        output.set_shape(known.shape)  # a copy's own may be less sure, behind a table
    return outputs


def _shaped(points: tf.Tensor, cut: Cut, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
    """The points in the shape of the cut, where it is known.

    A convolution that TensorFlow has fused with what follows it hands an empty batch on in the
    shape of its input.
    """
    features = cut.points.shape[1:]
    if not features.is_fully_defined():
        return points
    return tf.reshape(points, [tf.shape(inputs[0])[0], *features])
