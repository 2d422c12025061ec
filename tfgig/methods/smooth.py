"""Smoothing: any method, averaged over noisy copies of the input."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import tensorflow as tf

from tfgig import noise
from tfgig.methods.at import refuse_places
from tfgig.methods.base import Attribution, Method
from tfgig.methods.calls import check_internal_batch_size
from tfgig.methods.gradient import Gradient
from tfgig.methods.sampling import Copies, Moments, moments
from tfgig.spec import check, check_is

Statistic = Literal["mean", "squared", "variance"]
STATISTICS = get_args(Statistic)


@dataclasses.dataclass(frozen=True)
class Smooth(Method):
    """`statistic over the samples of inner(input + spread * standard normal noise)`: SmoothGrad.

    The target stays that of the clean input. Samples share model calls: noisy copies lie along
    the batch.

    The mean of a complete method sums to the mean score of the noisy inputs, not to the score, so
    `complete` is false and `delta` shows the difference; the sums of squares and variances have no
    meaning. `error` is that of `inner`'s integrals, some of which cancels in the mean; it does not
    include the variation between samples.

    Args:
        inner: The method to smooth; not a layer method, such as `GradCAM`.
        samples: The number of noisy copies; each costs as much as `inner`.
        spread: The noise's standard deviation; 0 gives `inner` itself.
        relative: Whether `spread` is a share of each input's own range instead of in the input's
            units.
        statistic: "mean", SmoothGrad; "squared", the mean of the squares, SmoothGrad-Squared;
            "variance", VarGrad. The last two lose the sign.
        seed: The seed of the noise.
        internal_batch_size: The maximum noisy copies per call of `inner`; None takes 8 without a
            GPU and 32 with one.

    References:
        Smilkov et al. (2017), SmoothGrad: Removing Noise by Adding Noise, arXiv:1706.03825;
        Hooker et al. (2018), A Benchmark for Interpretability Methods in Deep Neural Networks,
        arXiv:1806.10758 (squared); Adebayo et al. (2018), Local Explanation Methods for Deep
        Neural Networks Lack Sensitivity to Parameter Values, arXiv:1810.03307 (variance).
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
        check(
            not self.inner.lays_over,
            "Smooth(inner) adds noise to the explained input, but this method uses a layer "
            "instead; use it without Smooth, or smooth another method.",
            self.inner,
        )
        refuse_places(self.inner, "Smooth")
        noise.check_samples(self.samples, self.seed, "Smooth")
        noise.check_spread(self.spread, "Smooth")
        check(
            self.statistic in STATISTICS,
            f"Smooth(statistic=...) must be one of {STATISTICS}.",
            self.statistic,
        )
        check_internal_batch_size(self.internal_batch_size)

    @property
    def gradients(self):
        return self.samples * self.inner.gradients

    @property
    def fewest_gradients(self):
        return self.samples * self.inner.fewest_gradients

    def attribute(self, objective, inputs):
        found = moments(
            lambda same, noisy, _: self.inner.attribute(same, noisy),
            objective,
            inputs,
            Copies(
                self.samples,
                noise.width(inputs, self.spread, self.relative),
                self.seed,
                self.internal_batch_size,
            ),
        )
        maps, residual = self._statistic(found)
        return Attribution(
            tf.cast(maps, tf.float32),
            tf.cast(found.baseline_score, tf.float32),
            tf.cast(residual, tf.float32),
        )

    def _statistic(self, found: Moments) -> tuple[tf.Tensor, tf.Tensor]:
        """The statistic, and its residual to first order."""
        if self.statistic == "mean":
            return found.mean, found.residual
        if self.statistic == "squared":
            return found.mean_square, found.residual_of_squares
        return (
            tf.nn.relu(found.mean_square - found.mean * found.mean),  # rounding may be below 0
            found.residual_of_squares - 2 * found.mean * found.residual,
        )
