"""Performance information curves: how much of a prediction the most salient pixels carry.

The image is reduced to a blur that a random 1 % of its pixels determines, its most salient pixels
are revealed share by share, and what the model makes of each picture is put against how much
information the picture holds.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfgig.image.files import in_units
from tfgig.metrics.base import Column, Curve, Example, Requirement, area, finite_or_none
from tfgig.metrics.pixels import PixelMetric
from tfgig.metrics.saliency import pixel_saliency
from tfgig.revealing import SalientImage, pictures_of, webp_lengths
from tfgig.spec import check
from tfgig.workers import Call

if TYPE_CHECKING:
    from tfgig.metrics.subject import Subject

# The reference implementation's.
THRESHOLDS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.10, 0.13, 0.21, 0.34, 0.5, 0.75)
_POINTS = 1000  # of a resampled curve, besides its end
_SCALES = 5  # of MS-SSIM, each half as large as the one before
_WINDOW = 11  # pixels, of MS-SSIM's, where the image allows it


class PerformanceCurve(NamedTuple):
    """Performance over information: `x` and `y` [points], both 0 to 1, and the area under it."""

    x: np.ndarray
    y: np.ndarray
    area: float


@dataclasses.dataclass(frozen=True)
class PerformanceInformation(PixelMetric, abc.ABC):
    """The areas under the softmax and the accuracy information curve, SIC and AIC.

        performance(t) = (p(picture t) - p(blurred)) / (p(image) - p(blurred))
        information(t) = (e(picture t) - e(blurred)) / (e(image) - e(blurred))

    both clipped to [0, 1], over pictures that reveal the most salient share t of the pixels; the
    performance may only grow. p is the probability of the explained class (SIC), or whether it is
    the top class (AIC); what e is, distinguishes the metrics of this kind. Over examples, the area
    under the pointwise median of the curves is reported, as the reference implementation does.

    An example whose probability is below `least_probability`, or no larger than that of its
    blurred image, has no SIC; one whose explained class is not the image's top class, or is
    the blurred image's, has no AIC.

    Args:
        thresholds: The shares t, in (0, 1), increasing.
        random_share: The share of pixels that the blurred image is made from.
        least_probability: Below it an image is left out of SIC.
        seed: Which pixels the blurred image is made from.

    References:
        Kapishnikov et al. (2019), XRAI: Better Attributions through Regions, arXiv:1906.02825,
        section 4; the arithmetic is that of the authors' implementation.
    """

    columns = (Column("sic"), Column("aic"))
    needs = Requirement.SCORES
    thresholds: tuple[float, ...] = THRESHOLDS
    random_share: float = 0.01
    least_probability: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = np.asarray(self.thresholds, np.float64)
        check(
            shares.ndim == 1
            and len(shares) > 0
            and bool(np.all((shares > 0) & (shares < 1)) and np.all(np.diff(shares) > 0)),
            "`thresholds` must be increasing shares in (0, 1).",
            self.thresholds,
        )
        check(0 < self.random_share < 1, "`random_share` must be in (0, 1).", self.random_share)
        check(
            0 <= self.least_probability < 1,
            "`least_probability` must be in [0, 1).",
            self.least_probability,
        )
        object.__setattr__(self, "thresholds", tuple(shares.tolist()))

    @abc.abstractmethod
    def information(self, example: Example, pictures: Call) -> np.ndarray:
        """e of an example's pictures, float64 [N], which are uint8 [N, H, W, C], the image first.

        Args:
            example: The example.
            pictures: The call that makes them.
        """

    def statistics(self, examples, subject):
        return [self._statistic(example, subject) for example in examples]

    def calls(self, example, value_range):
        return (self.pictures(example, value_range),)

    def pictures(self, example: Example, value_range: tuple[float, float]) -> Call:
        """The call that makes an example's pictures, uint8 [2 + thresholds, H, W, C]."""
        low, high = value_range
        image = np.clip(np.rint((example.image - low) * 255 / (high - low)), 0, 255)
        scene = SalientImage(
            image.astype(np.uint8),
            pixel_saliency(example.attributions, self.channels, example.layout),
        )
        return Call(pictures_of, (scene, self.thresholds, self.random_share, self.seed))

    def undefined(self):
        return {**super().undefined(), "information": None, "softmax": None, "accuracy": None}

    def rows(self, statistics):
        rows = np.full([len(statistics), 2, _POINTS + 1], np.nan)
        for i, statistic in enumerate(statistics):
            for k, name in enumerate(("softmax", "accuracy")):
                if statistic[name] is not None:
                    curve = information_curve(statistic["information"], statistic[name])
                    rows[i, k] = curve.y
        return rows

    def reduce(self, rows):
        medians = [_median(rows[:, k]) for k in range(2)]
        areas = [math.nan if median is None else area(median) for median in medians]
        return dict(zip(("sic", "aic"), areas, strict=True))

    def curves(self, statistics):
        rows = self.rows(list(statistics.values()))
        x = np.linspace(0, 1, _POINTS + 1)
        medians = {name: _median(rows[:, k]) for k, name in enumerate(("sic", "aic"))}
        return {
            name: Curve(x, y, f"information ({self.kind})", f"{name.upper()}, median")
            for name, y in medians.items()
            if y is not None
        }

    def _statistic(self, example, subject):
        if example.memo is None:
            example = example._replace(memo={})
        pictures = self.pictures(example, subject.value_range)
        predicted = example.made(Call(_predicted, (pictures, subject)))
        e = self.information(example, pictures)
        if e[0] == e[1] or not np.isfinite(predicted).all():
            return self.undefined()
        p = predicted[:, example.target]
        is_top = (predicted.argmax(1) == example.target).astype(np.float64)
        information = normalized(e)
        softmax = normalized(p) if p[0] >= self.least_probability and p[1] < p[0] else None
        accuracy = normalized(is_top) if is_top[0] > is_top[1] else None
        areas = [
            None if y is None else finite_or_none(information_curve(information, y).area)
            for y in (softmax, accuracy)
        ]
        return {
            "sic": areas[0],
            "aic": areas[1],
            "information": information.tolist(),
            "softmax": None if softmax is None else softmax.tolist(),
            "accuracy": None if accuracy is None else accuracy.tolist(),
        }


