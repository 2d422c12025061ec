"""Localization: attributions against a mask of where the evidence is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfgig.metrics.base import Column, Requirement
from tfgig.metrics.pixels import PixelMetric
from tfgig.metrics.saliency import pixel_saliency
from tfgig.spec import check


def roc_auc(saliency: np.ndarray, mask: np.ndarray) -> float:
    """The area under the ROC curve of a saliency map as a classifier of pixels.

    The chance that a pixel inside the mask is more salient than one outside; equally salient
    pairs count half. 1 is perfect, 0.5 chance.

    Args:
        saliency: [height, width], larger means more important.
        mask: bool [height, width], True where the evidence is.

    Raises:
        ValueError: the shapes differ, or the mask is full or empty.

    References:
        Kapishnikov et al. (2021), Guided Integrated Gradients, arXiv:2106.09788, section 5.2.
    """
    saliency, inside = np.asarray(saliency).ravel(), np.asarray(mask, bool).ravel()
    check(
        saliency.shape == inside.shape,
        "Saliency and mask must have the same shape.",
        (np.shape(saliency), np.shape(mask)),
    )
    count = int(inside.sum())
    check(
        0 < count < inside.size,
        "A mask must have pixels inside and outside.",
        f"{count} of {inside.size} pixels",
    )
    _, index, sizes = np.unique(saliency, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[index]  # the mean rank of equal values, from 1
    pairs_won = ranks[inside].sum() - count * (count + 1) / 2
    return float(pairs_won / (count * (inside.size - count)))


@dataclasses.dataclass(frozen=True)
class Localization(PixelMetric):
    """The area under the ROC curve of a map against a mask of the evidence.

    `centre_prior` is the same area for a map that only assumes that objects are in the middle. A
    method that is not better has not found the object.

    References:
        Kapishnikov et al. (2021), Guided Integrated Gradients, arXiv:2106.09788, section 5.2.
    """

    kind = "localization"
    columns = (Column("roc_auc"), Column("centre_prior", None))
    needs = Requirement.MASK

    def statistics(self, examples, subject):
        statistics = []
        for example in examples:
            mask = example.mask
            if mask is None or not 0 < mask.sum() < mask.size:
                statistics.append(self.undefined())
                continue
            saliency = pixel_saliency(example.attributions, self.channels, example.layout)
            statistics.append(
                {
                    "roc_auc": roc_auc(saliency, mask),
                    "centre_prior": roc_auc(closeness_to_centre(mask.shape), mask),
                }
            )
        return statistics


def closeness_to_centre(shape: Sequence[int]) -> np.ndarray:
    """A map [height, width] that is largest in the middle: minus the distance, in half-widths."""
    rows, columns = (np.linspace(-1, 1, size) for size in shape)
    return -np.hypot(rows[:, np.newaxis], columns)


def boxes_to_mask(boxes: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The mask, bool [height, width], that boxes cover.

    Args:
        boxes: [boxes, 4]: top, left, bottom, right in pixels; bottom and right lie outside.
        shape: (height, width).
    """
    mask = np.zeros(shape, bool)
    for top, left, bottom, right in np.asarray(boxes).reshape(-1, 4):
        rows = slice(max(round(float(top)), 0), max(round(float(bottom)), 0))
        mask[rows, max(round(float(left)), 0) : max(round(float(right)), 0)] = True
    return mask
