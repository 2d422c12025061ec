"""Paths from the input to where the model takes it for something else: Adversarial IG."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfgig.baselines.base import Range, checked_range
from tfgig.paths.base import AdaptivePath, spread
from tfgig.paths.bounds import bounds
from tfgig.spec import check, is_whole
from tfgig.targets import Margin


@dataclasses.dataclass(frozen=True)
class Adversarial(AdaptivePath):
    """`x_{j+1} = clip(x_j + step sign(d score_c / d x_j))`, from the input till class c is on top.

    There is no baseline: the path runs from the input to inputs that the model assigns to other
    classes, one walk for each of `classes` of them, and each walk's end is its baseline.
    `PathIntegral(Adversarial(), Riemann(), Left(), steps=15)` takes at most 15 steps, as in the
    paper, and the mean over the classes, where the paper uses the sum: the attributions then sum to
    the loss of score along the path.

    More steps lead further, not more finely.

    Args:
        classes: The number of other classes to walk to, spread evenly over all of them; at most as
            many as the model has.
        step: The size of a step in each feature, as a share of the range of values.
        value_range: Points stay within (low, high); None takes the smallest and the largest value
            of each input.

    References:
        Pan, Li and Zhu (2021), Explaining Deep Neural Network Models with Adversarial Gradient
        Integration, IJCAI, doi:10.24963/ijcai.2021/396, section 3.
    """

    kind = "adversarial"
    arrives = False
    gradients_per_step = 2
    classes: int = 15
    step: float = 0.01
    value_range: Range | None = None

    def __post_init__(self) -> None:
        check(
            is_whole(self.classes) and self.classes >= 1,
            "Adversarial(classes=...) must be a whole number of at least 1.",
            self.classes,
        )
        check(0 < self.step <= 1, "Adversarial(step=...) must be in (0, 1].", self.step)
        if self.value_range is not None:
            object.__setattr__(self, "value_range", checked_range(self.value_range, self))

    @property
    def count(self):
        return self.classes

    @property
    def weights(self):
        return (-1.0,)

    def starts(self, inputs, objective):
        known = objective.classes
        check(
            known is not None and known > 1,
            "Adversarial needs other classes, and the target has none; explain ClassScore() of an "
            "output [N, classes].",
            known,
        )
        count = min(self.classes, known - 1)
        return tf.broadcast_to(inputs, tf.concat([[count], tf.shape(inputs)], 0))

    def guide(self, objective, ends):
        towards = objective.of(self._rivals(objective, ends.which))
        ahead = towards.under(Margin(), ends.start)

        def climb(points):
            _, gradient = towards.score_and_gradient(points)
            there = spread(ahead.score(points), points) >= 0
            return tf.where(there, tf.zeros_like(gradient), gradient)

        return climb

    def advance(self, step, state, gradient, ends):
        low, high = bounds(self.value_range, ends.start)
        moved = state + self.step * (high - low) * tf.sign(tf.cast(gradient, state.dtype))
        return tf.clip_by_value(moved, low, high)

    def _rivals(self, objective, which):
        """The class that each walk leads to: of all but the explained one, evenly spread."""
        others = tf.constant(objective.classes - 1, tf.int64)
        place = tf.cast(which, tf.int64) * others // tf.minimum(others, self.classes)
        return place + tf.cast(place >= objective.target, tf.int64)
