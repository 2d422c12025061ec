"""A target of one's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfgig.spec import check
from tfgig.targets.base import Resolved, Target


@dataclasses.dataclass(frozen=True)
class CustomScore(Target):
    """A custom score.

    Args:
        function: `function(output, target)`: the output of N points, [N, ...], and the requested
            targets, int64 [N] (-1 where none was given), to scores [N]. It must accept any target:
            for one that it cannot use it should return NaN, which marks the row, instead of raising
            an error, which fails the other rows. Use only TensorFlow operations, so that it can be
            exported. Decorate it with `keras.saving.register_keras_serializable` if the spec must
            be loaded again.
        output_name: The output, for models with several.
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
