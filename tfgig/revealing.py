"""Pictures that reveal the most salient pixels of an image over a blur of the rest."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence

import numpy as np

_SHARED = 32  # pictures whose length is kept: images and their blurs, which all methods start from


class SalientImage:
    """An image and its saliency, equal to another of the same numbers.

    Args:
        image: uint8 [H, W, C].
        saliency: [H, W].
    """

    def __init__(self, image: np.ndarray, saliency: np.ndarray) -> None:
        self.image, self.saliency = image, saliency

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SalientImage) and (
            np.array_equal(self.image, other.image)
            and np.array_equal(self.saliency, other.saliency, equal_nan=True)
        )

    def __hash__(self) -> int:
        return hash((self.image.tobytes(), self.saliency.tobytes()))


def pictures_of(
    scene: SalientImage, thresholds: tuple[float, ...], share: float, seed: int
) -> np.ndarray:
    """`revealed` of a scene whose blurred image a random `share` of the pixels determines."""
    seeds = random_mask(scene.saliency.shape, share, seed)
    return revealed(scene.image, scene.saliency, seeds, thresholds)


def webp_lengths(pictures: np.ndarray) -> tuple[int, ...]:
    """The lengths of pictures as lossless WebP, of which the first two are used more than once.

    Args:
        pictures: uint8 [N, H, W, C], as `revealed` returns them.
    """
    shared = [_kept_length(picture.shape, picture.tobytes()) for picture in pictures[:2]]
    return (*shared, *(webp_length(picture) for picture in pictures[2:]))


def random_mask(shape: Sequence[int], share: float, seed: int) -> np.ndarray:
    """A random share of pixels, bool [height, width]."""
    chosen = np.random.default_rng(seed).permutation(shape[0] * shape[1])
    return (chosen < round(share * len(chosen))).reshape(shape)


def revealed(
    image: np.ndarray, saliency: np.ndarray, seeds: np.ndarray, thresholds: Sequence[float]
) -> np.ndarray:
    """The image, the blurred image and the pictures, uint8 [2 + thresholds, H, W, C].

    Args:
        image: uint8 [H, W, C].
        saliency: [H, W].
        seeds: bool [H, W], the pixels that the blurred image is made from.
        thresholds: Which shares of the pixels are revealed.
    """
    quantiles = np.quantile(saliency, 1 - np.asarray(thresholds))
    masks = [seeds, *((saliency >= quantile) | seeds for quantile in quantiles)]
    return np.stack([image, *(interpolated(image, mask) for mask in masks)])


def interpolated(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """An image, uint8 [H, W, C], made from its pixels `known` (bool [H, W]) and its corners.

    Linear within each triangle of the Delaunay triangulation of the known pixels, and rounded to
    whole numbers, halves to the even one. As pixels lie on a lattice, all is done in whole numbers
    and exactly. Where four known pixels lie on a circle there are several triangulations; Qhull's
    counts, as in the reference implementation.
    """
    from scipy import spatial

    known = known.copy()
    known[:: known.shape[0] - 1, :: known.shape[1] - 1] = True
    if known.all():
        return image
    pixels = np.argwhere(known)
    corners = pixels[spatial.Delaunay(pixels).simplices]  # [triangles, 3, 2]
    which, area, at, weights = _inside(corners, known)
    total = np.zeros((len(which), image.shape[-1]), np.int64)
    for i in range(3):
        colours = image[tuple(corners[:, i].T)].astype(np.int64)
        total += weights[:, i, np.newaxis] * colours[which]
    # Of total / area the nearest whole number: half of it more, and down.
    whole, rest = np.divmod(2 * total + area[:, np.newaxis], 2 * area[:, np.newaxis])
    whole -= (rest == 0) & (whole % 2 == 1)
    picture = np.where(known[..., np.newaxis], image, 0).astype(np.uint8)
    picture[at] = whole
    return picture


def webp_length(picture: np.ndarray) -> int:
    """How many bytes a picture, uint8 [H, W, C], takes as lossless WebP: its entropy, in effect."""
    from PIL import Image

    file = io.BytesIO()
    picture = picture[..., 0] if picture.shape[-1] == 1 else picture
    Image.fromarray(picture).save(file, "webp", lossless=True, quality=100)
    return file.tell()


@functools.lru_cache(_SHARED)
def _kept_length(shape: tuple[int, ...], pixels: bytes) -> int:
    return webp_length(np.frombuffer(pixels, np.uint8).reshape(shape))


def _inside(corners: np.ndarray, known: np.ndarray) -> tuple:
    """The pixels that are not known, with the triangle that each lies in (one of them, on an edge).

    Returns:
        which: [N], the triangle of each; area: [N], twice that triangle's; at: (rows [N],
        columns [N]); weights: [N, 3], how much each corner counts, which add up to `area`.
    """
    first, second, third = corners[:, 0], corners[:, 1], corners[:, 2]
    area = _cross(second - first, third - first)
    # A triangle whose area is a half holds no pixel but its corners (Pick's theorem).
    which = np.flatnonzero(np.abs(area) > 1)
    corners, area = corners[which], area[which]
    sign = np.sign(area)[:, np.newaxis]
    start, end = np.roll(corners, -1, 1), np.roll(corners, -2, 1)  # of the edge before each corner
    # weight(row, column) = down row + right column + constant: positive inside, 0 on the edge.
    down = sign * (start - end)[..., 1]
    right = sign * (end - start)[..., 0]
    constant = -down * start[..., 0] - right * start[..., 1]
    top, bottom = corners[..., 0].min(1), corners[..., 0].max(1)
    of, rows = _counted(top, bottom - top + 1)
    which, area, right = which[of], np.abs(area)[of], right[of]
    constant = down[of] * rows[:, np.newaxis] + constant[of]
    # In a row, a weight that grows to the right bounds the columns from the left, and vice versa.
    steep = np.where(right == 0, 1, np.abs(right))
    left = np.where(right > 0, -(constant // steep), 0).max(1)
    last = np.where(right < 0, constant // steep, known.shape[1]).min(1)
    of, columns = _counted(left, np.maximum(last - left + 1, 0))
    unknown = ~known[rows[of], columns]
    of, columns = of[unknown], columns[unknown]
    weights = right[of] * columns[:, np.newaxis] + constant[of]
    return which[of], area[of], (rows[of], columns), weights


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


def _counted(starts: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each i, `counts[i]` numbers from `starts[i]` on: whose they are, and the numbers."""
    whose = np.repeat(np.arange(len(starts)), counts)
    before = np.cumsum(counts) - counts
    return whose, starts[whose] + np.arange(len(whose)) - before[whose]