@dataclasses.dataclass(frozen=True)
class InformationCurve(PerformanceInformation):
    """SIC and AIC over normalised entropy, measured as the size of the picture in lossless WebP.

    References:
        Kapishnikov et al. (2019), XRAI: Better Attributions through Regions, arXiv:1906.02825,
        section 4.
    """

    kind = "information_curve"

    def calls(self, example, value_range):
        (pictures,) = super().calls(example, value_range)
        return pictures, Call(webp_lengths, (pictures,))

    def information(self, example, pictures):
        return np.array(example.made(Call(webp_lengths, (pictures,))), np.float64)


@dataclasses.dataclass(frozen=True)
class SimilarityCurve(PerformanceInformation):
    """SIC and AIC over the multi-scale structural similarity, MS-SSIM, with the image.

    For images below 176 pixels, MS-SSIM's window is reduced to a sixteenth of the shorter side,
    because it would not fit into the coarsest scale.

    References:
        Yang, Wang and Bilgic (2023), IDGI, arXiv:2303.14242, section 5; Wang, Simoncelli and
        Bovik (2003), Multi-scale Structural Similarity for Image Quality Assessment.
    """

    kind = "similarity_curve"

    def information(self, example, pictures):
        shown = example.made(pictures)
        smallest = min(shown.shape[1:3]) // 2 ** (_SCALES - 1)
        check(
            smallest >= 2, "MS-SSIM needs images of at least 32 pixels per side.", shown.shape[1:]
        )
        whole = tf.constant(shown[:1])
        similarity = tf.image.ssim_multiscale(
            tf.constant(shown), whole, 255, filter_size=min(_WINDOW, smallest)
        )
        return similarity.numpy().astype(np.float64)


def _predicted(pictures: np.ndarray, subject: Subject) -> np.ndarray:
    """The probabilities of all classes at pictures, uint8 [N, H, W, C]."""
    return subject.predict(in_units(pictures.astype(np.float32), subject.value_range))


def normalized(values: np.ndarray) -> np.ndarray:
    """Values [2 + thresholds] of the image, the blurred image and the pictures, as shares."""
    image, blurred, pictures = values[0], values[1], values[2:]
    return np.clip((pictures - blurred) / (image - blurred), 0.0, 1.0)


def information_curve(information: Any, performance: Any) -> PerformanceCurve:
    """The curve through pictures whose shares, numbers [thresholds] both, are given in order.

    The performance may only grow from picture to picture; the curve starts at (0, 0), ends at
    (1, 1), and is linear between, resampled at 1001 points. As in the reference implementation,
    it still dips where a later picture holds less information than an earlier one.
    """
    x = np.concatenate([information, [0.0, 1.0]])
    y = np.concatenate([np.maximum.accumulate(performance), [0.0, 1.0]])
    order = np.argsort(x, kind="stable")
    at = np.linspace(0, 1, _POINTS + 1)
    curve = np.interp(at, x[order], y[order])
    curve[-1] = 1.0
    return PerformanceCurve(at, curve, area(curve))


def _median(curves: np.ndarray) -> np.ndarray | None:
    """The pointwise median [points] of those curves [N, points] that are defined."""
    curves = curves[~np.isnan(curves[:, 0])]
    return np.median(curves, axis=0) if len(curves) else None
