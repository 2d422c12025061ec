"""Smoothing: any method, averaged over noisy copies of the input."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import tensorflow as tf

from tfgig import noise
from tfgig.methods.base import Attribution, Method
from tfgig.methods.calls import check_internal_batch_size, points_per_call
from tfgig.methods.gradient import Gradient
from tfgig.spec import check, check_is

Statistic = Literal["mean", "squared", "variance"]
STATISTICS = get_args(Statistic)


@dataclasses.dataclass(frozen=True)
class Smooth(Method):
    """`statistic over the samples of inner(input + spread * standard normal noise)`: SmoothGrad.

    The target stays that of the clean input. Samples share model calls: noisy copies lie along
    the batch.

    The mean of a complete method adds up to the mean score of the noisy inputs, not to the score,
    so `complete` is false and `delta` shows the difference; squares and variances add up to
    nothing.

    Args:
        inner: The method that is smoothed.
        samples: How many noisy copies; each costs what `inner` costs.
        spread: The noise's standard deviation; 0 is `inner` itself.
        relative: Whether `spread` is a share of each input's own range, or in the input's units.
        statistic: "mean", SmoothGrad; "squared", the mean of the squares, SmoothGrad-Squared;
            "variance", VarGrad. The last two lose the sign.
        seed: Other seeds draw other noise.
        internal_batch_size: How many noisy copies are handed to `inner` at once; None takes 8 on
            a machine without a GPU and 32 on one with.

    References:
        Smilkov et al. (2017), SmoothGrad: Removing Noise by Adding Noise, arXiv:1706.03825,
        section 3; Hooker et al. (2018), A Benchmark for Interpretability Methods in Deep Neural
        Networks, arXiv:1806.10758, section 3 (squared); Adebayo et al. (2018), Local Explanation
        Methods for Deep Neural Networks Lack Sensitivity to Parameter Values, arXiv:1810.03307
        (variance).
    """

    kind = "smooth"
    inner: Method = Gradient()
    samples: int = 25
    spread: float = 0.15
    relative: bool = True
    statistic: Statistic = "mean"
    seed: int = 0
    internal_batch_size: int | None = None

    def __post_init__(self) -> None:
        check_is(self.inner, Method, "inner")
        noise.check_samples(self.samples, self.seed, "Smooth")
        noise.check_spread(self.spread, "Smooth")
        check(
            self.statistic in STATISTICS,
            f"Smooth(statistic=...) is one of {STATISTICS}.",
            self.statistic,
        )
        check_internal_batch_size(self.internal_batch_size)

    @property
    def gradients(self):
        return self.samples * self.inner.gradients

    def attribute(self, objective, inputs):
        rows = tf.shape(inputs)[0]
        copies = tf.maximum(points_per_call(self.internal_batch_size) // tf.maximum(rows, 1), 1)
        sigma = noise.width(inputs, self.spread, self.relative)
        disturbances = noise.normal(self.samples, inputs, self.seed)  # [samples, 1, ...]

        def turn(first, total, squares, scores):
            stop = tf.minimum(first + copies, self.samples)
            noisy = inputs + sigma * disturbances[first:stop]  # [copies, B, ...]
            flat = tf.reshape(noisy, tf.concat([[-1], tf.shape(inputs)[1:]], 0))
            flat = tf.ensure_shape(flat, [None, *inputs.shape[1:]])
            same = objective.rows(tf.tile(tf.range(rows), [stop - first]))
            found = self.inner.attribute(same, flat)
            # float64: the mean of equal maps is that map exactly.
            parts = tf.cast(tf.reshape(found.attributions, tf.shape(noisy)), tf.float64)
            score = tf.cast(tf.reshape(found.baseline_score, [-1, rows]), tf.float64)
            return (
                stop,
                total + tf.reduce_sum(parts, 0),
                squares + tf.reduce_sum(parts * parts, 0),
                scores + tf.reduce_sum(score, 0),
            )

        zeros = tf.zeros_like(inputs, tf.float64)
        first = (0, zeros, zeros, tf.zeros([rows], tf.float64))
        _, total, squares, scores = tf.while_loop(
            lambda first, *_: first < self.samples, turn, first, parallel_iterations=1
        )
        found = tf.cast(self._statistic(total / self.samples, squares / self.samples), tf.float32)
        return Attribution(found, tf.cast(scores / self.samples, tf.float32))

    def _statistic(self, mean: tf.Tensor, mean_square: tf.Tensor) -> tf.Tensor:
        if self.statistic == "mean":
            return mean
        if self.statistic == "squared":
            return mean_square
        return tf.nn.relu(mean_square - mean * mean)  # rounding may leave it below 0
