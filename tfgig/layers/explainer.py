"""A model and a method as one Keras layer."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfgig import presets
from tfgig.explaining import TOKEN_TEXT, Explaining
from tfgig.exported.fit import check_shape
from tfgig.exported.signatures import target_beside
from tfgig.layers.checks import (
    as_tensor,
    check_count,
    check_names,
    check_ok,
    check_rows,
    check_targets,
    check_values,
    warn_of_gaps,
)
from tfgig.methods import Method
from tfgig.models import SourceModel, load_model
from tfgig.models.graphs.places import Place
from tfgig.objective import classes_of
from tfgig.plots import Explanation, Subject
from tfgig.plots.subject import PictureAxes
from tfgig.spec import check_is, from_config, to_config
from tfgig.targets import TOP_CLASS, ClassScore, Target
from tfgig.tracing import traced_once


@keras.saving.register_keras_serializable(package="tfgig")
class Explainer(keras.layers.Layer):
    """Explains a model's predictions: inputs in, attributions and their quality out.

        explainer = tfgig.Explainer(model, "guided_ig")
        explanation = explainer(images)            # the top class of each image
        explanation = explainer(images, target=7)  # class 7

    Works eagerly, in a `tf.function`, inside a functional Keras model, and through `.keras` files.

    Args:
        model: A Keras model, or the result of `tfgig.load_model`.
        method: A `Method`, or the name of a preset.
        target: The output to explain.
        layer: Where to explain the model: the name of a layer or an input, or several; None for all
            inputs.
        **options: Of `keras.layers.Layer`, such as `name`.

    Returns (of a call with `inputs` [B, ...], or several of them as the model takes them or by
    their names, and `target`, an int or int [B]; called eagerly a `tfgig.Explanation`, which
    notebooks draw, else a dictionary):
        `attributions` float32 [B, ...], signed, in the shape of the explained tensor (with several
        inputs, `attributions_<input>` for each); `target` int64 [B]; `score` and `baseline_score`
        float32 [B]; `delta` float32 [B], the completeness gap, sum of attributions minus (score -
        baseline score); `error` float32 [B], the estimated relative error of the attributions by
        integration (see `tfgig.methods.error`); `ok` bool [B]; for `Scales` also the attributions
        at each place; for texts that the model looks up itself, `token_text` string [B, positions].

    Raises (called eagerly):
        ValueError: inputs of the wrong shape, a NaN or infinite input, a target out of range, or a
            score or gradient that is not finite; the error names the row. In a graph such rows
            return `ok` false and zeros.
    """

    def __init__(
        self,
        model: keras.Model | SourceModel,
        method: Method | str,
        target: Target = ClassScore(),
        layer: str | Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        options.setdefault("dtype", "float32")  # pixels are not rounded by a mixed policy
        super().__init__(**options)
        self.supports_jit = False  # loops of unknown length: XLA cannot compile them
        self._method_name = method if isinstance(method, str) else ""
        method = presets.get(method) if isinstance(method, str) else method
        check_is(method, Method, "method")
        check_is(target, Target, "target")
        self.source = load_model(model, layer=layer)
        self.model = self.source.model.origin  # a Keras model is tracked, and saved, as a sub-layer
        self.method = method
        self.target = target
        explaining = self._explaining = Explaining(self.source)
        self._explained = explaining.explained(method, target)
        self._classes = classes_of(target, self.source.cut.forward.structured_outputs)
        explain = explaining.function(method, target)
        called = target_beside([spec.name for spec in self.source.inputs])
        signature = [tf.TensorSpec([None], tf.int64, called), *self.source.inputs]
        self._explain = traced_once(explain, signature)
        self.built = True

    @functools.cached_property
    def place(self) -> Place | None:
        """The explained inner tensor; None for the model's inputs."""
        return self._explaining.place(self.method, self.target)

    def call(self, inputs, target=None):
        specs = self.source.inputs
        given = self._in_order(inputs)
        tensors = [as_tensor(value, spec) for value, spec in zip(given, specs, strict=True)]
        check_rows([tensor.shape for tensor in tensors], specs)
        target = TOP_CLASS if target is None else target
        if tf.executing_eagerly():
            check_values(tensors, specs, self._explained)
            check_targets(target, len(tensors[0]), self._classes)
        target = tf.broadcast_to(tf.cast(target, tf.int64), tf.shape(tensors[0])[:1])
        explanation = self._explain(target, *tensors)
        if tf.executing_eagerly():
            check_ok(explanation["ok"])
            if self.method.complete:
                warn_of_gaps(explanation)
            return Explanation(explanation, self._subject(tensors))
        return explanation

    def compute_output_spec(self, inputs, target=None):
        specs, cut = self.source.inputs, self._explained
        shapes = [tf.TensorShape(tensor.shape) for tensor in self._in_order(inputs)]
        for shape, spec in zip(shapes, specs, strict=True):
            check_shape(shape, spec)
        check_rows(shapes, specs)
        rows = shapes[0][:1].as_list()
        given = dict(zip(specs, shapes, strict=True))  # an open axis may be known here
        explained = [given.get(spec, rows + spec.shape[1:].as_list()) for spec in cut.explained]
        texts = {}
        if self._explaining.has_texts(self.method, self.target):
            texts[TOKEN_TEXT] = keras.KerasTensor((*rows, cut.points.shape[1]), "string")
        return {
            **{
                name: keras.KerasTensor(tuple(shape), "float32")
                for name, shape in zip(cut.attribution_names, explained, strict=True)
            },
            "target": keras.KerasTensor(rows, "int64"),
            "score": keras.KerasTensor(rows, "float32"),
            "baseline_score": keras.KerasTensor(rows, "float32"),
            "delta": keras.KerasTensor(rows, "float32"),
            "error": keras.KerasTensor(rows, "float32"),
            "ok": keras.KerasTensor(rows, "bool"),
            **{
                name: keras.KerasTensor((*rows, *shape), "float32")
                for name, shape in self._explaining.beside(self.method, self.target).items()
            },
            **texts,
        }

    def get_config(self):
        if not isinstance(self.model, keras.Model) or not self._is_as_served():
            raise ValueError(
                "Only an Explainer of an unmodified Keras model can be saved as a Keras layer; "
                f"export others with tfgig.export_saved_model. Received: {self.source.name!r}."
            )
        return {
            **super().get_config(),
            "model": self.model,  # Keras itself serializes it: once, however many layers share it
            "method": to_config(self.method),
            "target": to_config(self.target),
            "layer": self.source.view.layer,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config["model"], dict):
            config["model"] = keras.saving.deserialize_keras_object(config["model"])
        config["method"] = from_config(config["method"])
        config["target"] = from_config(config["target"])
        return cls(**config)

    def _is_as_served(self) -> bool:
        """Whether it takes what the model takes: no files for images, nothing fixed."""
        return self.source.inputs == self.source.model.served.inputs

    def _subject(self, tensors: list[tf.Tensor]) -> Subject:
        """What an explanation of these inputs is of."""
        inner = self._explained is not self.source.view.entry
        return Subject(
            inputs={spec.name: t for spec, t in zip(self.source.inputs, tensors, strict=True)},
            method=self._method_name,
            target=None if self.target.of_classes else type(self.target).__name__,
            class_names=self.source.model.labels,
            value_range=self.source.value_range,
            layout=None if self.place is None else self.place.layout,
            inner=inner,
            axes=self._axes(),
        )

    def _axes(self) -> PictureAxes | None:
        """Which axes of the picture, and of what is drawn over it, are what."""
        picture = self.source.picture
        if picture is None:
            return None
        drawn, data_format = picture.drawn(self._explained)
        explained = drawn.removeprefix("attributions").removeprefix("_")
        return PictureAxes(picture.spec.name, explained, picture.data_format, data_format)

    def _in_order(self, inputs: Any) -> list[Any]:
        """The inputs, given as the model takes them or by name, in the order of its own."""
        names = [spec.name for spec in self.source.inputs]
        if isinstance(inputs, dict):
            served = self.source.model.served.keys
            keys = served if set(inputs) == set(served) else names
            check_names(inputs, keys)
            return [inputs[key] for key in keys]
        if len(names) == 1 and not isinstance(inputs, tuple):
            return [inputs]
        flat = keras.tree.flatten(inputs) if isinstance(inputs, (list, tuple)) else inputs
        check_count(flat, names)
        return list(flat)
