"""Max-sensitivity: how far attributions move when the input hardly does."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfgig.metrics.base import Column, Metric, Requirement, finite_or_none
from tfgig.noise import check_samples
from tfgig.spec import check


@dataclasses.dataclass(frozen=True)
class MaxSensitivity(Metric):
    """The largest relative change of attributions within a small cube around the input.

        max over samples r of ||attributions(x + r) - attributions(x)|| / ||attributions(x)||

    r is uniform in [-radius, radius] in every feature; the class is the one explained at x.

    Args:
        samples: The number of neighbours, at least 1; each costs one explanation.
        radius: Half the cube's edge, as a share of the model's value range.
        seed: The seed of the neighbours, which all examples share.

    References:
        Yeh et al. (2019), On the (In)fidelity and Sensitivity of Explanations, arXiv:1901.09392,
        definition 3.1; as in captum, relative and by sampling.
    """

    kind = "max_sensitivity"
    columns = (Column("max_sensitivity", larger_is_better=False),)
    needs = Requirement.EXPLANATIONS
    samples: int = 10
    radius: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        check_samples(self.samples, self.seed, type(self).__name__)
        check(self.radius > 0, "`radius` must be larger than 0.", self.radius)

    def statistics(self, examples, subject):
        return [self._statistic(example, subject) for example in examples]

    def _statistic(self, example, subject):
        low, high = subject.value_range
        random = np.random.default_rng(self.seed)
        shape = (self.samples, *example.image.shape)
        radius = self.radius * (high - low)
        moved = example.image + random.uniform(-radius, radius, shape).astype(np.float32)
        found = subject.explain(moved, example.target)
        if not found["ok"].all():
            return self.undefined()
        value = max_sensitivity(example.attributions, found["attributions"])
        return {"max_sensitivity": finite_or_none(value)}


def max_sensitivity(attributions: np.ndarray, neighbours: np.ndarray) -> float:
    """The largest relative distance of attributions [N, ...] from those at the input, [...].

    Attributions of nothing but zeros have no length to divide by; distances stay as they are.
    """
    here = np.asarray(attributions, np.float64).ravel()
    there = np.asarray(neighbours, np.float64).reshape(len(neighbours), -1)
    length = np.linalg.norm(here)
    return float(np.linalg.norm(there - here, axis=1).max() / (length if length > 0 else 1.0))
