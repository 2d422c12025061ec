"""From a blurred image to the sharp one: Blur Integrated Gradients."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import tensorflow as tf

from tfgig.image.blur import PADDINGS, Padding, gaussian_blur
from tfgig.paths.base import FixedPath, spread
from tfgig.spec import check


@dataclasses.dataclass(frozen=True)
class Blur(FixedPath):
    """`x(alpha) = gaussian_blur(input, sigma(alpha))`, from `max_sigma` down to 0.

    The path owns its start, the blurred image; it has no baseline. Inputs are images,
    [B, height, width, channels].

    The reference implementation is `PathIntegral(Blur(padding="zero", grad_step=0.01), Riemann(),
    Right(), steps=100)`; its `sqrt=True` with `max_sigma=m` is `spacing="sqrt"` with
    `max_sigma=sqrt(m)`.

    Args:
        max_sigma: The blur at the start, in pixels.
        spacing: "linear", `sigma = max_sigma (1 - alpha)`; or "sqrt", even steps of the variance,
            `sigma = max_sigma sqrt(1 - alpha)`.
        padding: Beyond the border: "reflect", the mirrored image; "zero", zeros.
        grad_step: None follows the curve itself, so that displacements add up to the whole way.
            A number of pixels takes instead the tangent at the sharper end of each step, by a
            forward difference of that width, as the reference does.

    References:
        Xu, Venugopalan and Sundararajan (2020), Attribution in Scale and Space,
        arXiv:2004.03383, equation 4.
    """

    kind = "blur"
    max_sigma: float = 50.0
    spacing: Literal["linear", "sqrt"] = "linear"
    padding: Padding = "reflect"
    grad_step: float | None = None

    def __post_init__(self) -> None:
        check(
            0 < self.max_sigma < math.inf,
            "Blur(max_sigma=...) must be above 0 pixels.",
            self.max_sigma,
        )
        spacings = ("linear", "sqrt")
        check(self.spacing in spacings, f"Blur(spacing=...) is one of {spacings}.", self.spacing)
        check(self.padding in PADDINGS, f"Blur(padding=...) is one of {PADDINGS}.", self.padding)
        check(
            self.grad_step is None or 0 < self.grad_step < math.inf,
            "Blur(grad_step=...) must be above 0 pixels, or None.",
            self.grad_step,
        )

    def starts(self, inputs, objective):
        check(
            inputs.shape.rank == 4,
            "Blur explains images of shape [B, height, width, channels]; use Straight or Guided "
            "for other inputs.",
            tuple(inputs.shape),
        )
        return self._blurred(inputs, self._sigma([0.0]))[tf.newaxis]

    def point(self, alpha, ends):
        return self._blurred(ends.inputs, self._sigma(alpha))

    def displacement(self, lower, upper, ends):
        if self.grad_step is None:
            return super().displacement(lower, upper, ends)
        # Two nearly equal images: their difference needs float64.
        inputs = tf.cast(ends.inputs, tf.float64)
        sigma = self._sigma(upper)
        difference = self._blurred(inputs, sigma + self.grad_step) - self._blurred(inputs, sigma)
        width = (sigma - self._sigma(lower)) / self.grad_step
        return tf.cast(spread(width, difference) * difference, ends.inputs.dtype)

    def _sigma(self, alpha):
        remaining = 1.0 - tf.cast(alpha, tf.float64)
        return self.max_sigma * (tf.sqrt(remaining) if self.spacing == "sqrt" else remaining)

    def _blurred(self, images, sigma):
        return gaussian_blur(images, sigma, self.padding)
