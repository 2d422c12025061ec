"""The loop along adaptive paths: each point depends on the gradient at the one before."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfgig.methods.error import caution
from tfgig.objective import Objective
from tfgig.paths import AdaptivePath, Ends, Step
from tfgig.quadratures import Cut
from tfgig.rules import Rule


class Walk(NamedTuple):
    """What is summed along which path, by gradients at the ends of steps, weighed so."""

    path: AdaptivePath
    rule: Rule
    step_ends: tuple[float, float]

    def __call__(self, objective: Objective, ends: Ends, cut: Cut) -> list[tf.Tensor]:
        """The integrals and residuals, float32 [G, ...] each, and the scores' changes [G].

        All walks go one step a turn. The steps of each segment end on the edges of `cut`.

        Points, displacements and sums are float64: over hundreds of small steps float32 drifts.
        """
        path = self.path
        edges = tf.convert_to_tensor(cut.edges, tf.float64)
        steps = tf.shape(edges)[0] - 1
        unsure = caution(tf.cast(steps * path.segments, tf.float32))
        chance = 0.5 * self.rule.adaptive_error_ratio * unsure
        guide = path.guide(objective, ends)
        start, end = tf.cast(ends.start, tf.float64), tf.cast(ends.end, tf.float64)
        ends = ends._replace(start=start, end=end)

        def evaluate(point):
            return objective.score_and_gradient(tf.cast(point, tf.float32))

        def turn(k, state, point, score, gradient, total, residual):
            def onward():
                by = gradient if guide is None else guide(tf.cast(point, tf.float32))
                step = Step(edges[k], edges[k + 1])
                moved = path.advance(step, state, _finite_or_zero(by), ends)
                return moved, path.point(moved, ends)

            if path.arrives:  # exactly, whatever rounding the path has gathered
                there = (state, ends.end)
                next_state, next_point = tf.cond(k + 1 < steps, onward, lambda: there)
            else:
                next_state, next_point = onward()
            next_score, next_gradient = evaluate(next_point)
            way, change = next_point - point, next_score - score
            total += self.rule(
                tf.cast(self._over_step(gradient, next_gradient), tf.float64),
                way,
                tf.cast(change, tf.float64),
            )
            aside = 0.5 - self.step_ends[1]
            share = tf.where(k % 2 == 0, aside + chance, aside - chance)
            residual += share * self._differing(gradient, next_gradient, way, change)
            return k + 1, next_state, next_point, next_score, next_gradient, total, residual

        zeros, turns = tf.zeros_like(ends.start), objective.turns(steps)
        sums = (zeros, tf.cast(zeros, tf.float32))
        first_score, first_gradient = evaluate(ends.start)
        first = (0, path.begin(ends), ends.start, first_score, first_gradient, *sums)
        _, _, _, last_score, _, total, residual = tf.while_loop(
            lambda k, *_: k < turns, turn, first, parallel_iterations=1
        )
        total = tf.cast(total, tf.float32)
        change = tf.cast(last_score, tf.float64) - tf.cast(first_score, tf.float64)
        return [total, tf.where(steps == 1, total, residual), change]

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
        way = tf.cast(way, tf.float32)
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
