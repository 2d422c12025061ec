"""Stability: how much a map changes when its image is compressed."""

from __future__ import annotations

import dataclasses
import io
import math

import numpy as np

from tfgig.image.files import in_units
from tfgig.metrics.base import Column, Requirement
from tfgig.metrics.pixels import PixelMetric
from tfgig.metrics.saliency import pixel_saliency
from tfgig.spec import check, is_whole

_SMALLEST = 1e-12  # of a mean squared error: below it lies the rounding of float32 maps


@dataclasses.dataclass(frozen=True)
class Stability(PixelMetric):
    """`-ln(mean squared error)` between the maps of an image and of its JPEG.

    Both maps explain the class explained for the image, and are divided by the largest absolute
    value of the image's map, so that methods with different scales are comparable. (The study
    states neither the scale of its maps nor the base of its logarithm: compare the ranking, not the
    values.) Equal maps have 27.6, the value for an error of 1e-12.

    Args:
        quality: The JPEG's quality, 1 to 100.

    References:
        Singhi and Kumari (2024), Strengthening Interpretability: An Investigative Study of
        Integrated Gradient Methods, arXiv:2409.09043, section 4.5.2.
    """

    kind = "stability"
    columns = (Column("negative_log_error"),)
    needs = Requirement.EXPLANATIONS
    quality: int = 75

    def __post_init__(self) -> None:
        super().__post_init__()
        check(
            is_whole(self.quality) and 1 <= self.quality <= 100,
            "`quality` must be a whole number from 1 to 100.",
            self.quality,
        )

    def statistics(self, examples, subject):
        value_range = subject.value_range
        compressed = [jpeg(example.image, self.quality, value_range) for example in examples]
        targets = np.array([example.target for example in examples])
        found = subject.explain(np.stack(compressed), targets)
        return [
            self._statistic(example, attributions, ok)
            for example, attributions, ok in zip(
                examples, found["attributions"], found["ok"], strict=True
            )
        ]

    def _statistic(self, example, attributions, ok):
        before = pixel_saliency(example.attributions, self.channels, example.layout)
        after = pixel_saliency(attributions, self.channels, example.layout)
        scale = np.abs(before).max()
        if not ok or not scale > 0:
            return self.undefined()
        error = np.mean(((after - before) / scale) ** 2)
        return {"negative_log_error": -math.log(max(float(error), _SMALLEST))}


def jpeg(image: np.ndarray, quality: int, value_range: tuple[float, float]) -> np.ndarray:
    """An image, float32 [H, W, 1 or 3], after it went through a JPEG file."""
    from PIL import Image

    low, high = value_range
    pixels = np.clip(np.rint((image - low) * 255 / (high - low)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels[..., :3]).save(
        file, "jpeg", quality=quality
    )
    with Image.open(file) as picture:
        read = np.asarray(picture, np.float32).reshape(*image.shape[:2], -1)
    return np.concatenate([in_units(read, value_range), image[..., read.shape[-1] :]], -1)
