"""An adaptive path tied to the straight line at anchors."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfgig.paths.base import AdaptivePath, spread
from tfgig.paths.guided import Guided
from tfgig.spec import check, check_is, is_whole


@dataclasses.dataclass(frozen=True)
class Anchored(AdaptivePath):
    """Any adaptive path, walked separately between `anchors` points of the straight line.

    The straight line from start to input is cut into `anchors + 1` equal segments; the path runs
    from each anchor to the next, and the attributions of the segments are summed. The segments are
    independent, so they are computed in parallel: `steps // (anchors + 1)` sequential model calls
    instead of `steps`.

    Args:
        path: The path of each segment; its baseline is the start of the first.
        anchors: The number of points of the straight line that the path must pass, 0 or more.

    References:
        Kapishnikov et al. (2021), Guided Integrated Gradients: an Adaptive Path Method for
        Removing Noise, arXiv:2106.09788, section 4.3.
    """

    kind = "anchored"
    path: AdaptivePath = Guided(fraction=0.1, max_distance=1.0)
    anchors: int = 20

    def __post_init__(self) -> None:
        check_is(self.path, AdaptivePath, "path")
        check(
            self.path.segments == 1 and self.path.arrives,
            "An anchored path leads from point to point in one walk. Give Greedy a direction, and "
            "do not use a path that is itself anchored or that chooses its own end.",
            self.path,
        )
        check(
            is_whole(self.anchors) and self.anchors >= 0,
            "Anchored(anchors=...) must be a whole number of at least 0.",
            self.anchors,
        )

    @property
    def segments(self) -> int:
        return self.anchors + 1

    def starts(self, inputs, objective):
        return self.path.starts(inputs, objective)

    def cut(self, ends):
        alpha = tf.range(1, self.segments, dtype=ends.start.dtype) / self.segments
        way = ends.end - ends.start
        anchors = ends.start + spread(alpha, way[tf.newaxis]) * way  # [anchors, W, ...]
        anchors = tf.reshape(anchors, tf.concat([[-1], tf.shape(way)[1:]], 0))
        starts, stops = tf.concat([ends.start, anchors], 0), tf.concat([anchors, ends.end], 0)
        return self.path.cut(ends._replace(start=starts, end=stops))

    @property
    def weights(self):
        return self.path.weights * self.segments

    def guide(self, objective, ends):
        return self.path.guide(objective, ends)

    def begin(self, ends):
        return self.path.begin(ends)

    def point(self, state, ends):
        return self.path.point(state, ends)

    def advance(self, step, state, gradient, ends):
        return self.path.advance(step, state, gradient, ends)
