"""Maps that ought to differ: those of another model, and those of another class."""

from __future__ import annotations

import abc
import dataclasses

import numpy as np

from tfgig.metrics.base import Column, Requirement, finite_or_none
from tfgig.metrics.pixels import PixelMetric
from tfgig.metrics.saliency import pixel_saliency


@dataclasses.dataclass(frozen=True)
class MapSimilarity(PixelMetric, abc.ABC):
    """The rank correlation of a map with one that ought to be another.

    1: the same order of pixels, the map does not depend on what was changed; 0: none in common.

    Args:
        seed: What was changed.
    """

    columns = (Column("rank_correlation", larger_is_better=False),)
    needs = Requirement.EXPLANATIONS | Requirement.SCORES
    seed: int = 0

    @abc.abstractmethod
    def explain_otherwise(self, examples, subject) -> dict[str, np.ndarray] | None:
        """The explanations of what ought to give other maps; None if there is no such thing."""

    def statistics(self, examples, subject):
        found = self.explain_otherwise(examples, subject)
        if found is None:
            return [self.undefined() for _ in examples]
        others = pixel_saliency(found["attributions"], self.channels, subject.layout)
        return [
            {"rank_correlation": rank_correlation(self._map(example), other) if ok else None}
            for example, other, ok in zip(examples, others, found["ok"], strict=True)
        ]

    def _map(self, example):
        return pixel_saliency(example.attributions, self.channels, example.layout)


@dataclasses.dataclass(frozen=True)
class ModelRandomization(MapSimilarity):
    """The model-randomisation check: the model's map against that with shuffled weights.

    A map that survives the loss of everything the model has learned shows the image, not the model.
    All trainable weights are shuffled at once, each within its own tensor.

    References:
        Adebayo et al. (2018), Sanity Checks for Saliency Maps, arXiv:1810.03292, section 3.
    """

    kind = "model_randomization"

    def explain_otherwise(self, examples, subject):
        images = np.stack([example.image for example in examples])
        targets = np.array([example.target for example in examples])
        with subject.randomized(self.seed) as changed:
            return subject.explain(images, targets) if changed else None


@dataclasses.dataclass(frozen=True)
class ClassSensitivity(MapSimilarity):
    """The map of the explained class against that of a random other class.

    References:
        Sixt, Granz and Landgraf (2020), When Explanations Lie: Why Many Modified BP Attributions
        Fail, arXiv:1912.09818, section 5 (the random logit test).
    """

    kind = "class_sensitivity"

    def explain_otherwise(self, examples, subject):
        images = np.stack([example.image for example in examples])
        classes = subject.predict(images[:1]).shape[1]
        if classes < 2:
            return None
        # From the example itself, not its place in a batch: shards must agree.
        steps = [1 + (self.seed + int(example.image.sum())) % (classes - 1) for example in examples]
        targets = [
            (example.target + n) % classes for example, n in zip(examples, steps, strict=True)
        ]
        return subject.explain(images, np.array(targets))


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's rank correlation of two maps [H, W]; None where one is the same everywhere."""
    from scipy import stats

    ranks = [stats.rankdata(values) for values in (first, second)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return None
    return finite_or_none(np.corrcoef(*ranks)[0, 1])
