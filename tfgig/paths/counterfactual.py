"""Paths from the input to what the model takes for an example of something else: IG2."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfgig.baselines import Baseline, Constant
from tfgig.baselines.base import Range, checked_range
from tfgig.paths.base import AdaptivePath, Ends, spread
from tfgig.paths.bounds import bounds
from tfgig.spec import check, check_is


@dataclasses.dataclass(frozen=True)
class Counterfactual(AdaptivePath):
    """`x_{j+1} = clip(x_j + step g_j / |g_j|)`, `g_j` the gradient by `x_j` of `-|r(x_j) - r|^2`.

    r(x) is the model's representation of x, what its last dense layer is given, r that of a
    reference, and |.|^2 a mean over the features. Each walk leads from the input towards one
    reference and ends where it ends: that is its baseline. References are examples of other
    classes, and the attributions are averaged over them:

        references = DatasetSample.of(others, samples=4)
        PathIntegral(Counterfactual(references), Riemann(), Left(), steps=201)

    `Left()` and 201 steps are the paper's. More steps lead further, not more finely.

    Args:
        baseline: The references.
        step: The L2 length of a step, as a share of the range of values. (The authors' code takes
            256 for pixels of 0 to 255.)
        value_range: Points stay within (low, high); None takes the smallest and the largest value
            of each input.

    References:
        Zhuo and Ge (2024), IG2: Integrated Gradient on Iterative Gradient Path for Feature
        Attribution, IEEE TPAMI, arXiv:2406.10852, section 4.
    """

    kind = "counterfactual"
    arrives = False
    gradients_per_step = 2
    baseline: Baseline = Constant(0.0)
    step: float = 1.0
    value_range: Range | None = None

    def __post_init__(self) -> None:
        check_is(self.baseline, Baseline, "baseline")
        check(self.step > 0, "Counterfactual(step=...) must be positive.", self.step)
        if self.value_range is not None:
            object.__setattr__(self, "value_range", checked_range(self.value_range, self))

    @property
    def weights(self):
        return (-1.0,)

    def starts(self, inputs, objective):
        return self.baseline(inputs, objective)

    def cut(self, ends):
        """From the inputs, towards the references."""
        return Ends(ends.end, ends.start, ends.which)

    def guide(self, objective, ends):
        wanted = objective.represented(ends.end)
        return lambda points: objective.approach(points, wanted)

    def advance(self, step, state, gradient, ends):
        gradient = tf.cast(gradient, state.dtype)
        features = tf.range(1, tf.rank(gradient))
        # By the largest first: squares of small gradients would vanish.
        largest = tf.reduce_max(tf.abs(gradient), features, keepdims=True)
        gradient = tf.math.divide_no_nan(gradient, largest)
        length = tf.sqrt(tf.reduce_sum(tf.square(gradient), features))
        low, high = bounds(self.value_range, ends.start)
        way = tf.math.divide_no_nan(gradient, spread(length, gradient))
        return tf.clip_by_value(state + self.step * (high - low) * way, low, high)
