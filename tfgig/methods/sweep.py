"""The loop along fixed paths: all points are known, so many of them share a model call."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfgig.methods.calls import repeat_rows
from tfgig.methods.error import caution
from tfgig.objective import Objective
from tfgig.paths import Ends, FixedPath
from tfgig.quadratures import Quadrature
from tfgig.rules import Rule


class Sweep(NamedTuple):
    """What is summed along which path, by which nodes, `points` in a model call."""

    path: FixedPath
    rule: Rule
    quadrature: Quadrature
    steps: int
    points: int

    def __call__(self, objective: Objective, ends: Ends) -> list[tf.Tensor]:
        """The integrals and residuals, float32 [G, ...] each, C nodes a turn.

        A rule may ask for the change of the score over a step, which is known only once the next
        step's first score is. So a turn adds the steps before each of its nodes, and hands its
        last gradient and score on.
        """
        path, rule = self.path, self.rule
        ends = ends._replace(prepared=path.prepare(ends))
        cut = self.quadrature.cut(self.steps)
        nodes = tf.constant(cut.nodes)
        # The step before node k runs from edges[k] to edges[k + 1]; before the first node there
        # is a step of no length, which adds nothing.
        edges = tf.constant([cut.edges[0], *cut.edges])
        parts = tf.constant(self._parts())
        nodes_are_edges = bool((cut.nodes == cut.edges[:-1]).all())
        walks = tf.shape(ends.start)[0]
        chunk = tf.maximum(self.points // tf.maximum(walks, 1), 1)

        def turn(k, totals, gradient, score):
            stop = tf.minimum(k + chunk, self.steps)
            lower, upper = edges[k:stop], edges[k + 1 : stop + 1]
            lower, upper = tf.repeat(lower, walks), tf.repeat(upper, walks)
            tiled = tf.nest.map_structure(lambda part: repeat_rows(part, stop - k), ends)
            points = path.point(tf.repeat(nodes[k:stop], walks), tiled)
            scores, gradients = objective.score_and_gradient(points)
            if rule.uses_change and not nodes_are_edges:
                scores = objective.score(path.point(upper, tiled))
            scores = tf.concat([score, scores], 0)
            gradients = tf.concat([gradient, gradients], 0)
            change = scores[walks:] - scores[:-walks]
            added = rule(gradients[:-walks], path.displacement(lower, upper, tiled), change)
            added = tf.reshape(added, tf.concat([[stop - k], tf.shape(ends.start)], 0))
            totals += tf.tensordot(parts[:, k:stop], added, 1)
            return stop, totals, gradients[-walks:], scores[-walks:]

        zeros, turns = tf.zeros_like(ends.start), objective.turns(self.steps)
        _, totals, gradient, score = tf.while_loop(
            lambda k, *_: k < turns,
            turn,
            (0, tf.stack([zeros, zeros]), zeros, tf.zeros([walks])),
            parallel_iterations=1,  # the model calls of several turns at once would fill memory
        )
        lower, upper = (tf.fill([walks], edge) for edge in (edges[-2], edges[-1]))
        end_score = objective.score(ends.end) if rule.uses_change else score
        last = rule(gradient, path.displacement(lower, upper, ends), end_score - score)
        return tf.unstack(totals + tf.tensordot(parts[:, -1:], last[tf.newaxis], 1))

    def _parts(self) -> np.ndarray:
        """What of the step before each node enters the integral and the residual: [2, steps + 1].

        The residual is the weighted difference of odd and even nodes; the last of an odd number
        is left out. Of one step nothing is known but its size.
        """
        if self.steps == 1:
            return np.ones([2, 2], np.float32)
        ratio = max(self.rule.error_ratio, self.quadrature.error_ratio) * caution(self.steps)
        signs = np.append(0.0, ratio * (-1.0) ** np.arange(self.steps))
        signs[1 + self.steps // 2 * 2 :] = 0.0
        return np.stack([np.ones(self.steps + 1), signs]).astype(np.float32)
