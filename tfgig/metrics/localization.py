"""Localization: attributions against a mask of where the evidence is."""

from __future__ import annotations

import numpy as np

from tfgig.spec import check


def pixel_saliency(attributions: np.ndarray) -> np.ndarray:
    """The strength of each pixel: absolute attributions [..., channels] added up, [...]."""
    return np.abs(np.asarray(attributions, np.float64)).sum(-1)


def roc_auc(saliency: np.ndarray, mask: np.ndarray) -> float:
    """The area under the ROC curve of a saliency map as a classifier of pixels.

    The chance that a pixel inside the mask is more salient than one outside; equally salient
    pairs count half. 1 is perfect, 0.5 chance.

    Args:
        saliency: [height, width], larger means more important.
        mask: bool [height, width], True where the evidence is.

    Raises:
        ValueError: the shapes differ, or the mask is all or nothing.

    References:
        Kapishnikov et al. (2021), Guided Integrated Gradients, arXiv:2106.09788, section 5.2.
    """
    saliency, inside = np.asarray(saliency).ravel(), np.asarray(mask, bool).ravel()
    check(
        saliency.shape == inside.shape,
        "Saliency and mask must have one shape.",
        (np.shape(saliency), np.shape(mask)),
    )
    count = int(inside.sum())
    check(
        0 < count < inside.size,
        "A mask needs pixels inside and outside.",
        f"{count} of {inside.size} pixels",
    )
    _, index, sizes = np.unique(saliency, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[index]  # the mean rank of equal values, from 1
    pairs_won = ranks[inside].sum() - count * (count + 1) / 2
    return float(pairs_won / (count * (inside.size - count)))
