"""As many steps as a row needs for an error that is asked for."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfgig.methods.base import Attribution, Method
from tfgig.methods.error import caution, relative_error
from tfgig.methods.path_integral import PathIntegral
from tfgig.paths import FixedPath
from tfgig.quadratures import Cut
from tfgig.spec import check, check_is, is_whole


@dataclasses.dataclass(frozen=True)
class Converge(Method):
    """`inner`, with steps doubled row by row until its `error` is at most `tolerance`.

    The steps of `inner` are a pilot that estimates each row's error. Rows that are exact enough
    stop; the others continue, each according to its own error, independently of the other rows.

    On a fixed path with the rule `Riemann` and nested nodes (`Midpoint`, `Trapezoid`, `Left`,
    `Right`) only the nodes in between are added, so no gradient is computed twice and the pilot
    costs nothing. After `Midpoint`, the nodes are those of `Trapezoid`. Otherwise a row starts
    again, with the steps that it needs if its error falls as 1/steps: an adaptive path with more
    steps is a different path, `ImportantDirection` needs the change of the score over other steps,
    and the nodes of `GaussLegendre` and `Endpoints` are not nested.

    A row that needs more than `most_steps` returns the error it reached. As with every method, the
    last digits of a row vary with the batch; a row whose error equals the tolerance up to these
    digits may stop in one batch and continue in another.

    Args:
        inner: The integral; its `steps` are the pilot.
        tolerance: The largest error, relative to the sum of the absolute attributions, in (0, 1).
        most_steps: The maximum steps of a row, at least the pilot's; one more gradient is taken if
            nodes lie at both ends.
    """

    kind = "converge"
    inner: PathIntegral = PathIntegral(steps=16)
    tolerance: float = 0.1
    most_steps: int = 512

    def __post_init__(self) -> None:
        check_is(self.inner, Method, "inner")
        check(
            isinstance(self.inner, PathIntegral),
            "Converge(inner) needs a PathIntegral(...). Put methods that wrap one around Converge: "
            "Smooth(Converge(...)), At(place, Converge(...)).",
            self.inner,
        )
        check(
            0 < self.tolerance < 1,
            "Converge(tolerance=...) must be a relative error above 0 and below 1, such as 0.1.",
            self.tolerance,
        )
        check(
            is_whole(self.most_steps) and self.most_steps >= self.inner.steps,
            f"Converge(most_steps=...) must be a whole number of at least {self.inner.steps}, the "
            "number of steps of the inner method.",
            self.most_steps,
        )

    @property
    def complete(self):
        return self.inner.complete

    @property
    def gradients(self):
        return self.fewest_gradients + sum(map(self.inner.evaluations, self._levels().cuts[1:]))

    @property
    def fewest_gradients(self):
        return self.inner.gradients

    def attribute(self, objective, inputs):
        inner, levels = self.inner, self._levels()
        starts = inner.path.starts(inputs, objective)  # [K, B, ...]
        first = inner.integrals(objective, inputs, starts, levels.cuts[0])
        wanted = self._wanted(first, 0)
        # Where no row can be explained, all go on for one turn: every operation is to run once.
        wanted = tf.where(objective.turns(2) < 2, tf.ones_like(wanted), wanted)
        turns = objective.turns(levels.done - 1)

        def turn(k, wanted, so_far):
            level = tf.reduce_min(wanted)
            rows = tf.where(wanted == level)[:, 0]
            found = inner.integrals(
                objective.rows(rows),
                tf.gather(inputs, rows),
                tf.gather(starts, rows, axis=1),
                levels.at(level),
            )
            if levels.nested:
                # The nodes so far are every other one of all; so are the new ones.
                before, new = tf.gather(so_far.attributions, rows), found.attributions
                chance = inner.error_ratio * caution(tf.gather(levels.steps, level))
                residual = chance * (before - new) / 2
                found = found._replace(attributions=(before + new) / 2, residual=residual)
            at = rows[:, tf.newaxis]
            wanted = tf.tensor_scatter_nd_update(wanted, at, self._wanted(found, level))
            both = zip(so_far, found, strict=True)
            so_far = Attribution(*(tf.tensor_scatter_nd_update(a, at, b) for a, b in both))
            return k + 1, wanted, so_far

        return tf.while_loop(
            lambda k, wanted, _: (k < turns) & tf.reduce_any(wanted < levels.done),
            turn,
            (0, wanted, first),
            parallel_iterations=1,
        )[2]

    def _wanted(self, found: Attribution, level: int | tf.Tensor) -> tf.Tensor:
        """The level at which each row is to go on, int32 [B]; `done` if it is not.

        Not every row that has not come to its tolerance can go on: nothing follows the last level,
        and nothing comes of attributions that are not finite.
        """
        levels = self._levels()
        error = relative_error(found.attributions, found.residual)
        next_one = tf.fill(tf.shape(error), level + 1)
        if not levels.nested:
            falling = caution(levels.steps) / levels.steps
            expected = error[:, tf.newaxis] * falling / tf.gather(falling, level)
            needed = tf.reduce_sum(tf.cast(expected > self.tolerance, tf.int32), 1)
            # The last level is tried by all that need more.
            next_one = tf.maximum(next_one, tf.minimum(needed, levels.done - 1))
        features = list(range(1, found.attributions.shape.rank))
        finite = tf.reduce_all(tf.math.is_finite(found.attributions), features)
        going_on = finite & (error > self.tolerance)
        return tf.where(going_on, tf.minimum(next_one, levels.done), levels.done)

    def _levels(self) -> _Levels:
        inner, most = self.inner, self.most_steps
        nests = isinstance(inner.path, FixedPath) and inner.rule.linear
        halvings = inner.nodes.halvings(inner.steps) if nests else iter(())
        cuts, steps = [inner.cut(inner.steps)], [inner.steps]
        for cut in halvings:
            if steps[-1] + len(cut.nodes) > most + 1:  # one more where nodes lie at both ends
                break
            cuts.append(cut)
            steps.append(steps[-1] + len(cut.nodes))
        nested = len(cuts) > 1
        while not nested and 2 * steps[-1] <= most:
            steps.append(2 * steps[-1])
            cuts.append(inner.cut(steps[-1]))
        return _Levels(nested, cuts, np.array(steps, np.float32))


class _Levels(NamedTuple):
    """What a row goes through: the pilot, and ever more steps."""

    nested: bool  # whether a table holds only the nodes between those before
    cuts: list[Cut]
    steps: np.ndarray  # float32 [levels], the nodes that a row has had at each in the end

    @property
    def done(self) -> int:
        """What stands for the level of rows that are done: one past the last."""
        return len(self.cuts)

    def at(self, level: tf.Tensor) -> Cut:
        """The table of a level that is known only while the graph runs."""
        parts = []
        for tables in zip(*self.cuts, strict=True):
            begin = tf.constant(np.cumsum([0, *map(len, tables)]), tf.int32)
            parts.append(tf.constant(np.concatenate(tables))[begin[level] : begin[level + 1]])
        return Cut(*parts)
