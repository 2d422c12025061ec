"""Baselines that are searched for with the model's gradient."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfgig.baselines.base import Baseline, Range, checked_range
from tfgig.baselines.constant import Constant
from tfgig.objective import Objective
from tfgig.spec import check, check_is, is_whole
from tfgig.targets import Evenness, Margin, Target


@dataclasses.dataclass(frozen=True)
class NearestBoundary(Baseline):
    """The nearest input at which the decision changes: attributions say what decides it.

    Found by steps that would end on the boundary if the model were linear, `x - (1 + overshoot) *
    crossing(x) * g / |g|^2`, from the input until the boundary is crossed, and then by bisection.
    Exact for a linear model; for others a nearby point of the boundary, not provably the nearest.
    If none is found within `steps`, the last point tried.

    Args:
        crossing: The target whose score is 0 on the boundary: `Margin()` between classes;
            `Threshold(level)` for a single output. It uses the explained output, unless it names
            another.
        steps: The maximum number of gradients of the search.
        refinements: The number of bisection steps; each takes one score.
        overshoot: How far to go beyond the linear step, as a share of it.
        value_range: Points stay within (low, high); None does not limit them.

    References:
        Wang, Fredrikson and Datta (2021), Robust Models Are More Interpretable Because
        Attributions Look Normal, arXiv:2103.11257 (boundary attributions, which search with
        several attacks); Moosavi-Dezfooli, Fawzi and Frossard (2016), DeepFool, arXiv:1511.04599
        (the step).
    """

    kind = "nearest_boundary"
    crossing: Target = Margin()
    steps: int = 20
    refinements: int = 10
    overshoot: float = 0.02
    value_range: Range | None = None

    def __post_init__(self) -> None:
        check_is(self.crossing, Target, "crossing")
        _check_steps(self.steps, self)
        check(
            is_whole(self.refinements) and self.refinements >= 0,
            "NearestBoundary(refinements=...) must be a whole number of at least 0.",
            self.refinements,
        )
        check(
            0 <= self.overshoot <= 1,
            "NearestBoundary(overshoot=...) must be in [0, 1].",
            self.overshoot,
        )
        if self.value_range is not None:
            object.__setattr__(self, "value_range", checked_range(self.value_range, self))

    def __call__(self, inputs, objective):
        crossing = objective.under(self.crossing, inputs)
        side = tf.sign(crossing.score(inputs))

        def step(k, point):
            score, gradient = crossing.score_and_gradient(point)
            moved = _clipped(
                point - _towards_zero((1.0 + self.overshoot) * score, gradient), self.value_range
            )
            return k + 1, tf.where(_over(score * side > 0, point), moved, point)

        _, across = tf.while_loop(
            lambda k, _: k < self.steps, step, (0, inputs), parallel_iterations=1
        )

        def halve(k, near, far):
            middle = (near + far) / 2
            score = crossing.score(inputs + _over(middle, inputs) * (across - inputs))
            before = score * side > 0
            return k + 1, tf.where(before, middle, near), tf.where(before, far, middle)

        ones = tf.ones_like(side)
        *_, far = tf.while_loop(
            lambda k, *_: k < self.refinements,
            halve,
            (0, tf.zeros_like(side), ones),
            parallel_iterations=1,
        )
        return (inputs + _over(far, inputs) * (across - inputs))[tf.newaxis]

    @property
    def gradients(self):
        return self.steps


@dataclasses.dataclass(frozen=True)
class MaximumEntropy(Baseline):
    """An input for which the model finds all classes equally likely.

    Climbs the target `Evenness`, whose maximum is known to be 0, from `start` by steps of Polyak's
    length, `-evenness(x) * g / |g|^2`, and keeps the best point. A model may have no such input;
    the baseline score of an explanation shows how close the search came.

    Args:
        start: Where the search begins.
        steps: The number of gradients of the search.
        value_range: Points stay within (low, high); None does not limit them.
        output_name: The output, for models with several; None for the explained one.

    References:
        Tan (2022), Maximum Entropy Baseline for Integrated Gradients, arXiv:2204.05948.
    """

    kind = "maximum_entropy"
    start: Baseline = Constant(0.0)
    steps: int = 50
    value_range: Range | None = None
    output_name: str | None = None

    def __post_init__(self) -> None:
        check_is(self.start, Baseline, "start")
        _check_steps(self.steps, self)
        if self.value_range is not None:
            object.__setattr__(self, "value_range", checked_range(self.value_range, self))

    def __call__(self, inputs, objective):
        starts = self.start(inputs, objective)
        evenness = objective.under(Evenness(output_name=self.output_name), inputs)
        points = tf.reshape(starts, tf.concat([[-1], tf.shape(inputs)[1:]], 0))
        points = tf.ensure_shape(points, [None, *inputs.shape[1:]])
        return tf.reshape(self._climb(evenness, points), tf.shape(starts))

    def _climb(self, evenness: Objective, points: tf.Tensor) -> tf.Tensor:
        def step(k, point, best, best_score):
            score, gradient = evenness.score_and_gradient(point)
            better = score > best_score
            best = tf.where(_over(better, point), point, best)
            moved = _clipped(point - _towards_zero(score, gradient), self.value_range)
            return k + 1, moved, best, tf.maximum(score, best_score)

        worst = tf.fill(tf.shape(points)[:1], tf.float32.min)
        _, last, best, best_score = tf.while_loop(
            lambda k, *_: k < self.steps, step, (0, points, points, worst), parallel_iterations=1
        )
        return tf.where(_over(evenness.score(last) > best_score, last), last, best)

    @property
    def count(self):
        return self.start.count

    @property
    def gradients(self):
        return self.start.gradients + self.steps * self.count


def _check_steps(steps: int, owner: Baseline) -> None:
    message = f"{type(owner).__name__}(steps=...) must be a whole number of at least 1."
    check(is_whole(steps) and steps >= 1, message, steps)


def _towards_zero(score: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """`score * g / |g|^2`: the step back to where a linear score would be 0; none if g is 0."""
    features = list(range(1, gradient.shape.rank))
    # Squares of float32 gradients under- and overflow; ratios to the largest do neither.
    largest = tf.reduce_max(tf.abs(gradient), features, keepdims=True)
    ratio = tf.math.divide_no_nan(gradient, largest)
    length = tf.reduce_sum(ratio * ratio, features, keepdims=True) * largest
    return tf.math.divide_no_nan(_over(score, gradient) * ratio, length)


def _over(values: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """`values` [N] with axes of size 1 appended, to broadcast against `like` [N, ...]."""
    return tf.reshape(values, [-1] + [1] * (like.shape.rank - 1))


def _clipped(points: tf.Tensor, value_range: Range | None) -> tf.Tensor:
    return points if value_range is None else tf.clip_by_value(points, *value_range)
