"""Baselines made from the input itself."""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from tfgig.baselines.base import Baseline, Range, checked_range
from tfgig.image.blur import PADDINGS, Padding, gaussian_blur
from tfgig.spec import check


@dataclasses.dataclass(frozen=True)
class Blurred(Baseline):
    """The input image, blurred: its colours without its detail.

    Not Blur IG, whose path sharpens the image (`paths.Blur`): here a straight path starts at the
    blurred image.

    Args:
        sigma: The Gaussian's standard deviation, in pixels.
        padding: Beyond the border: "reflect", the mirrored image; "zero", zeros.

    References:
        Fong and Vedaldi (2017), Interpretable Explanations of Black Boxes by Meaningful
        Perturbation, arXiv:1704.03296; Sturmfels, Lundberg and Lee (2020),
        Visualizing the Impact of Feature Attribution Baselines, Distill,
        doi:10.23915/distill.00022, "blurred baseline".
    """

    kind = "blurred"
    sigma: float = 10.0
    padding: Padding = "reflect"

    def __post_init__(self) -> None:
        check(0 < self.sigma < math.inf, "Blurred(sigma=...) must be above 0 pixels.", self.sigma)
        check(
            self.padding in PADDINGS,
            f"Blurred(padding=...) must be one of {PADDINGS}.",
            self.padding,
        )

    def __call__(self, inputs, objective):
        check(
            inputs.shape.rank == 4,
            "Blurred() needs images of shape [B, height, width, channels]; use Constant(), "
            "Gaussian() or DatasetStatistic for other inputs.",
            tuple(inputs.shape),
        )
        return gaussian_blur(inputs, tf.constant([self.sigma]), self.padding)[tf.newaxis]


@dataclasses.dataclass(frozen=True)
class MaximumDistance(Baseline):
    """For each value, the more distant end of the range: the most distant input.

    No value equals its baseline, so every value can get an attribution; but the baseline contains
    as much of the image as the image itself.

    Args:
        value_range: (low, high) in the model's input units.

    References:
        Sturmfels, Lundberg and Lee (2020), Visualizing the Impact of Feature Attribution
        Baselines, Distill, doi:10.23915/distill.00022, "maximum distance baseline".
    """

    kind = "maximum_distance"
    value_range: Range = (0.0, 255.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "value_range", checked_range(self.value_range, self))

    def __call__(self, inputs, objective):
        low, high = self.value_range
        upper_half = inputs > (low + high) / 2
        return tf.where(upper_half, low, tf.constant(high, inputs.dtype))[tf.newaxis]
