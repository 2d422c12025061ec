"""DiffID: what the least and the most salient values of an image are worth without each other."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfgig.metrics.base import Column, Requirement
from tfgig.metrics.pixels import PixelMetric
from tfgig.metrics.saliency import pixel_saliency, ranking
from tfgig.spec import check


@dataclasses.dataclass(frozen=True)
class DiffID(PixelMetric):
    """Insertion minus deletion of single values, replaced by the mean of the others.

    For each share s of an image's values, the least salient s are replaced (which inserts the
    others) and, separately, the most salient s (which deletes them); in both cases by the mean of
    the remaining values.

        top_class = mean over s of [class stays on top at insertion] - [... at deletion]
        probability_ratio = mean over s of min(p_insertion / p, 1) - min(p_deletion / p, 1)

    of the explained class, whose probability for the complete image is p. Both are in [-1, 1], and
    0 for an uninformative map. Unlike `Insertion` and `Deletion` it can distinguish the colours of
    a pixel; a map with one number per pixel applies to all of its colours.

    Args:
        shares: The shares of values to replace, each in (0, 1).
        seed: The seed of the order of equally salient values.
        channels: None ranks single values by their absolute attributions; for an inner layer,
            pixels by the evidence for the class. Otherwise it ranks pixels as in `pixel_saliency`.

    References:
        Yang, Akhtar, Wen and Mian (2023), Local Path Integration for Attribution, AAAI, which
        introduces DiffID; shares and replacement as in the benchmark of Kim et al. (2026),
        Spectral Integrated Gradients, arXiv:2605.19607.
    """

    kind = "diff_id"
    columns = (Column("top_class"), Column("probability_ratio"))
    needs = Requirement.SCORES
    shares: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "shares", tuple(self.shares))
        check(
            len(self.shares) > 0 and all(0 < share < 1 for share in self.shares),
            "DiffID(shares=...) must contain shares in (0, 1).",
            self.shares,
        )

    def statistics(self, examples, subject):
        return [self._statistic(example, subject) for example in examples]

    def _statistic(self, example, subject):
        order = ranking(self._saliency(example), self.seed)
        pictures = [
            replaced(example.image, which[: round(share * order.size)])
            for which in (order[::-1], order)  # insertion, deletion
            for share in self.shares
        ]
        found = subject.predict(np.stack([example.image, *pictures]))
        original = found[0, example.target]
        if not np.all(np.isfinite(found)) or not original > 0:
            return self.undefined()
        stays = found[1:].argmax(1) == example.target
        kept = np.minimum(found[1:, example.target] / original, 1.0)
        return {"top_class": self._difference(stays), "probability_ratio": self._difference(kept)}

    def _difference(self, values: np.ndarray) -> float:
        inserted, deleted = np.reshape(values, [2, -1]).astype(np.float64)
        return float(np.mean(inserted - deleted))

    def _saliency(self, example) -> np.ndarray:
        """The strength of every value of the image, [H, W, C]."""
        attributions = np.abs(example.attributions)
        single = self.channels is None and example.layout is None
        if not (single and attributions.shape == example.image.shape):
            attributions = pixel_saliency(example.attributions, self.channels, example.layout)
            attributions = attributions[..., np.newaxis]
        return np.broadcast_to(attributions, example.image.shape)


def replaced(image: np.ndarray, which: np.ndarray) -> np.ndarray:
    """An image [H, W, C] whose values at flat indices become the mean of the others, float32."""
    values = np.array(image, np.float32).ravel()
    left = np.ones(values.size, bool)
    left[which] = False
    values[which] = values[left].mean(dtype=np.float64)
    return values.reshape(image.shape)
