"""The path that moves the features of lowest gradient first: Guided Integrated Gradients."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfgig.baselines import Baseline, Constant
from tfgig.paths.base import AdaptivePath
from tfgig.paths.choosing import CLOSE, SELECTIONS, Selection, dot, gap_left
from tfgig.spec import check, check_is, is_whole


class GuidedState(NamedTuple):
    """Where W walks of N features, flat, stand. Choices are made in float64, points are float32."""

    point: tf.Tensor  # float32 [W, N]
    aim: tf.Tensor  # float32 [W, N], the point at which the next choice is made
    alpha: tf.Tensor  # float64 [W, N], each feature's position there, on its way to the input
    length: tf.Tensor  # float64 [W, N], how long that way is, |input - start|
    total: tf.Tensor  # float64 [W], the sum of the lengths: the L1 distance from start to input
    start: tf.Tensor  # float32 [W, N]
    way: tf.Tensor  # float32 [W, N], input - start


@dataclasses.dataclass(frozen=True)
class Guided(AdaptivePath):
    """Steps of equal L1 length, each made by the features with the lowest absolute gradient.

    To go from the distance `total (1 - alpha_k)` to `total (1 - alpha_{k+1})`, the `fraction` of
    features with the lowest |gradient| moves towards the input, and if that is not enough the next
    fraction, until the step has its length. No feature may be further than `max_distance` from the
    straight line: features that lag behind catch up first, and features that are ahead wait.
    Features with equal gradients move together.

    Args:
        baseline: Where the path starts.
        fraction: The share of all features that moves at once, in (0, 1]. 1 is the straight line.
            (The reference implementation has 0.25; the paper's text says 0.1.)
        max_distance: How far a feature's position may differ from the straight line's, as a share
            of the path, in [0, 1]. 0 is the straight line, 1 unbounded.
        steps_per_choice: How many steps are made by the features that were chosen. With 1, as in
            the paper, all gradients of a sum are taken where they were lowest for the features
            that move, which biases it; with 2 every second one lies within a choice.
        selection: How the features of lowest gradient are found: "nth_element", an operation that
            TensorFlow has for CPUs only (a GPU sends the gradients to the host and waits); or
            "bisection", slower on a CPU, of operations that every device has. The answers are
            equal.

    References:
        Kapishnikov et al. (2021), Guided Integrated Gradients: an Adaptive Path Method for
        Removing Noise, arXiv:2106.09788, sections 4.2 and 4.3, equations 4 to 6; the bound
        `max_distance` is that of the authors' implementation.
    """

    kind = "guided"
    baseline: Baseline = Constant(0.0)
    fraction: float = 0.25
    max_distance: float = 0.02
    steps_per_choice: int = 1
    selection: Selection = "nth_element"

    def __post_init__(self) -> None:
        check_is(self.baseline, Baseline, "baseline")
        check(0 < self.fraction <= 1, "Guided(fraction=...) must be in (0, 1].", self.fraction)
        check(
            0 <= self.max_distance <= 1,
            "Guided(max_distance=...) must be in [0, 1].",
            self.max_distance,
        )
        check(
            is_whole(self.steps_per_choice) and self.steps_per_choice >= 1,
            "Guided(steps_per_choice=...) must be a whole number of at least 1.",
            self.steps_per_choice,
        )
        check(
            self.selection in SELECTIONS,
            f"Guided(selection=...) must be one of {SELECTIONS}.",
            self.selection,
        )

    def starts(self, inputs, objective):
        return self.baseline(inputs, objective)

    def begin(self, ends):
        start, way = _flat(ends.start), _flat(ends.end - ends.start)
        length, total = tf.abs(way), tf.reduce_sum(tf.abs(way), 1)
        # A feature without a way to go is there already, and never chosen.
        alpha = tf.cast(tf.equal(length, 0.0), tf.float64)
        start, way = tf.cast(start, tf.float32), tf.cast(way, tf.float32)
        return GuidedState(start, start, alpha, length, total, start, way)

    def point(self, state, ends):
        return tf.reshape(state.point, tf.shape(ends.start))

    def advance(self, step, state, gradient, ends):
        if self.steps_per_choice == 1:
            state = self._chosen(step.upper, state, gradient)
            return state._replace(point=state.aim)
        width = step.upper - step.lower
        made = tf.math.floormod(tf.round(step.lower / width), self.steps_per_choice)
        # With steps that are no multiple, the last choice is of fewer.
        last = tf.minimum(step.lower + self.steps_per_choice * width, 1.0)
        state = tf.cond(
            tf.equal(made, 0), lambda: self._chosen(last, state, gradient), lambda: state
        )
        left = tf.minimum(self.steps_per_choice - made, tf.round((1.0 - step.lower) / width))
        share = tf.cast(1.0 / left, tf.float32)

        def between():
            return state.point + share * (state.aim - state.point)

        return state._replace(point=tf.cond(left > 1, between, lambda: state.aim))

    def _chosen(self, upper: tf.Tensor, state: GuidedState, gradient: tf.Tensor) -> GuidedState:
        """The same, with where each feature will be when the path has come to the share `upper`."""
        behind = tf.nn.relu(upper - self.max_distance)
        ahead = tf.minimum(upper + self.max_distance, 1.0)
        # How far each feature may still go; catching up comes first, for free.
        gap = tf.minimum(ahead - state.alpha, ahead - behind)
        # The L1 length that is still to be made up, [W]: distance - goal.
        need = dot(gap, state.length) - state.total * (ahead - upper)
        goal = state.total * (1.0 - upper)
        close = CLOSE * tf.maximum(goal + tf.nn.relu(need), tf.ones_like(goal))
        need = tf.where(need > close, need, tf.zeros_like(need))
        steepness = tf.abs(_flat(gradient))
        left = gap_left(gap, need, state.length, steepness, self.fraction, self.selection)
        alpha = ahead - left
        aim = state.start + tf.cast(alpha, tf.float32) * state.way
        return state._replace(aim=aim, alpha=alpha)


def _flat(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(values, [tf.shape(values)[0], tf.reduce_prod(tf.shape(values)[1:])])
