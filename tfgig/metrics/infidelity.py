"""Infidelity: whether attributions foretell what a perturbation does to the score."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfgig.metrics.base import Column, Metric, Requirement, finite_or_none
from tfgig.noise import check_samples
from tfgig.spec import check


@dataclasses.dataclass(frozen=True)
class Infidelity(Metric):
    """The mean squared difference between the predicted and the actual change of the score.

        infidelity = mean over perturbations I of (b I . attributions - (f(x) - f(x - I)))^2

    I is normal noise. With `normalize`, b is the factor that minimizes the difference, so that the
    attributions' scale does not matter; otherwise 1. Attributions that are shares of the score, as
    from a path integral, are multiplied by I unchanged, as in captum: they are treated as
    sensitivities. Not defined for maps that only rank. In squared units of the score.

    Args:
        samples: The number of perturbations, at least 1.
        noise: Their standard deviation, as a share of the model's value range.
        normalize: Whether to scale the attributions to fit best.
        seed: The seed of the perturbations, which all examples share.

    References:
        Yeh et al. (2019), On the (In)fidelity and Sensitivity of Explanations, arXiv:1901.09392,
        definition 2.1; the scaling is that of captum.
    """

    kind = "infidelity"
    columns = (Column("infidelity", larger_is_better=False),)
    needs = Requirement.SCORES
    samples: int = 32
    noise: float = 0.03
    normalize: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_samples(self.samples, self.seed, type(self).__name__)
        check(self.noise > 0, "`noise` must be larger than 0.", self.noise)

    def statistics(self, examples, subject):
        return [self._statistic(example, subject) for example in examples]

    def _statistic(self, example, subject):
        if subject.only_ranks or example.layout is not None:
            return self.undefined()
        low, high = subject.value_range
        random = np.random.default_rng(self.seed)
        shape = (self.samples, *example.image.shape)
        noise = random.normal(0, self.noise * (high - low), shape).astype(np.float32)
        scores = subject.scores(
            np.concatenate([example.image[np.newaxis], example.image - noise]), example.target
        )
        value = infidelity(example.attributions, noise, scores[0] - scores[1:], self.normalize)
        return {"infidelity": finite_or_none(value)}


def infidelity(
    attributions: np.ndarray, perturbations: np.ndarray, drops: np.ndarray, normalize: bool
) -> float:
    """The infidelity of attributions [...] under perturbations [N, ...].

    Args:
        attributions: Of one example.
        perturbations: What was taken off the input.
        drops: [N], `f(x) - f(x - I)`: how far the score fell.
        normalize: Whether to scale the attributions to fit best.
    """
    flat = perturbations.reshape(len(perturbations), -1).astype(np.float64)
    foretold = flat @ np.asarray(attributions, np.float64).ravel()
    square = float(foretold @ foretold)
    factor = float(foretold @ drops) / square if normalize and square > 0 else 1.0
    return float(np.mean((factor * foretold - drops) ** 2))
