"""The engine: gradients integrated along any path, by any quadrature and rule.

There are two loops. `_sweep` serves fixed paths: all points are known, so many of them share a
model call. `_walk` serves adaptive paths: each point depends on the gradient at the one before,
so the steps of one walk follow each other, and many walks (examples, baselines, the segments of
an anchored path) share a model call. No call here sees more than `internal_batch_size` points,
and only sums are kept, so memory does not grow with the steps.

Sizes: B examples, K baselines, S segments; W = S K B walks, of which a group of G runs at once;
a sweep calls the model on N = C G points, point-major.
"""

from __future__ import annotations

import dataclasses
from typing import cast

import tensorflow as tf

from tfgig.methods.base import Attribution, Method
from tfgig.methods.calls import (
    check_internal_batch_size,
    points_per_call,
    repeat_rows,
    sums_by_row,
)
from tfgig.objective import Objective
from tfgig.paths import AdaptivePath, Ends, FixedPath, Path, Straight
from tfgig.quadratures import Quadrature
from tfgig.rules import Riemann, Rule
from tfgig.spec import check, check_is, is_whole


@dataclasses.dataclass(frozen=True)
class PathIntegral(Method):
    """`sum_k rule(gradient at node k, x(edge k+1) - x(edge k), change of the score over step k)`.

    With `Riemann()`, the path integral of the gradient: attributions that add up to the score at
    the input minus the score at the start, up to `delta`.

    Args:
        path: The curve, which also owns its start.
        rule: What each step contributes.
        quadrature: Where gradients are evaluated; None takes the path's own (`Midpoint` on fixed
            paths, `Trapezoid` on adaptive ones).
        steps: How many gradients are evaluated from start to input; one more on adaptive paths
            (and per segment of an anchored one, whose segments share the steps out).
        internal_batch_size: How many points one model call may hold; None takes 8 on a machine
            without a GPU and 32 on one with, decided where the graph is traced.

    References:
        Sundararajan, Taly and Yan (2017), Axiomatic Attribution for Deep Networks,
        arXiv:1703.01365, section 3; Kapishnikov et al. (2021), Guided Integrated Gradients,
        arXiv:2106.09788, equation 2.
    """

    kind = "path_integral"
    path: Path = Straight()
    rule: Rule = Riemann()
    quadrature: Quadrature = None  # type: ignore[assignment]
    steps: int = 50
    internal_batch_size: int | None = None

    def __post_init__(self) -> None:
        check_is(self.path, Path, "path")
        check_is(self.rule, Rule, "rule")
        if self.quadrature is None:
            object.__setattr__(self, "quadrature", self.path.default_quadrature)
        check_is(self.quadrature, Quadrature, "quadrature")
        check(
            isinstance(self.path, FixedPath) or self.quadrature.step_ends is not None,
            "An adaptive path knows gradients only at the ends of its steps; integrate it by "
            "Trapezoid(), Left() or Right().",
            self.quadrature,
        )
        fewest = self.quadrature.fewest_steps
        if isinstance(self.path, AdaptivePath):
            fewest = self.path.segments
        check(
            is_whole(self.steps) and self.steps >= fewest,
            f"`steps` must be a whole number of at least {fewest} for this path and quadrature.",
            self.steps,
        )
        check_internal_batch_size(self.internal_batch_size)

    @property
    def complete(self):
        return self.steps > 1  # one step is a tangent, not an integral

    @property
    def gradients(self):
        per_walk = self.steps
        if isinstance(self.path, AdaptivePath):
            segments = self.path.segments
            per_walk = segments * (self.steps // segments + 1)
        return self.path.gradients + self.path.count * per_walk

    def attribute(self, objective, inputs):
        starts = self.path.starts(inputs, objective)  # [K, B, ...]
        baselines, examples = tf.shape(starts)[0], tf.shape(inputs)[0]
        starts = tf.reshape(starts, tf.concat([[-1], tf.shape(inputs)[1:]], 0))
        starts = tf.ensure_shape(starts, [None, *inputs.shape[1:]])
        if isinstance(self.path, AdaptivePath):
            ends = self.path.cut(Ends(starts, repeat_rows(inputs, baselines)))
            integrate = self._walk
        else:
            ends, integrate = Ends(starts, inputs), self._sweep  # inputs are repeated as needed

        def attributions_of(walks):
            to = tf.gather(ends.inputs, walks % tf.shape(ends.inputs)[0])
            group = Ends(tf.gather(ends.start, walks), to)
            return integrate(objective.rows(walks % examples), group)

        def start_scores_of(walks):
            return objective.rows(walks % examples).score(tf.gather(starts, walks))

        size = points_per_call(self.internal_batch_size)
        zeros = tf.zeros([examples])
        attributions = sums_by_row(attributions_of, tf.shape(ends.start)[0], size, inputs)
        scores = sums_by_row(start_scores_of, baselines * examples, size, zeros)
        count = tf.cast(baselines, tf.float64)
        return Attribution(
            tf.cast(attributions / count, tf.float32), tf.cast(scores / count, tf.float32)
        )

    def _sweep(self, objective: Objective, ends: Ends) -> tf.Tensor:
        """The integrals float32 [G, ...] along a fixed path, C of its nodes a turn.

        A rule may ask for the change of the score over a step, which is known only once the next
        step's first score is. So a turn adds the steps before each of its nodes, and hands its
        last gradient and score on.
        """
        path, rule = cast(FixedPath, self.path), self.rule
        cut = self.quadrature.cut(self.steps)
        nodes = tf.constant(cut.nodes)
        # The step before node k runs from edges[k] to edges[k + 1]; before the first node there
        # is a step of no length, which adds nothing.
        edges = tf.constant([cut.edges[0], *cut.edges])
        nodes_are_edges = bool((cut.nodes == cut.edges[:-1]).all())
        walks = tf.shape(ends.start)[0]
        chunk = tf.maximum(points_per_call(self.internal_batch_size) // tf.maximum(walks, 1), 1)

        def turn(k, total, gradient, score):
            stop = tf.minimum(k + chunk, self.steps)
            lower, upper = edges[k:stop], edges[k + 1 : stop + 1]
            lower, upper = tf.repeat(lower, walks), tf.repeat(upper, walks)
            tiled = Ends(*(repeat_rows(end, stop - k) for end in ends))
            points = path.point(tf.repeat(nodes[k:stop], walks), tiled)
            scores, gradients = objective.score_and_gradient(points)
            if rule.uses_change and not nodes_are_edges:
                scores = objective.score(path.point(upper, tiled))
            scores = tf.concat([score, scores], 0)
            gradients = tf.concat([gradient, gradients], 0)
            change = scores[walks:] - scores[:-walks]
            added = rule(gradients[:-walks], path.displacement(lower, upper, tiled), change)
            added = tf.reshape(added, tf.concat([[stop - k], tf.shape(ends.start)], 0))
            return stop, total + tf.reduce_sum(added, 0), gradients[-walks:], scores[-walks:]

        zeros = tf.zeros_like(ends.start)
        _, total, gradient, score = tf.while_loop(
            lambda k, *_: k < self.steps,
            turn,
            (0, zeros, zeros, tf.zeros([walks])),
            parallel_iterations=1,  # the model calls of several turns at once would fill memory
        )
        lower, upper = (tf.fill([walks], edge) for edge in (edges[-2], edges[-1]))
        end_score = objective.score(ends.inputs) if rule.uses_change else score
        return total + rule(gradient, path.displacement(lower, upper, ends), end_score - score)

    def _walk(self, objective: Objective, ends: Ends) -> tf.Tensor:
        """The integrals float32 [G, ...] along an adaptive path, all walks one step a turn.

        Points, displacements and sums are float64: over hundreds of small steps float32 drifts.
        """
        path, rule = cast(AdaptivePath, self.path), self.rule
        steps = self.steps // path.segments
        alphas = tf.range(1, steps + 1, dtype=tf.float64) / steps
        ends = Ends(*(tf.cast(end, tf.float64) for end in ends))

        def evaluate(point):
            return objective.score_and_gradient(tf.cast(point, tf.float32))

        def turn(k, state, point, score, gradient, total):
            def onward():
                moved = path.advance(alphas[k], state, _finite_or_zero(gradient), ends)
                return moved, path.point(moved, ends)

            # The last step ends on the input, whatever rounding the path has gathered.
            next_state, next_point = tf.cond(k + 1 < steps, onward, lambda: (state, ends.inputs))
            next_score, next_gradient = evaluate(next_point)
            added = rule(
                tf.cast(self._over_step(gradient, next_gradient), tf.float64),
                next_point - point,
                tf.cast(next_score - score, tf.float64),
            )
            return k + 1, next_state, next_point, next_score, next_gradient, total + added

        state = path.begin(ends)
        first = (0, state, ends.start, *evaluate(ends.start), tf.zeros_like(ends.start))
        *_, total = tf.while_loop(lambda k, *_: k < steps, turn, first, parallel_iterations=1)
        return tf.cast(total, tf.float32)

    def _over_step(self, at_start: tf.Tensor, at_end: tf.Tensor) -> tf.Tensor:
        """The gradient that stands for a step, from those at its ends."""
        start_weight, end_weight = cast(tuple[float, float], self.quadrature.step_ends)
        # A gradient of weight 0 is left out: 0 times a NaN would spoil the other.
        if end_weight == 0:
            return at_start
        if start_weight == 0:
            return at_end
        if start_weight == end_weight:
            return start_weight * (at_start + at_end)
        return start_weight * at_start + end_weight * at_end


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
