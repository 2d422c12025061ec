"""Insertion and deletion: how soon the most salient pixels make, or unmake, a prediction."""

from __future__ import annotations

import abc
import dataclasses
from typing import Literal, get_args

import numpy as np
import tensorflow as tf

from tfgig.image import gaussian_blur
from tfgig.metrics.base import Column, Curve, Requirement, area, mean
from tfgig.metrics.pixels import PixelMetric
from tfgig.metrics.saliency import pixel_saliency, ranking
from tfgig.spec import check, is_whole

Background = Literal["blurred", "black", "mean"]
BACKGROUNDS = get_args(Background)


@dataclasses.dataclass(frozen=True)
class PixelExchange(PixelMetric, abc.ABC):
    """Pixels of an image and of a background exchanged, the most salient first.

    The probability of the explained class after each of `steps` equal parts of the pixels is
    `curve` [steps + 1]; `probability` is the area under it, over the share of pixels, and
    `probability_ratio` that of the curve divided by the probability of the image itself.

    Args:
        steps: In how many equal parts the pixels are exchanged, at least 1.
        background: What stands where the image does not: "blurred", the image itself, blurred;
            "black"; or "mean", the image's mean colour.
        blur: The width of the Gaussian, as a share of the image's shorter side.
        seed: The order of equally salient pixels.
    """

    columns = (Column("probability"), Column("probability_ratio"))
    needs = Requirement.SCORES
    steps: int = 32
    background: Background = "blurred"
    blur: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check(
            is_whole(self.steps) and self.steps >= 1,
            "`steps` must be a whole number of at least 1.",
            self.steps,
        )
        check(
            self.background in BACKGROUNDS,
            f"`background` must be one of {BACKGROUNDS}.",
            self.background,
        )
        check(0 < self.blur <= 1, "`blur` must be in (0, 1].", self.blur)

    @abc.abstractmethod
    def shows_image(self, exchanged: np.ndarray) -> np.ndarray:
        """Where the image is shown, of the pixels that were exchanged, both bool."""

    def statistics(self, examples, subject):
        return [self._statistic(example, subject) for example in examples]

    def curves(self, statistics):
        known = [s["curve"] for s in statistics.values() if s["curve"] is not None]
        if not known:
            return {}
        x = np.linspace(0, 1, self.steps + 1)
        y = np.array([mean(column) for column in np.transpose(known)])
        return {"probability": Curve(x, y, f"share of pixels ({self.kind})", "probability")}

    def undefined(self):
        return {**super().undefined(), "curve": None}

    def _statistic(self, example, subject):
        saliency = pixel_saliency(example.attributions, self.channels, example.layout)
        background = background_of(
            example.image, self.background, subject.value_range[0], self.blur
        )
        steps = exchange_steps(saliency, self.steps, self.seed)  # [steps + 1, H, W]
        shown = self.shows_image(steps)[..., np.newaxis]
        curve = subject.predict(np.where(shown, example.image, background))[:, example.target]
        original = subject.predict(example.image[np.newaxis])[0, example.target]
        if not np.all(np.isfinite(curve)) or not original > 0:
            return self.undefined()
        return {
            "probability": area(curve),
            "probability_ratio": area(curve) / float(original),
            "curve": curve.tolist(),
        }


@dataclasses.dataclass(frozen=True)
class Insertion(PixelExchange):
    """How soon a prediction appears as the most salient pixels are inserted into a background.

    References:
        Petsiuk, Das and Saenko (2018), RISE: Randomized Input Sampling for Explanation of
        Black-box Models, arXiv:1806.07421, section 4.1; with the probability ratio: Yang, Wang
        and Bilgic (2023), IDGI, arXiv:2303.14242, section 5.
    """

    kind = "insertion"

    def shows_image(self, exchanged):
        return exchanged


@dataclasses.dataclass(frozen=True)
class Deletion(PixelExchange):
    """How soon a prediction disappears as the most salient pixels are deleted from an image.

    References:
        Petsiuk, Das and Saenko (2018), RISE: Randomized Input Sampling for Explanation of
        Black-box Models, arXiv:1806.07421, section 4.1.
    """

    kind = "deletion"
    columns = (
        Column("probability", larger_is_better=False),
        Column("probability_ratio", larger_is_better=False),
    )
    background: Background = "black"

    def shows_image(self, exchanged):
        return ~exchanged


def exchange_steps(saliency: np.ndarray, steps: int, seed: int) -> np.ndarray:
    """Which pixels are exchanged after each step, bool [steps + 1, H, W], of saliency [H, W]."""
    place = np.empty(saliency.size, np.int64)
    place[ranking(saliency, seed)] = np.arange(saliency.size)
    counts = np.round(np.linspace(0, saliency.size, steps + 1))
    return (place < counts[:, np.newaxis]).reshape(steps + 1, *saliency.shape)


def background_of(
    image: np.ndarray, background: Background, black: float, blur: float
) -> np.ndarray:
    """What stands for an image [H, W, C] without evidence, float32 [H, W, C]."""
    if background == "black":
        return np.full_like(image, black)
    if background == "mean":
        return np.broadcast_to(image.mean((0, 1), dtype=np.float64), image.shape).astype(np.float32)
    sigma = tf.constant([blur * min(image.shape[:2])])
    return gaussian_blur(tf.constant(image[np.newaxis], tf.float32), sigma)[0].numpy()
