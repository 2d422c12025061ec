"""Pictures that reveal the most salient pixels of an image over a blur of the rest."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence

import numpy as np


def random_mask(shape: tuple[int, int], share: float, seed: int) -> np.ndarray:
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
    from threadpoolctl import threadpool_limits

    quantiles = np.quantile(saliency, 1 - np.asarray(thresholds))
    masks = [seeds, *((saliency >= quantile) | seeds for quantile in quantiles)]
    # SciPy solves a system of 3 for each triangle: threads of BLAS make that 50 times slower.
    with threadpool_limits(1, "blas"):
        return np.stack([image, *(interpolated(image, mask) for mask in masks)])


def interpolated(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """An image, uint8 [H, W, C], made from its pixels `known` (bool [H, W]) and its corners."""
    from scipy import interpolate

    known = known.copy()
    known[:: known.shape[0] - 1, :: known.shape[1] - 1] = True
    if known.all():
        return image
    made = interpolate.LinearNDInterpolator(np.argwhere(known), image[known].astype(np.float64))
    picture = image.copy()
    # Halves are frequent between whole numbers; the last bits must not decide where they go.
    picture[~known] = np.rint(np.round(made(np.argwhere(~known)), 6))
    return picture


def webp_length(picture: np.ndarray) -> int:
    """How many bytes a picture, uint8 [H, W, C], takes as lossless WebP: its entropy, in effect."""
    from PIL import Image

    file = io.BytesIO()
    picture = picture[..., 0] if picture.shape[-1] == 1 else picture
    Image.fromarray(picture).save(file, "webp", lossless=True, quality=100)
    return file.tell()


class Scene:
    """An image and its saliency, equal to another of the same bytes."""

    def __init__(self, image: np.ndarray, saliency: np.ndarray) -> None:
        self.image, self.saliency = image, saliency
        self._key = (image.shape, image.tobytes(), saliency.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scene) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


# The two metrics look at the same pictures of an example, one batch of examples after the other.
@functools.lru_cache(maxsize=64)
def revealed_once(
    scene: Scene, thresholds: tuple[float, ...], share: float, seed: int
) -> np.ndarray:
    """`revealed` of a scene whose blurred image a random `share` of the pixels determines."""
    seeds = random_mask(scene.saliency.shape, share, seed)
    return revealed(scene.image, scene.saliency, seeds, thresholds)
