"""A model and a method as one Keras layer."""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from tfgig import presets
from tfgig.layers.checks import check_shape, check_targets, check_values
from tfgig.methods import Method, explain
from tfgig.models import SourceModel, load_model
from tfgig.objective import ModelObjective
from tfgig.spec import check_is, from_config, to_config
from tfgig.targets import TOP_CLASS, ClassScore, Target


@keras.saving.register_keras_serializable(package="tfgig")
class Explainer(keras.layers.Layer):
    """Explains a model's predictions: inputs in, attributions and their quality out.

        explainer = tfgig.Explainer(model, "guided_ig")
        explanation = explainer(images)            # the top class of each image
        explanation = explainer(images, target=7)  # class 7

    Works eagerly, in a `tf.function`, inside a functional Keras model, and through `.keras` files.

    Args:
        model: What is explained: a Keras model, or what `tfgig.load_model` returns.
        method: A `Method`, or the name of a preset.
        target: Which output is explained.
        **options: Of `keras.layers.Layer`, such as `name`.

    Returns (of a call with `inputs` [B, ...] and `target`, an int or int [B]):
        `attributions` float32 [B, ...], signed, in the shape of the inputs; `target` int64 [B];
        `score` and `baseline_score` float32 [B]; `delta` float32 [B], the completeness gap, sum
        of attributions minus (score - baseline score); `ok` bool [B].

    Raises (called eagerly):
        ValueError: inputs of another shape, a NaN or infinite input, or a target out of range;
            the error names the row. In a graph such rows come back with `ok` false and zeros.
    """

    def __init__(
        self,
        model: keras.Model | SourceModel,
        method: Method | str,
        target: Target = ClassScore(),
        **options: Any,
    ) -> None:
        options.setdefault("dtype", "float32")  # pixels are not rounded by a mixed policy
        super().__init__(**options)
        method = presets.get(method) if isinstance(method, str) else method
        check_is(method, Method, "method")
        check_is(target, Target, "target")
        self.source = load_model(model)
        self.model = self.source.origin  # a Keras model is tracked, and saved, as a sub-layer
        self.method = method
        self.target = target
        self._objective = ModelObjective(self.source.forward, target, self.source.points)
        points = tf.TensorSpec(self.source.points.shape, tf.float32, "inputs")
        signature = [points, tf.TensorSpec([None], tf.int64, "target")]
        self._explain = tf.function(
            functools.partial(explain, self._objective, method),
            input_signature=signature,
            autograph=False,
        )
        self.built = True

    def call(self, inputs, target=None):
        inputs = tf.convert_to_tensor(inputs)
        check_shape(inputs.shape, self.source.points)
        target = TOP_CLASS if target is None else target
        if tf.executing_eagerly():
            check_values(inputs)
            check_targets(target, len(inputs), self._classes())
        rows = tf.shape(inputs)[:1]
        target = tf.broadcast_to(tf.cast(target, tf.int64), rows)
        return self._explain(tf.cast(inputs, tf.float32), target)

    def compute_output_spec(self, inputs, target=None):
        check_shape(tf.TensorShape(inputs.shape), self.source.points)
        rows = inputs.shape[:1]
        return {
            "attributions": keras.KerasTensor(inputs.shape, "float32"),
            "target": keras.KerasTensor(rows, "int64"),
            "score": keras.KerasTensor(rows, "float32"),
            "baseline_score": keras.KerasTensor(rows, "float32"),
            "delta": keras.KerasTensor(rows, "float32"),
            "ok": keras.KerasTensor(rows, "bool"),
        }

    def get_config(self):
        if not isinstance(self.model, keras.Model):
            raise ValueError(
                "Only an Explainer of a Keras model can be saved as a Keras layer; export others "
                f"with tfgig.export_saved_model. Received: {self.source.name!r}."
            )
        return {
            **super().get_config(),
            "model": self.model,  # Keras itself serializes it: once, however many layers share it
            "method": to_config(self.method),
            "target": to_config(self.target),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config["model"], dict):
            config["model"] = keras.saving.deserialize_keras_object(config["model"])
        config["method"] = from_config(config["method"])
        config["target"] = from_config(config["target"])
        return cls(**config)

    def _classes(self) -> int | None:
        return self.target.classes(self.source.forward.structured_outputs)
