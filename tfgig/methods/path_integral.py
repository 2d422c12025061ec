"""The engine: gradients integrated along any path, by any quadrature and rule.

There are two loops. `Sweep` serves fixed paths: all points are known, so many of them share a
model call. `Walk` serves adaptive paths: each point depends on the gradient at the one before,
so the steps of one walk follow each other, and many walks (examples, baselines, the segments of
an anchored path) share a model call. No call here sees more than `internal_batch_size` points,
and only sums are kept, of the attributions and of their residual, so memory does not grow with the
steps.

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
from tfgig.methods.sweep import Sweep
from tfgig.methods.walk import Walk
from tfgig.objective import Objective
from tfgig.paths import AdaptivePath, Ends, FixedPath, Path, Straight
from tfgig.paths.base import spread
from tfgig.quadratures import Cut, Left, Quadrature
from tfgig.rules import Riemann, Rule
from tfgig.spec import check, check_is, is_whole


@dataclasses.dataclass(frozen=True)
class PathIntegral(Method):
    """`sum_k rule(gradient at node k, x(edge k+1) - x(edge k), change of the score over step k)`.

    With `Riemann()`, the path integral of the gradient: attributions that sum to the score at the
    input minus the score at the start, up to `delta`.

    Args:
        path: The curve, which also owns its start.
        rule: What each step contributes.
        quadrature: Where gradients are evaluated; None takes the path's own (`Midpoint` on fixed
            paths, `Trapezoid` on adaptive ones).
        steps: The number of gradients from start to input; one more on adaptive paths (and per
            segment of an anchored path, which divides the steps among its segments).
        internal_batch_size: The maximum points per model call; None takes 8 without a GPU and 32
            with one, decided when the graph is traced.

    References:
        Sundararajan, Taly and Yan (2017), Axiomatic Attribution for Deep Networks,
        arXiv:1703.01365, section 3; Kapishnikov et al. (2021), Guided Integrated Gradients,
        arXiv:2106.09788, equation 2.
    """

    kind = "path_integral"
    path: Path = Straight()
    rule: Rule = Riemann()
    quadrature: Quadrature | None = None
    steps: int = 50
    internal_batch_size: int | None = None

    def __post_init__(self) -> None:
        check_is(self.path, Path, "path")
        check_is(self.rule, Rule, "rule")
        if self.quadrature is not None:
            check_is(self.quadrature, Quadrature, "quadrature")
        check(
            isinstance(self.path, FixedPath) or self.nodes.step_ends is not None,
            "An adaptive path has gradients only at the ends of its steps; use Trapezoid(), Left() "
            "or Right().",
            self.quadrature,
        )
        fewest = self.nodes.fewest_steps
        if isinstance(self.path, AdaptivePath):
            fewest = self.path.segments
        check(
            is_whole(self.steps) and self.steps >= fewest,
            f"`steps` must be a whole number of at least {fewest} for this path and quadrature.",
            self.steps,
        )
        check_internal_batch_size(self.internal_batch_size)

    @property
    def nodes(self) -> Quadrature:
        """Where gradients are evaluated: by `quadrature`, or as the path has it."""
        return self.path.default_quadrature if self.quadrature is None else self.quadrature

    @property
    def complete(self):
        return self.steps > 1  # one step is a tangent, not an integral

    @property
    def gradients(self):
        return self.path.gradients + self.evaluations(self.cut(self.steps))

    @property
    def error_ratio(self) -> float:
        """The ratio of the error to the difference of odd and even nodes, on a fixed path."""
        return max(self.rule.error_ratio, self.nodes.error_ratio)

    def cut(self, steps: int) -> Cut:
        """The table for this number of steps; for an adaptive path, the steps of each segment."""
        if isinstance(self.path, AdaptivePath):
            return Left().cut(steps // self.path.segments)
        return self.nodes.cut(steps)

    def evaluations(self, cut: Cut) -> int:
        """The number of gradients of a table for one example, over all its walks."""
        if isinstance(self.path, AdaptivePath):
            per_walk = (len(cut.edges) - 1) * self.path.gradients_per_step + 1
            return self.path.count * self.path.segments * per_walk
        return self.path.count * len(cut.nodes)

    def attribute(self, objective, inputs):
        starts = self.path.starts(inputs, objective)  # [K, B, ...]
        return self.integrals(objective, inputs, starts, self.cut(self.steps))

    def integrals(
        self, objective: Objective, inputs: tf.Tensor, starts: tf.Tensor, cut: Cut
    ) -> Attribution:
        """The sums over the nodes of a table, averaged over the starts.

        Args:
            objective: The score of B examples.
            inputs: [B, ...].
            starts: [K, B, ...], as found by the path.
            cut: A table as `cut` makes it, or as tensors, whose length may be unknown.
        """
        baselines, examples = tf.shape(starts)[0], tf.shape(inputs)[0]
        starts = tf.reshape(starts, tf.concat([[-1], tf.shape(inputs)[1:]], 0))
        starts = tf.ensure_shape(starts, [None, *inputs.shape[1:]])
        size = points_per_call(self.internal_batch_size)
        ends, weights, integrate = self._walks(starts, inputs, baselines, size)

        def integrals_of(walks):
            group = tf.nest.map_structure(lambda p: tf.gather(p, walks % tf.shape(p)[0]), ends)
            weight = tf.gather(weights, walks)
            found = integrate(objective.rows(walks % examples), group, cut)
            return [spread(weight, value) * value for value in found]

        def scores_of(points):
            def score(rows):
                return [objective.rows(rows % examples).score(tf.gather(points, rows))]

            return sums_by_row(score, tf.shape(points)[0], size, [tf.zeros([examples])])[0]

        like, count = [inputs, inputs], tf.cast(baselines, tf.float64)
        if isinstance(integrate, Sweep):
            baseline_score = scores_of(starts) / count
        else:  # a walk knows the scores at its own ends, wherever it has ended
            like.append(tf.zeros([examples]))
        total, residual, *changes = (
            part / count for part in sums_by_row(integrals_of, tf.shape(ends.start)[0], size, like)
        )
        if changes:
            baseline_score = scores_of(inputs) - changes[0]
        return Attribution(*(tf.cast(v, tf.float32) for v in (total, baseline_score, residual)))

    def _walks(
        self, starts: tf.Tensor, inputs: tf.Tensor, baselines: tf.Tensor, size: int
    ) -> tuple[Ends, tf.Tensor, Sweep | Walk]:
        """The ends of all W walks, what each counts [W], and what integrates along some of them."""
        count = tf.shape(starts)[0]
        if not isinstance(self.path, AdaptivePath):
            path = cast(FixedPath, self.path)
            at_starts = self.nodes.nodes_at_starts
            sweep = Sweep(path, self.rule, at_starts, self.error_ratio, size)
            return Ends(starts, inputs), tf.ones([count]), sweep  # inputs are repeated as needed
        which = tf.repeat(tf.range(baselines), tf.shape(inputs)[0])
        ends = self.path.cut(Ends(starts, repeat_rows(inputs, baselines), which))
        step_ends = cast(tuple[float, float], self.nodes.step_ends)
        walk = Walk(self.path, self.rule, step_ends)
        return ends, tf.repeat(tf.constant(self.path.weights), count), walk
