"""Rules: what one step along a path contributes to the attributions."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tfgig.spec import Spec

__all__ = ("ImportantDirection", "Riemann", "Rule")


@dataclasses.dataclass(frozen=True)
class Rule(Spec, abc.ABC):
    """A family of contributions of one step.

    `uses_change` says whether `change` is looked at; `linear`, whether the contribution is linear
    in the gradient and in the displacement, and looks at nothing else. `error_ratio` is what the
    error of a sum is of the difference of its odd and even nodes, as measured (`docs/accuracy.md`);
    `adaptive_error_ratio`, on an adaptive path, what it is of the difference of the two ends of
    each step.
    """

    family = "rule"
    uses_change: ClassVar[bool]
    linear: ClassVar[bool] = False
    error_ratio: ClassVar[float] = 0.82
    adaptive_error_ratio: ClassVar[float] = 0.98

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if cls.linear and getattr(cls, "uses_change", False):
            raise TypeError(
                "A rule is `linear` only where the gradient and the displacement are all it looks "
                f"at; leave `linear` or `uses_change` out. Received: {cls.__qualname__}."
            )

    @abc.abstractmethod
    def __call__(self, gradient: tf.Tensor, displacement: tf.Tensor, change: tf.Tensor):
        """The contribution of one step.

        Args:
            gradient: [N, ...], the gradient of the score that stands for the step.
            displacement: [N, ...], the point at the step's end minus the point at its start.
            change: [N], the score at the step's end minus the score at its start.

        Returns:
            [N, ...], in the gradient's dtype.
        """


@dataclasses.dataclass(frozen=True)
class Riemann(Rule):
    """`gradient * displacement`: the Riemann sum of the path integral.

    References:
        Sundararajan, Taly and Yan (2017), Axiomatic Attribution for Deep Networks,
        arXiv:1703.01365, equation 1.
    """

    kind = "riemann"
    uses_change = False
    linear = True
    error_ratio = 0.57
    adaptive_error_ratio = 0.8

    def __call__(self, gradient, displacement, change):
        return gradient * displacement


@dataclasses.dataclass(frozen=True)
class ImportantDirection(Rule):
    """`gradient^2 / sum(gradient^2) * change`: important direction gradient integration, IDGI.

    The change of the score over a step is shared out along the gradient, so the attributions sum
    to the change of the score exactly. A step whose gradient is zero everywhere has no important
    direction and contributes nothing (the published code returns NaN there); what it leaves out
    shows in `delta`.

    References:
        Yang, Wang and Bilgic (2023), IDGI: A Framework to Eliminate Explanation Noise from
        Integrated Gradients, arXiv:2303.14242, algorithm 1.
    """

    kind = "important_direction"
    uses_change = True

    def __call__(self, gradient, displacement, change):
        features = list(range(1, gradient.shape.rank))
        # Squares of float32 gradients under- and overflow; ratios to the largest do neither.
        largest = tf.reduce_max(tf.abs(gradient), features, keepdims=True)
        ratio = tf.math.divide_no_nan(gradient, largest)
        square = ratio * ratio
        total = tf.reduce_sum(square, features, keepdims=True)
        change = tf.reshape(change, tf.concat([tf.shape(change), [1] * len(features)], 0))
        return tf.math.divide_no_nan(square, total) * change
