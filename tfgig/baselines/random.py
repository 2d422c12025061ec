"""Random baselines; each carries its seed, and its numbers are the same at every call."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfgig import noise
from tfgig.baselines.base import Baseline, Range, checked_range


@dataclasses.dataclass(frozen=True)
class Gaussian(Baseline):
    """`input + spread * standard normal noise`: the input with its detail hidden by noise.

    Args:
        spread: The noise's standard deviation.
        relative: Whether `spread` is a share of each input's own range instead of in the input's
            units.
        samples: The number of baselines to draw; their attributions are averaged.
        seed: The seed of the noise.
        value_range: Values beyond (low, high) are clipped; None clips nothing.

    References:
        Sturmfels, Lundberg and Lee (2020), Visualizing the Impact of Feature Attribution
        Baselines, Distill, doi:10.23915/distill.00022, "Gaussian baseline"; Goh et al. (2020),
        Understanding Integrated Gradients with SmoothTaylor for Deep Neural Network Attribution,
        arXiv:2004.10484 (one left step from many of them).
    """

    kind = "gaussian"
    spread: float = 0.5
    relative: bool = True
    samples: int = 1
    seed: int = 0
    value_range: Range | None = None

    def __post_init__(self) -> None:
        noise.check_spread(self.spread, "Gaussian")
        noise.check_samples(self.samples, self.seed, "Gaussian")
        if self.value_range is not None:
            object.__setattr__(self, "value_range", checked_range(self.value_range, self))

    def __call__(self, inputs, objective):
        sigma = noise.width(inputs, self.spread, self.relative)
        values = inputs + sigma * noise.normal(self.samples, inputs, self.seed)
        if self.value_range is None:
            return values
        return tf.clip_by_value(values, *self.value_range)

    @property
    def count(self):
        return self.samples


@dataclasses.dataclass(frozen=True)
class Uniform(Baseline):
    """Uniform noise over the inputs' range.

    The paper of Guided IG averages over two of them ("2-rnd"): `Uniform(samples=2)`.

    Args:
        value_range: (low, high) in the model's input units.
        samples: The number of baselines to draw; their attributions are averaged.
        seed: The seed of the noise.

    References:
        Sturmfels, Lundberg and Lee (2020), Visualizing the Impact of Feature Attribution
        Baselines, Distill, doi:10.23915/distill.00022, "uniform baseline"; Kapishnikov et al.
        (2021), Guided Integrated Gradients, arXiv:2106.09788, table 3.
    """

    kind = "uniform"
    value_range: Range = (0.0, 255.0)
    samples: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "value_range", checked_range(self.value_range, self))
        noise.check_samples(self.samples, self.seed, "Uniform")

    def __call__(self, inputs, objective):
        low, high = self.value_range
        values = low + (high - low) * noise.uniform(self.samples, inputs, self.seed)
        return values + tf.zeros_like(inputs)  # one for each row

    @property
    def count(self):
        return self.samples
