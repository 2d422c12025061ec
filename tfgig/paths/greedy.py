"""The path that moves the pixels first that change the score most: salient manipulation."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple, get_args

import tensorflow as tf

from tfgig.baselines import Baseline, Constant
from tfgig.paths.base import AdaptivePath, Ends
from tfgig.paths.choosing import CLOSE, dot, gap_left
from tfgig.spec import check, check_is

Direction = Literal["both", "insertion", "deletion"]
DIRECTIONS = get_args(Direction)


class GreedyState(NamedTuple):
    """Where W walks stand, pixel by pixel; P pixels of C channels, all float64."""

    alpha: tf.Tensor  # [W, P], each pixel's own position on its way from start to end
    way: tf.Tensor  # [W, P, C], that way
    length: tf.Tensor  # [W, P], its L1 length over the channels


@dataclasses.dataclass(frozen=True)
class Greedy(AdaptivePath):
    """Steps of equal L1 length, each by the pixels with the largest (or smallest) projection.

        projection_p = sum_c gradient_pc * (end_pc - x_pc)

    is the first-order change of the score when pixel p moves to its end value. An insertion leads
    from the baseline to the input and moves the pixels with the largest projection first, with all
    their channels; a deletion leads from the input to the baseline and moves those with the
    smallest first. A `share` of all pixels moves at once, in a step no longer than `total / steps`
    (the paper's infinitesimal constraint), and if that is not enough, the next share. "both" is the
    mean of the two, where the paper uses the sum: with small steps it then also equals the change
    of the score.

    For inputs [B, features] every feature is a pixel.

    The attributions do not add up on real networks at any usual number of steps, which is the
    method's nature: it takes the steps whose gradients promise most, and on rough networks such
    gradients hold for a small part of the step alone. (On MobileNetV2, the first percent of the
    pixels that deletion moves promises 60 to 130 times what it changes; moved in 64 parts, about
    twice.) Take the order of pixels, or the rule `ImportantDirection()`, which adds up.

    Args:
        baseline: Where insertion starts and deletion ends.
        share: The share of all pixels that moves at once, in (0, 1].
        direction: "insertion", "deletion" or "both", half of the steps each.

    References:
        Zhang, Chen, Ma, Chen, Cao and Lai (2024), Path Choice Matters for Clear Attribution in
        Path Methods (SAMP), arXiv:2401.10442; without its momentum, which is optional there.
    """

    kind = "greedy"
    baseline: Baseline = Constant(0.0)
    share: float = 0.01
    direction: Direction = "both"

    def __post_init__(self) -> None:
        check_is(self.baseline, Baseline, "baseline")
        check(0 < self.share <= 1, "Greedy(share=...) must be in (0, 1].", self.share)
        check(
            self.direction in DIRECTIONS,
            f"Greedy(direction=...) must be one of {DIRECTIONS}.",
            self.direction,
        )

    @property
    def segments(self):
        return 2 if self.direction == "both" else 1

    @property
    def weights(self):
        return {"insertion": (1.0,), "deletion": (-1.0,), "both": (0.5, -0.5)}[self.direction]

    def starts(self, inputs, objective):
        return self.baseline(inputs, objective)

    def cut(self, ends):
        """`prepared` is 1 [W] for a walk that raises the score, -1 for one that lowers it."""
        raising = tf.ones(tf.shape(ends.start)[:1], tf.float64)
        insertion = ends._replace(prepared=raising)
        deletion = Ends(ends.end, ends.start, ends.which, -raising)
        if self.direction != "both":
            return insertion if self.direction == "insertion" else deletion
        return tf.nest.map_structure(lambda *p: tf.concat(p, 0), insertion, deletion)

    def begin(self, ends):
        way = _by_pixel(ends.end - ends.start)
        length = tf.reduce_sum(tf.abs(way), 2)
        # A pixel without a way to go is there already, and never chosen.
        return GreedyState(tf.cast(tf.equal(length, 0.0), tf.float64), way, length)

    def point(self, state, ends):
        moved = state.alpha[..., tf.newaxis] * state.way
        return ends.start + tf.reshape(moved, tf.shape(ends.start))

    def advance(self, step, state, gradient, ends):
        gap = 1.0 - state.alpha
        total = tf.reduce_sum(state.length, 1)
        need = step.upper * total - dot(state.alpha, state.length)
        need = tf.where(need > CLOSE * tf.maximum(total, 1.0), need, tf.zeros_like(need))
        left = gap[..., tf.newaxis] * state.way
        projection = tf.einsum("wpc,wpc->wp", tf.cast(_by_pixel(gradient), tf.float64), left)
        key = -ends.prepared[:, tf.newaxis] * projection
        return state._replace(alpha=1.0 - gap_left(gap, need, state.length, key, self.share))


def _by_pixel(values: tf.Tensor) -> tf.Tensor:
    """`values` [W, ..., channels] as [W, P, channels]; [W, features] as [W, features, 1]."""
    channels = tf.shape(values)[-1] if values.shape.rank > 2 else 1
    pixels = tf.reduce_prod(tf.shape(values)[1:]) // channels
    return tf.reshape(values, [tf.shape(values)[0], pixels, channels])
