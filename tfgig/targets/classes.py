"""Targets on classes: one score for each of them, [N, classes], or [N] for a single one."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfgig.spec import check, is_whole
from tfgig.targets.base import (
    TOP_CLASS,
    Form,
    ModelOutputs,
    Resolved,
    Target,
    check_form,
    has_unit,
    unit_of,
)


@dataclasses.dataclass(frozen=True)
class ClassScore(Target):
    """The score of one class, by index; by default the top class at the inputs.

    The top class is found once, at the inputs, and fixed along the path.

    Args:
        output: "as_is", the model's own output; "logits", the input of its last softmax or sigmoid;
            "probabilities" or "log_probabilities", the output of that. A model that ends in neither
            is assumed to return logits.
        output_name: The output, for models with several.
    """

    kind = "class_score"
    of_classes = True
    output: Form = "as_is"

    def __post_init__(self) -> None:
        check_form(self.output, self)

    def resolve(self, outputs, requested):
        return resolve_class(self._scores(outputs), requested)

    def select(self, outputs, target):
        return tf.gather(self._scores(outputs), target, axis=1, batch_dims=1)

    def classes(self, outputs):
        return self._scores(outputs).shape[1]

    def _scores(self, outputs: ModelOutputs) -> tf.Tensor:
        return class_scores(self._value(outputs, self.output), self)


@dataclasses.dataclass(frozen=True)
class Contrast(Target):
    """`score of class a - score of class b`: why this one rather than that one.

    The requested target is ignored: it is always `a`.

    Args:
        a: The class to explain.
        b: The class to compare with.
        output: As in `ClassScore`.
        output_name: The output, for models with several.
    """

    kind = "contrast"
    of_classes = True
    a: int
    b: int
    output: Form = "as_is"

    def __post_init__(self) -> None:
        check_form(self.output, self)
        for name in ("a", "b"):
            index = getattr(self, name)
            check(
                is_whole(index) and index >= 0,
                f"Contrast({name}=...) must be a class index.",
                index,
            )
        check(
            self.a != self.b,
            "Contrast(a, b) of a class with itself is 0 everywhere; choose two classes, or "
            "Margin() to compare a class with the best other class.",
            (self.a, self.b),
        )

    def resolve(self, outputs, requested):
        valid = (requested == TOP_CLASS) | (requested == self.a)
        valid &= has_unit(self._scores(outputs), max(self.a, self.b))
        return Resolved(tf.fill(tf.shape(requested), tf.constant(self.a, tf.int64)), valid)

    def select(self, outputs, target):
        scores = self._scores(outputs)
        return unit_of(scores, self.a) - unit_of(scores, self.b)

    def _scores(self, outputs: ModelOutputs) -> tf.Tensor:
        scores = class_scores(self._value(outputs, self.output), self)
        count = scores.shape[1]
        check(
            count is None or max(self.a, self.b) < count,
            f"Contrast(a, b) needs classes that exist, 0 to {(count or 0) - 1}.",
            (self.a, self.b),
        )
        return scores


@dataclasses.dataclass(frozen=True)
class Margin(Target):
    """`score of the class - highest score of any other`: what keeps the decision as it is.

    Positive if the class has the highest score, 0 on the decision boundary.

    Args:
        output: As in `ClassScore`. The difference of two log-probabilities equals that of their
            logits, so the default works with and without a softmax.
        output_name: The output, for models with several.
    """

    kind = "margin"
    of_classes = True
    output: Form = "log_probabilities"

    def __post_init__(self) -> None:
        check_form(self.output, self)

    def resolve(self, outputs, requested):
        return resolve_class(self._scores(outputs), requested)

    def select(self, outputs, target):
        scores = self._scores(outputs)
        chosen = tf.gather(scores, target, axis=1, batch_dims=1)
        own = tf.one_hot(target, tf.shape(scores)[1], on_value=True, off_value=False)
        others = tf.where(own, tf.constant(scores.dtype.min, scores.dtype), scores)
        return chosen - tf.reduce_max(others, 1)

    def classes(self, outputs):
        return self._scores(outputs).shape[1]

    def _scores(self, outputs: ModelOutputs) -> tf.Tensor:
        return several_classes(class_scores(self._value(outputs, self.output), self), self)


@dataclasses.dataclass(frozen=True)
class Evenness(Target):
    """`-variance of the log-probabilities over the classes`: how undecided the model is.

    At its maximum, 0, all classes are equally likely and the entropy of the prediction is the
    highest; unlike the entropy, its gradient does not vanish where the model is sure.

    Args:
        output_name: The output, for models with several.
    """

    kind = "evenness"

    def resolve(self, outputs, requested):
        return Resolved(tf.zeros_like(requested), tf.ones_like(requested, tf.bool))

    def select(self, outputs, target):
        scores = class_scores(self._value(outputs, "log_probabilities"), self)
        return -tf.math.reduce_variance(several_classes(scores, self), 1)


def resolve_class(scores: tf.Tensor, requested: tf.Tensor) -> Resolved:
    """The requested classes (int64 [B]), or the top ones of scores [B, classes]."""
    count = tf.shape(scores, tf.int64)[1]
    top = tf.argmax(scores, axis=1, output_type=tf.int64)
    target = tf.where(requested == TOP_CLASS, top, requested)
    valid = (target >= 0) & (target < count)
    return Resolved(tf.where(valid, target, tf.zeros_like(target)), valid)


def class_scores(value: tf.Tensor, target: Target) -> tf.Tensor:
    """An output [N, classes], or [N] as that of one class."""
    if value.shape.rank == 1:
        return value[:, tf.newaxis]
    check(
        value.shape.rank == 2,
        f"{type(target).__name__} explains outputs of shape [N, classes] or [N]; use RegionScore() "
        "for one score per position, CustomScore(function) for others.",
        tuple(value.shape),
    )
    return value


def several_classes(scores: tf.Tensor, target: Target) -> tf.Tensor:
    """Scores [N, classes] as they are; an error where there is but one class."""
    check(
        scores.shape[1] is None or scores.shape[1] > 1,
        f"{type(target).__name__} compares classes; for a model with a single output explain "
        "Threshold(level), or start at its boundary: NearestBoundary(crossing=Threshold(level)).",
        tuple(scores.shape),
    )
    return scores
