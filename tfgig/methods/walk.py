"""The loop along adaptive paths: each point depends on the gradient at the one before."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfgig.methods.error import caution
from tfgig.objective import Objective
from tfgig.paths import AdaptivePath, Ends, Step
from tfgig.quadratures import Cut
from tfgig.rules import Rule


class Node(NamedTuple):
    """A point of W walks, [W, ...], the scores [W] and their gradients [W, ...]; all float32."""

    point: tf.Tensor
    score: tf.Tensor
    gradient: tf.Tensor


class Walk(NamedTuple):
    """What is summed along which path, by gradients at the ends of steps, weighed so."""

    path: AdaptivePath
    rule: Rule
    step_ends: tuple[float, float]

    def __call__(self, objective: Objective, ends: Ends, cut: Cut) -> list[tf.Tensor]:
        """The integrals and residuals, float32 [G, ...] each, and the scores' changes [G].

        All walks go one step a turn. The steps of each segment end on the edges of `cut`.

        Sums are float64: over hundreds of small steps float32 drifts. Points are what the model is
        given, float32, and steps lead from one to the next, so that their displacements add up to
        the way from start to end.
        """
        path = self.path
        edges = tf.convert_to_tensor(cut.edges, tf.float64)
        steps = tf.shape(edges)[0] - 1
        sums = self._sums(steps)
        guide = path.guide(objective, ends)
        start, arrival = ends.start, ends.end
        ends = ends._replace(start=tf.cast(start, tf.float64), end=tf.cast(arrival, tf.float64))

        def node(point):
            return Node(point, *objective.score_and_gradient(point))

        def turn(k, state, here, found):
            def onward():
                by = here.gradient if guide is None else guide(here.point)
                step = Step(edges[k], edges[k + 1])
                moved = path.advance(step, state, _finite_or_zero(by), ends)
                return moved, tf.cast(path.point(moved, ends), tf.float32)

            if path.arrives:  # exactly, whatever rounding the path has gathered
                there = (state, arrival)
                state, point = tf.cond(k + 1 < steps, onward, lambda: there)
            else:
                state, point = onward()
            following = node(point)
            return k + 1, state, following, sums.step(k, found, here, following)

        first, turns = node(start), objective.turns(steps)
        _, _, last, found = tf.while_loop(
            lambda k, *_: k < turns,
            turn,
            (0, path.begin(ends), first, sums.begin(first)),
            parallel_iterations=1,
        )
        total, residual = sums.end(found, last)
        total = tf.cast(total, tf.float32)
        change = tf.cast(last.score, tf.float64) - tf.cast(first.score, tf.float64)
        return [total, tf.where(steps == 1, total, tf.cast(residual, tf.float32)), change]

    def _sums(self, steps: tf.Tensor) -> _ByNodes | _BySteps:
        unsure = caution(tf.cast(steps * self.path.segments, tf.float32))
        chance = 0.5 * self.rule.adaptive_error_ratio * unsure
        if self.rule.linear and self.step_ends == (0.5, 0.5):
            return _ByNodes(self.rule, chance)
        return _BySteps(self.rule, self.step_ends, chance)


class _ByNodes(NamedTuple):
    """The trapezoidal sum of a linear rule, in which each gradient occurs once.

    It counts over half the way from the node before to the node after. Odd and even nodes are
    summed apart; their difference is the residual.
    """

    rule: Rule
    chance: tf.Tensor

    def begin(self, first: Node) -> tuple[tf.Tensor, ...]:
        """The point before, the sum that the next node counts in, and the other."""
        zeros = tf.zeros_like(first.point, tf.float64)
        return first.point, zeros, zeros

    def step(self, k: tf.Tensor, found, here: Node, following: Node) -> tuple[tf.Tensor, ...]:
        before, own, other = found
        added = self.rule(here.gradient, following.point - before, tf.zeros_like(here.score))
        return here.point, other, own + tf.cast(added, tf.float64)

    def end(self, found, last: Node) -> tuple[tf.Tensor, tf.Tensor]:
        # No node follows: the last counts over half the way to it.
        _, other, own = self.step(tf.constant(0), found, last, last)
        return 0.5 * (own + other), tf.cast(self.chance, tf.float64) * (own - other)


class _BySteps(NamedTuple):
    """The sum of what the steps contribute."""

    rule: Rule
    step_ends: tuple[float, float]
    chance: tf.Tensor

    def begin(self, first: Node) -> tuple[tf.Tensor, ...]:
        """The sum and the residual."""
        return tf.zeros_like(first.point, tf.float64), tf.zeros_like(first.point)

    def step(self, k: tf.Tensor, found, here: Node, following: Node) -> tuple[tf.Tensor, ...]:
        total, residual = found
        way, change = following.point - here.point, following.score - here.score
        added = self.rule(self._over_step(here.gradient, following.gradient), way, change)
        aside = 0.5 - self.step_ends[1]
        share = tf.where(k % 2 == 0, aside + self.chance, aside - self.chance)
        residual += share * self._differing(here.gradient, following.gradient, way, change)
        return total + tf.cast(added, tf.float64), residual

    def end(self, found, last: Node) -> tuple[tf.Tensor, tf.Tensor]:
        total, residual = found
        return total, residual

    def _over_step(self, at_start: tf.Tensor, at_end: tf.Tensor) -> tf.Tensor:
        """The gradient that stands for a step, from those at its ends."""
        start_weight, end_weight = self.step_ends
        # A gradient of weight 0 is left out: 0 times a NaN would spoil the other.
        if end_weight == 0:
            return at_start
        if start_weight == 0:
            return at_end
        if start_weight == end_weight:
            return start_weight * (at_start + at_end)
        return start_weight * at_start + end_weight * at_end

    def _differing(
        self, start: tf.Tensor, end: tf.Tensor, way: tf.Tensor, change: tf.Tensor
    ) -> tf.Tensor:
        """How the two ends of a step differ, over the same displacement.

        Half of it with alternating signs is the difference of the odd and the even
        nodes of the trapezoidal sum. A sum that weighs the ends unevenly is off by the rest, in
        one direction: the path has chosen its steps by the gradient at their start.
        """
        if self.rule.linear:
            return self.rule(end - start, way, change)
        return self.rule(end, way, change) - self.rule(start, way, change)


def _finite_or_zero(gradient: tf.Tensor) -> tf.Tensor:
    """Zeros for a walk whose gradient is not finite, so that a path can go on to its end.

    The gradient itself goes into the sum unchanged, and marks the walk's attributions as spoilt.
    """
    finite = tf.math.is_finite(gradient)

    def zeroed():
        features = list(range(1, gradient.shape.rank))
        rows = tf.reduce_all(finite, features, keepdims=True)
        return tf.where(rows, gradient, tf.zeros_like(gradient))

    return tf.cond(tf.reduce_all(finite), lambda: gradient, zeroed)
