"""Targets: which of a model's outputs is explained, as one score per example."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple

import tensorflow as tf

from tfgig.spec import Spec, check, nearest

TOP_CLASS = -1  # as a requested target: explain the class with the highest score at the inputs


class ModelOutputs(NamedTuple):
    """What a model returns for N points.

    `values` holds its outputs by name, [N, ...] each. `logits` holds, for those outputs that end
    in a softmax or sigmoid, what went into it.
    """

    values: dict[str, tf.Tensor]
    logits: dict[str, tf.Tensor]


class Resolved(NamedTuple):
    """A target fixed at the inputs: `target` int64 [B], and `valid` bool [B], row by row."""

    target: tf.Tensor
    valid: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Target(Spec, abc.ABC):
    """A family of scores.

    Args:
        output_name: Which output of a model that has several; None where it has one.
    """

    family = "target"
    output_name: str | None = dataclasses.field(default=None, kw_only=True)

    @abc.abstractmethod
    def resolve(self, outputs: ModelOutputs, requested: tf.Tensor) -> Resolved:
        """Fixes `requested` (int64 [B]) at the inputs' own outputs, once; never raises by row."""

    @abc.abstractmethod
    def select(self, outputs: ModelOutputs, target: tf.Tensor) -> tf.Tensor:
        """The score [N] of `target` (int64 [N]) in the outputs of N points."""

    def classes(self, outputs: ModelOutputs) -> int | None:
        """How many targets there are to choose from, where that is known."""
        return None

    def _one_output(self, outputs: dict[str, tf.Tensor]) -> tf.Tensor:
        names = list(outputs)
        if self.output_name is None:
            check(
                len(names) == 1,
                f"The model has {len(names)} outputs; choose one with ClassScore(output_name=...).",
                names,
            )
            return outputs[names[0]]
        if self.output_name not in outputs:
            raise ValueError(
                f"The model has no such output. {nearest(self.output_name, names)} "
                f"Received: output_name={self.output_name!r}."
            )
        return outputs[self.output_name]


@dataclasses.dataclass(frozen=True)
class ClassScore(Target):
    """The score of one class, by its index; the top class at the inputs where none is given.

    The top class is found once, at the inputs, and frozen along the path.

    Args:
        output: "as_is", the model's own output; or "logits", what went into its last softmax or
            sigmoid.
        output_name: Which output of a model that has several.
    """

    kind = "class_score"
    output: Literal["as_is", "logits"] = "as_is"

    def __post_init__(self) -> None:
        check(
            self.output in ("as_is", "logits"),
            'ClassScore(output=...) is "as_is" or "logits".',
            self.output,
        )

    def resolve(self, outputs, requested):
        scores = self._scores(outputs)
        count = tf.shape(scores, tf.int64)[1]
        top = tf.argmax(scores, axis=1, output_type=tf.int64)
        target = tf.where(requested == TOP_CLASS, top, requested)
        valid = (target >= 0) & (target < count)
        return Resolved(tf.where(valid, target, tf.zeros_like(target)), valid)

    def select(self, outputs, target):
        return tf.gather(self._scores(outputs), target, axis=1, batch_dims=1)

    def classes(self, outputs):
        return self._scores(outputs).shape[1]

    def _scores(self, outputs: ModelOutputs) -> tf.Tensor:
        scores = self._one_output(outputs.values)
        if self.output == "logits":
            logits = self._one_output({k: outputs.logits.get(k) for k in outputs.values})
            check(
                logits is not None,
                'ClassScore(output="logits") needs a model whose output '
                'ends in a softmax or sigmoid; use output="as_is".',
                scores.name,
            )
            scores = logits
        if scores.shape.rank == 1:
            scores = scores[:, tf.newaxis]
        check(
            scores.shape.rank == 2,
            "ClassScore explains outputs of shape [N, classes] or [N]; "
            "use CustomScore(function) for others.",
            tuple(scores.shape),
        )
        return scores


@dataclasses.dataclass(frozen=True)
class CustomScore(Target):
    """A score of your own.

    Args:
        function: `function(output, target)`: the output of N points, [N, ...], and the requested
            targets, int64 [N] (-1 where none was given), to scores [N]. Any target may come:
            one that it cannot use should give NaN, which marks the row, not an error, which
            fails its neighbours. TensorFlow operations only, so that it can be exported. Decorate
            it with `keras.saving.register_keras_serializable` if the spec has to be read back.
        output_name: Which output of a model that has several.
    """

    kind = "custom_score"
    function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

    def __post_init__(self) -> None:
        check(callable(self.function), "CustomScore takes a function.", self.function)

    def resolve(self, outputs, requested):
        return Resolved(requested, tf.ones_like(requested, tf.bool))

    def select(self, outputs, target):
        score = self.function(self._one_output(outputs.values), target)
        check(
            score.shape.rank == 1,
            "A custom score must have the shape [N], one number a point; reduce the other axes.",
            tuple(score.shape),
        )
        return score
