"""The loop along fixed paths: all points are known, so many of them share a model call."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfgig.methods.calls import repeat_rows
from tfgig.methods.error import caution
from tfgig.objective import Objective
from tfgig.paths import Ends, FixedPath
from tfgig.quadratures import Cut
from tfgig.rules import Rule


class Sweep(NamedTuple):
    """What is summed along which path."""

    path: FixedPath
    rule: Rule
    nodes_at_starts: bool  # whether every node is the start of its step
    error_ratio: float  # what the error is of the difference of odd and even nodes
    points: int  # in a model call

    def __call__(self, objective: Objective, ends: Ends, cut: Cut) -> list[tf.Tensor]:
        """The integrals and residuals, float32 [G, ...] each, by the nodes of `cut`, C a turn."""
        ends = ends._replace(tables=self.path.tabulate(ends))
        ends = ends._replace(prepared=self.path.prepare(ends))
        cut = Cut(*(tf.convert_to_tensor(values, tf.float64) for values in cut))
        sums = self._with_changes if self.rule.uses_change else self._sums
        return tf.unstack(sums(objective, ends, cut))

    def _sums(self, objective: Objective, ends: Ends, cut: Cut) -> tf.Tensor:
        parts, walks = self._parts(tf.shape(cut.nodes)[0]), tf.shape(ends.start)[0]

        def turn(k, totals):
            stop = self._stop(k, ends, cut)
            at, lower, upper = (
                tf.repeat(positions, walks)
                for positions in (cut.nodes[k:stop], cut.edges[k:stop], cut.edges[k + 1 : stop + 1])
            )
            tiled = _tiled(ends, stop - k)
            scores, gradients = objective.score_and_gradient(self.path.point(at, tiled))
            added = self.rule(gradients, self.path.displacement(lower, upper, tiled), scores)
            return stop, totals + _weighed(parts[:, k:stop], added, ends)

        return _loop(objective, turn, cut, [_nothing(ends)])[0]

    def _with_changes(self, objective: Objective, ends: Ends, cut: Cut) -> tf.Tensor:
        """As `_sums`, of a rule that asks for the change of the score over a step.

        That is known only once the next step's first score is. So a turn adds the steps before each
        of its nodes, and hands its last gradient and score on.
        """
        path, rule, walks = self.path, self.rule, tf.shape(ends.start)[0]
        # The step before node k runs from edges[k] to edges[k + 1]; before the first node there
        # is a step of no length, which adds nothing.
        edges = tf.concat([cut.edges[:1], cut.edges], 0)
        parts = tf.pad(self._parts(tf.shape(cut.nodes)[0]), [[0, 0], [1, 0]])

        def turn(k, totals, gradient, score):
            stop = self._stop(k, ends, cut)
            at, lower, upper = (
                tf.repeat(positions, walks)
                for positions in (cut.nodes[k:stop], edges[k:stop], edges[k + 1 : stop + 1])
            )
            tiled = _tiled(ends, stop - k)
            scores, gradients = objective.score_and_gradient(path.point(at, tiled))
            if not self.nodes_at_starts:
                scores = objective.score(path.point(upper, tiled))
            scores = tf.concat([score, scores], 0)
            gradients = tf.concat([gradient, gradients], 0)
            change = scores[walks:] - scores[:-walks]
            added = rule(gradients[:-walks], path.displacement(lower, upper, tiled), change)
            totals += _weighed(parts[:, k:stop], added, ends)
            return stop, totals, gradients[-walks:], scores[-walks:]

        first = [_nothing(ends), tf.zeros_like(ends.start), tf.zeros([walks])]
        totals, gradient, score = _loop(objective, turn, cut, first)
        lower, upper = (tf.fill([walks], edge) for edge in (edges[-2], edges[-1]))
        change = objective.score(ends.end) - score
        last = rule(gradient, path.displacement(lower, upper, ends), change)
        return totals + _weighed(parts[:, -1:], last, ends)

    def _stop(self, k: tf.Tensor, ends: Ends, cut: Cut) -> tf.Tensor:
        """One past the last node of the turn that begins with node k."""
        chunk = tf.maximum(self.points // tf.maximum(tf.shape(ends.start)[0], 1), 1)
        return tf.minimum(k + chunk, tf.shape(cut.nodes)[0])

    def _parts(self, steps: tf.Tensor) -> tf.Tensor:
        """What of each node's step enters the integral and the residual: float32 [2, steps].

        The residual is the weighted difference of odd and even nodes; the last of an odd number
        is left out. Of one step nothing is known but its size.
        """
        chance = self.error_ratio * caution(tf.cast(steps, tf.float32))
        k = tf.range(steps)
        signs = tf.where(k % 2 == 0, chance, -chance)
        signs = tf.where(k < steps // 2 * 2, signs, tf.where(steps == 1, 1.0, 0.0))
        return tf.stack([tf.ones_like(signs), signs])


def _tiled(ends: Ends, times: tf.Tensor) -> Ends:
    of_walks = ends._replace(tables=())
    tiled = tf.nest.map_structure(lambda part: repeat_rows(part, times), of_walks)
    return tiled._replace(tables=ends.tables)


def _nothing(ends: Ends) -> tf.Tensor:
    """The integral and the residual before the first node, [2, G, ...]."""
    return tf.stack([tf.zeros_like(ends.start)] * 2)


def _weighed(parts: tf.Tensor, added: tf.Tensor, ends: Ends) -> tf.Tensor:
    """The sums [2, G, ...] of what C nodes add, [C G, ...], weighed by `parts` [2, C]."""
    shape = tf.concat([tf.shape(parts)[1:], tf.shape(ends.start)], 0)
    return tf.tensordot(parts, tf.reshape(added, shape), 1)


def _loop(objective: Objective, turn, cut: Cut, first: list[tf.Tensor]) -> list[tf.Tensor]:
    turns = objective.turns(tf.shape(cut.nodes)[0])
    # One model call at a time: those of several turns at once would fill memory.
    return tf.while_loop(lambda k, *_: k < turns, turn, [0, *first], parallel_iterations=1)[1:]
