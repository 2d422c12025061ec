"""SmoothTaylor whose noise is chosen for each image."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import tensorflow as tf

from tfgig import noise
from tfgig.image.style import percentile
from tfgig.methods.base import Attribution, Method
from tfgig.methods.calls import check_internal_batch_size
from tfgig.methods.sampling import Copies, moments
from tfgig.objective import Objective
from tfgig.spec import check

Measure = Literal["sensitivity", "variation"]
MEASURES = get_args(Measure)
_SCALES = 3  # the map as it is, and halved twice
_KEPT = (98.0, 95.0, 90.0, 80.0, 70.0, 60.0)  # percentiles from which pixels are replaced


@dataclasses.dataclass(frozen=True)
class AdaptiveTaylor(Method):
    """`mean over the samples z of gradient(z) * (input - z)`, at the best spread.

    `z = input + spread * standard normal noise`. With one spread this is SmoothTaylor, the path
    integral of one step from `Gaussian` baselines. Each image gets the map with the lowest value of
    a measure among several spreads, ignoring those with scores or gradients that are not finite.
    (The paper searches step by step; a fixed grid finds its best point at a known cost.)

    Each spread's map is an integral with one step, whose distance from more steps is unknown: its
    `error` is 1.

    Args:
        spreads: The standard deviations of the noise to try.
        relative: Whether they are shares of each image's own range instead of in the input's units.
        measure: "sensitivity", the mean score when 2 to 40 % of the pixels, the strongest of the
            map, are replaced by the image's mean colour: the map finds the pixels that the score
            depends on; it takes six more scores per spread. "variation", `sum |neighbouring
            differences| / sum |map|`, the mean over three scales: the map is smooth.
        samples: The number of noisy copies per spread.
        seed: The seed of the noise.
        internal_batch_size: The maximum points per model call; None takes 8 without a GPU and 32
            with one.

    References:
        Goh, Lapuschkin, Weber, Samek and Binder (2020), Understanding Integrated Gradients with
        SmoothTaylor for Deep Neural Network Attribution, arXiv:2004.10484.
    """

    kind = "adaptive_taylor"
    spreads: tuple[float, ...] = (0.025, 0.05, 0.1, 0.2, 0.4)
    relative: bool = True
    measure: Measure = "sensitivity"
    samples: int = 30
    seed: int = 0
    internal_batch_size: int | None = None

    def __post_init__(self) -> None:
        try:
            spreads = tuple(map(float, self.spreads))
        except (TypeError, ValueError):
            spreads = ()
        message = "AdaptiveTaylor(spreads=...) must be a list of numbers, such as (0.1, 0.2)."
        check(len(spreads) > 0, message, self.spreads)
        for spread in spreads:
            noise.check_spread(spread, "AdaptiveTaylor")
        object.__setattr__(self, "spreads", spreads)
        message = f"AdaptiveTaylor(measure=...) must be one of {MEASURES}."
        check(self.measure in MEASURES, message, self.measure)
        noise.check_samples(self.samples, self.seed, "AdaptiveTaylor")
        check_internal_batch_size(self.internal_batch_size)

    @property
    def gradients(self):
        return len(self.spreads) * self.samples

    def attribute(self, objective, inputs):
        check(
            inputs.shape.rank == 4,
            "AdaptiveTaylor() needs images [B, height, width, channels]; use "
            "PathIntegral(Straight(Gaussian(spread)), quadrature=Left(), steps=1) for others.",
            tuple(inputs.shape),
        )
        spreads = tf.constant(self.spreads, inputs.dtype)

        def attempt(i, best, lowest, baseline_score):
            sigma = spreads[i] * noise.width(inputs, 1.0, self.relative)
            copies = Copies(self.samples, sigma, self.seed, self.internal_batch_size)
            found = moments(_expansion, objective, inputs, copies)
            strength = tf.reduce_sum(tf.abs(found.mean), -1)
            if self.measure == "sensitivity":
                measured = _score_without(objective, inputs, strength)
            else:
                measured = _variation(strength)
            total = tf.reduce_sum(found.mean, [1, 2, 3]) + found.baseline_score
            better = (measured < lowest) & tf.math.is_finite(total)
            best = tf.where(better[:, tf.newaxis, tf.newaxis, tf.newaxis], found.mean, best)
            baseline_score = tf.where(better, found.baseline_score, baseline_score)
            return i + 1, best, tf.where(better, measured, lowest), baseline_score

        # No map yet, and none in the end where noise of every spread leaves the model's domain.
        none = tf.fill(tf.shape(inputs), tf.constant(float("nan"), tf.float64))
        unmeasured = tf.fill(tf.shape(inputs)[:1], tf.float64.max)
        _, best, _, baseline_score = tf.while_loop(
            lambda i, *_: i < len(self.spreads),
            attempt,
            (0, tf.ensure_shape(none, inputs.shape), unmeasured, none[:, 0, 0, 0]),
            parallel_iterations=1,
        )
        best = tf.cast(best, tf.float32)
        return Attribution(best, tf.cast(baseline_score, tf.float32), best)


def _expansion(objective: Objective, noisy: tf.Tensor, inputs: tf.Tensor) -> Attribution:
    score, gradient = objective.score_and_gradient(noisy)
    maps = gradient * (inputs - noisy)
    return Attribution(maps, score, maps)


def _score_without(objective: Objective, inputs: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """The mean score of inputs whose strongest pixels by maps [B, height, width] are gone: [B]."""
    mean = tf.reduce_mean(inputs, [1, 2], keepdims=True)
    kept = tf.constant(_KEPT, tf.float64)

    def turn(i, total):
        gone = (maps >= percentile(maps, kept[i]))[..., tf.newaxis]
        score = objective.score(tf.where(gone, mean, inputs))
        return i + 1, total + tf.cast(score, tf.float64) / len(_KEPT)

    _, total = tf.while_loop(
        lambda i, _: i < len(_KEPT), turn, (0, tf.zeros_like(maps[:, 0, 0])), parallel_iterations=1
    )
    return total


def _variation(maps: tf.Tensor) -> tf.Tensor:
    """The total variation of maps [B, height, width], 0 or more, for their strength: [B]."""
    maps = maps[..., tf.newaxis]
    total = tf.zeros_like(maps[:, 0, 0, 0])
    for _ in range(_SCALES):
        strength = tf.reduce_sum(maps, [1, 2, 3])
        total += tf.math.divide_no_nan(tf.image.total_variation(maps), strength) / _SCALES
        maps = tf.nn.avg_pool2d(maps, 2, 2, "SAME")
    return total
