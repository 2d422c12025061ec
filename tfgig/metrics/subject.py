"""The model side of metrics: what is asked of a model and a method under examination."""

from __future__ import annotations

import contextlib
import dataclasses
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import numpy as np
import tensorflow as tf

from tfgig import layers
from tfgig.baselines import Baseline
from tfgig.image.layout import Layout
from tfgig.methods import Method
from tfgig.metrics.saliency import pixel_saliency
from tfgig.metrics.smoothed import Smoothed
from tfgig.models import SourceModel, load_model
from tfgig.regions import Regional
from tfgig.spec import check, leaves, replace_all
from tfgig.targets import ClassScore, Target

EvaluatedMethod = Method | Regional | Smoothed
Probabilities = Literal["as_is", "softmax", "sigmoid"]
PROBABILITIES = get_args(Probabilities)
_ACTIVATIONS: dict[str, Callable] = {
    "as_is": lambda output: output,
    "softmax": lambda output: tf.nn.softmax(output),
    "sigmoid": lambda output: tf.sigmoid(output),
}
_POINTS_PER_CALL = 32
_ROWS_PER_EXPLANATION = 16


class Subject:
    """A model of images and a method that explains it, to be judged.

    Args:
        model: A Keras model, or what `tfgig.load_model` takes or returns.
        method: The explaining method, alone, over regions or smoothed.
        target: The output to explain.
        probabilities: How to get probabilities from the model's output: "as_is", "softmax" or
            "sigmoid".
    """

    def __init__(
        self,
        model: Any,
        method: EvaluatedMethod,
        target: Target = ClassScore(),
        probabilities: Probabilities = "as_is",
    ) -> None:
        check(
            probabilities in PROBABILITIES,
            f"`probabilities` must be one of {PROBABILITIES}.",
            probabilities,
        )
        self.source: SourceModel = load_model(model)
        picture = self.source.picture
        check(
            picture is not None
            and picture.data_format == "channels_last"
            and len(self.source.inputs) == 1
            and self.source.view.at_inputs,
            "Metrics need an image model with one input, channels last, [B, height, width, 1, 3 or "
            "4], explained at that input.",
            {spec.name: spec.shape.as_list() for spec in self.source.inputs},
        )
        self.method = method
        self.target = target
        self.probabilities = probabilities
        self._gathered = None if isinstance(method, Method) else method
        inner = method if isinstance(method, Method) else method.method
        explainer = layers.Explainer(self.source, inner, target)
        self.layout = _layout_of(explainer)
        self._explain = _in_graph(explainer)
        self._between: tuple[Callable, tf.Variable] | None = None

    @property
    def only_ranks(self) -> bool:
        """Whether maps only rank pixels and are not attributions: over regions, or smoothed."""
        return self._gathered is not None

    @property
    def value_range(self) -> tuple[float, float]:
        """The values of black and white in the model's input units.

        Raises:
            ValueError: it is unknown.
        """
        if self.source.value_range is None:
            raise ValueError(
                "The value range of the model's input is unknown; give it: tfgig.load_model(..., "
                "value_range=(0, 255)), or --value_range=0,255."
            )
        return self.source.value_range

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The probabilities of all classes, float64 [N, classes], at images [N, H, W, C]."""
        predicted = self._in_parts(self._probabilities, images)
        check(
            predicted.ndim == 2 and predicted.shape[1] > 1,
            "Metrics need the top class, so the model must output at least two classes, [N, "
            "classes]. To get two from one probability p: keras.layers.Concatenate()([1 - p, p]).",
            ["N", *predicted.shape[1:]],
        )
        if self.probabilities == "as_is" and not _are_probabilities(predicted):
            raise ValueError(
                "The model's outputs are not probabilities; convert them with "
                'probabilities="softmax" or "sigmoid" (--probabilities=softmax). Received: values '
                f"from {predicted.min():.3g} to {predicted.max():.3g}."
            )
        return predicted

    def scores(self, images: np.ndarray, target: int) -> np.ndarray:
        """The explained score of one class, float64 [N], at images [N, H, W, C]."""

        def score(points: tf.Tensor) -> tf.Tensor:
            classes = tf.fill(tf.shape(points)[:1], tf.constant(target, tf.int64))
            return self.target.select(self._forward(points), classes)

        return self._in_parts(score, images)

    def explain(self, images: np.ndarray, targets: Any = -1) -> dict[str, np.ndarray]:
        """The explanation of images [B, H, W, C] for classes (int [B], or -1 for the top class).

        As returned by `tfgig.Explainer`, but a row that cannot be explained has `ok` false instead
        of raising an error: one bad image must not end a study of thousands.
        """
        images = np.asarray(images, np.float32)
        found = _in_rows(self._explain, images, targets)
        if self._gathered is not None:
            good, pixels = found["ok"], found["attributions"]
            if self.layout is not None:
                pixels = pixel_saliency(pixels, None, self.layout)[..., np.newaxis]
            found["attributions"] = np.zeros((*pixels.shape[:-1], 1), np.float32)
            found["attributions"][good] = self._gathered.gather(pixels[good], images[good])
        return found

    def explain_between(
        self, starts: np.ndarray, ends: np.ndarray, target: int
    ) -> np.ndarray | None:
        """Attributions [B, H, W, C] of paths from `starts` to `ends`; None without a baseline.

        A method has no baseline image if its path owns another kind of start (a blurred image), if
        it uses an inner layer, or if it is not a path method; regions have none either.
        """
        if self._between is None and not self.only_ranks and self.layout is None:
            self._between = self._with_given_starts()
        if self._between is None:
            return None
        explain, held = self._between
        held.assign(starts)
        targets = np.full(len(ends), target, np.int64)
        explanation = explain(tf.constant(ends, tf.float32), tf.constant(targets))
        if not explanation["ok"].numpy().all():
            return None
        return explanation["attributions"].numpy()

    @contextlib.contextmanager
    def randomized(self, seed: int) -> Iterator[bool]:
        """The model with the values of each trainable weight shuffled; yields if it has weights.

        Shuffling keeps the distribution of each layer's weights. They are always restored at the
        end.
        """
        weights = [v for v in self.source.model.serve.variables if v.trainable and v.shape.rank]
        kept = [weight.numpy() for weight in weights]
        try:
            for weight, values in zip(weights, kept, strict=True):
                # Seeded by the weight itself: a traced function lists its variables in no order
                # that another process would repeat.
                random = np.random.default_rng((seed, zlib.crc32(values.tobytes())))
                weight.assign(random.permutation(values.ravel()).reshape(values.shape))
            yield bool(weights)
        finally:
            for weight, values in zip(weights, kept, strict=True):
                weight.assign(values)

    def _forward(self, images: tf.Tensor) -> Any:
        return self.source.model.serve(_of_dtype(images, self.source.inputs[0].dtype))

    def _probabilities(self, images: tf.Tensor) -> tf.Tensor:
        values = self._forward(images).values
        name = self.target.output_name
        output = values[name] if name in values else next(iter(values.values()))
        return _ACTIVATIONS[self.probabilities](tf.cast(output, tf.float32))

    def _in_parts(self, function: Callable, images: np.ndarray) -> np.ndarray:
        images = np.asarray(images, np.float32)
        parts = [
            function(tf.constant(images[i : i + _POINTS_PER_CALL])).numpy()
            for i in range(0, len(images), _POINTS_PER_CALL)
        ]
        return np.concatenate(parts).astype(np.float64)

    def _with_given_starts(self) -> tuple[Callable, tf.Variable] | None:
        names = [name for name, value, _ in leaves(self.method) if isinstance(value, Baseline)]
        if not names:
            return None
        shape = self.source.inputs[0].shape
        held = tf.Variable(tf.zeros([0, *shape[1:]]), shape=shape, trainable=False)
        method: Any = replace_all(self.method, {name: _Given(held) for name in names})
        return _in_graph(layers.Explainer(self.source, method, self.target)), held


@dataclasses.dataclass(frozen=True, eq=False)
class _Given(Baseline):
    """For each row a start of its own, from a variable [B, ...] that is set before the call."""

    held: tf.Variable

    def __call__(self, inputs, objective):
        return self.held.read_value()[tf.newaxis]


def _layout_of(explainer: layers.Explainer) -> Layout | None:
    """How the layer that is explained lies over the picture; None for pixels.

    Raises:
        ValueError: it does not lie over the picture.
    """
    if explainer.place is None:
        return None
    check(
        explainer.place.layout is not None,
        "Metrics need a height and a width, and this layer has none; name another layer.",
        explainer.place.name,
    )
    return explainer.place.layout


def _in_graph(explainer: layers.Explainer) -> Callable:
    """The layer as a function of a graph, where a bad row is marked instead of refused."""
    (spec,) = explainer.source.inputs

    def explain(images, targets):
        return explainer(_of_dtype(images, spec.dtype), target=targets)

    signature = [tf.TensorSpec(spec.shape, tf.float32), tf.TensorSpec([None], tf.int64)]
    return tf.function(explain, input_signature=signature, autograph=False)


def _of_dtype(images: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Images in the model's own dtype, rounded where that holds whole pixels."""
    return tf.cast(tf.round(images) if dtype.is_integer else images, dtype)


def _in_rows(explain: Callable, images: np.ndarray, targets: Any) -> dict[str, np.ndarray]:
    targets = np.broadcast_to(np.asarray(targets, np.int64), [len(images)])
    parts = []
    for i in range(0, len(images), _ROWS_PER_EXPLANATION):
        rows = slice(i, i + _ROWS_PER_EXPLANATION)
        explanation = explain(tf.constant(images[rows]), tf.constant(targets[rows]))
        parts.append({name: value.numpy() for name, value in explanation.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _are_probabilities(values: np.ndarray) -> bool:
    return not np.any((values < -1e-6) | (values > 1 + 1e-6))  # a NaN is another matter
