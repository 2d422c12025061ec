"""XRAI: which regions of an image matter, from the attributions of its pixels."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple, get_args

import numpy as np

from tfgig.regions.segments import Felzenszwalb, Segmentation
from tfgig.spec import Spec, check, check_is, is_whole

Ranking = Literal["full", "fast"]
RANKINGS = get_args(Ranking)


class Regions(NamedTuple):
    """The regions of an image, by importance.

    `strength` float64 [height, width]: at each pixel, the mean attribution of its region. `ranks`
    int64 [height, width]: at each pixel, its region's rank, 1 for the most important; pixels
    outside all segments share the last.
    """

    strength: np.ndarray
    ranks: np.ndarray

    def mask(self, share: float) -> np.ndarray:
        """The most important regions, bool [height, width], at least `share` of the image."""
        areas = np.bincount(self.ranks.ravel())[1:]
        covered = np.cumsum(areas) / self.ranks.size
        return self.ranks <= int(np.searchsorted(covered, share)) + 1


@dataclasses.dataclass(frozen=True)
class XRAI(Spec):
    """Ranks the segments of an image by the mean attribution of the pixels that each adds.

    Full ranking repeatedly takes the segment whose uncovered pixels have the highest mean
    attribution. Fast ranking sorts all segments once, by the mean over the whole segment, and
    covers the image in that order. In both, a region's strength is the mean over its own pixels,
    and regions are ordered by strength.

    The published recipe takes the mean of Integrated Gradients from two baselines, the image's
    darkest and its brightest value; any attributions can be used.

    Args:
        ranking: "full" or "fast".
        segmentation: How to segment the image.
        min_pixels: Segments that add fewer pixels are skipped.
        area: Full ranking stops when more than this share of the image is covered.

    References:
        Kapishnikov et al. (2019), XRAI: Better Attributions Through Regions, arXiv:1906.02825,
        algorithm 1.
    """

    family = "regions"
    kind = "xrai"
    ranking: Ranking = "full"
    segmentation: Segmentation = Felzenszwalb()
    min_pixels: int = 50
    area: float = 1.0

    def __post_init__(self) -> None:
        check(
            self.ranking in RANKINGS, f"XRAI(ranking=...) must be one of {RANKINGS}.", self.ranking
        )
        check_is(self.segmentation, Segmentation, "segmentation")
        check(
            is_whole(self.min_pixels) and self.min_pixels >= 1,
            "XRAI(min_pixels=...) must be a whole number of at least 1.",
            self.min_pixels,
        )
        check(0 < self.area <= 1, "XRAI(area=...) must be in (0, 1].", self.area)

    def __call__(self, attributions: np.ndarray, image: np.ndarray) -> Regions:
        """The regions of one image.

        Args:
            attributions: [height, width, channels], or [height, width]; of the channels, the
                highest counts.
            image: [height, width, channels], in any units: what is cut into segments.

        Raises:
            ValueError: image and attributions are of different sizes, or not finite.
        """
        image = np.asarray(image)
        check(
            image.ndim == 3 and np.shape(attributions)[:2] == image.shape[:2],
            "XRAI takes one image [height, width, channels] and its attributions; pass the images "
            "of a batch one by one.",
            (np.shape(attributions), image.shape),
        )
        check(bool(np.isfinite(image).all()), "The image must be finite.", "NaN or infinity")
        return self.rank(attributions, self.segmentation(image))

    def rank(self, attributions: np.ndarray, segments: np.ndarray) -> Regions:
        """The regions of given segments, bool [S, height, width].

        Raises:
            ValueError: attributions and segments differ in size, or are not finite.
        """
        attributions = np.asarray(attributions, np.float64)
        if attributions.ndim == 3:
            attributions = attributions.max(-1)
        segments = np.asarray(segments, bool)
        check(
            segments.ndim == 3 and segments.shape[1:] == attributions.shape and len(segments) > 0,
            "Segments must be masks [S, height, width] with the attributions' height and width.",
            (segments.shape, attributions.shape),
        )
        check(
            bool(np.isfinite(attributions).all()),
            "Attributions must be finite.",
            "NaN or infinity",
        )
        flat, masks = attributions.ravel(), segments.reshape(len(segments), -1)
        taken = (self._full if self.ranking == "full" else self._fast)(flat, masks)
        return _regions(taken, flat, attributions.shape)

    def _full(self, flat: np.ndarray, masks: np.ndarray) -> list[tuple[np.ndarray, float]]:
        covered = np.zeros(flat.shape, bool)
        # How many uncovered pixels each segment has, and the sum of what they are worth.
        counts, sums = masks.sum(1), masks @ flat
        taken = []
        while covered.mean() <= self.area:
            candidates = np.flatnonzero(counts >= self.min_pixels)
            if not candidates.size:
                break
            best = candidates[np.argmax(sums[candidates] / counts[candidates])]
            new = masks[best] & ~covered
            taken.append((new, float(flat[new].mean())))
            covered |= new
            inside = masks[:, new]
            counts, sums = counts - inside.sum(1), sums - inside @ flat[new]
        return taken

    def _fast(self, flat: np.ndarray, masks: np.ndarray) -> list[tuple[np.ndarray, float]]:
        covered = np.zeros(flat.shape, bool)
        # An empty segment is worth nothing, and passed over.
        density = [float(flat[mask].mean()) if mask.any() else -np.inf for mask in masks]
        taken = []
        for index in np.argsort(-np.array(density), kind="stable"):
            new = masks[index] & ~covered
            if new.sum() >= self.min_pixels:
                taken.append((new, float(flat[new].mean())))
                covered |= new
        return taken


def _regions(
    taken: list[tuple[np.ndarray, float]], flat: np.ndarray, shape: tuple[int, ...]
) -> Regions:
    """The map of regions [pixels] and their strengths, the pixels of none as the last region."""
    rest = np.ones(flat.shape, bool)
    strength, ranks = np.zeros(flat.shape), np.zeros(flat.shape, np.int64)
    ordered = sorted(taken, key=lambda region: -region[1])  # stable: equal ones as they came
    for place, (pixels, value) in enumerate(ordered, 1):
        strength[pixels], ranks[pixels] = value, place
        rest &= ~pixels
    if rest.any():
        strength[rest], ranks[rest] = flat[rest].mean(), len(ordered) + 1
    return Regions(strength.reshape(shape), ranks.reshape(shape))
