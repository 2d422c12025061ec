"""A target of one's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfgig.spec import check
from tfgig.targets.base import Resolved, Target


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
        check(callable(self.function), "CustomScore needs a function.", self.function)

    def resolve(self, outputs, requested):
        return Resolved(requested, tf.ones_like(requested, tf.bool))

    def select(self, outputs, target):
        score = self.function(self._value(outputs), target)
        check(
            score.shape.rank == 1,
            "A custom score must have shape [N], one number per point; reduce the other axes.",
            tuple(score.shape),
        )
        return score
