"""From a blurred image to the sharp one: Blur Integrated Gradients."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, get_args

import tensorflow as tf

from tfgig.image.blur import (
    PADDINGS,
    Padding,
    blur_spectrum,
    cosine_transform,
    cosines,
    gaussian_blur,
    inverse_cosine_transform,
    waves,
)
from tfgig.paths.base import FixedPath, spread
from tfgig.spec import check

Spacing = Literal["log", "linear", "sqrt"]
SPACINGS = get_args(Spacing)


@dataclasses.dataclass(frozen=True)
class Blur(FixedPath):
    """`x(alpha) = gaussian_blur(input, sigma(alpha))`, from `max_sigma` down to 0.

    The path owns its start, the blurred image; it has no baseline. Inputs are images,
    [B, height, width, channels].

    The reference implementation is the preset `blur_ig_reference`, `PathIntegral(Blur(
    spacing="linear", padding="zero", grad_step=0.01), Riemann(), Right(), steps=100)`; its
    `sqrt=True` with `max_sigma=m` is `spacing="sqrt"` with `max_sigma=sqrt(m)`.

    Args:
        max_sigma: The blur at the start, in pixels.
        spacing: How sigma decreases, which affects the number of steps needed but not the integral:
            "log", even steps of `log(1 + sigma / scale)`; "linear", `sigma = max_sigma (1 -
            alpha)`, as published; "sqrt", even steps of the variance, `sigma = max_sigma sqrt(1 -
            alpha)`. An image changes most at the smallest widths, so "log" needs the fewest steps
            (docs/accuracy.md).
        scale: The width at which "log" changes from even steps of the logarithm to even steps of
            the width, in pixels.
        padding: Beyond the border: "reflect", the mirrored image; "zero", zeros.
        grad_step: None follows the curve itself, so that displacements sum to the whole path. A
            number of pixels instead takes the tangent at the sharper end of each step, by a forward
            difference of that width, as in the reference implementation.

    References:
        Xu, Venugopalan and Sundararajan (2020), Attribution in Scale and Space,
        arXiv:2004.03383, equation 4.
    """

    kind = "blur"
    max_sigma: float = 50.0
    spacing: Spacing = "log"
    scale: float = 0.5
    padding: Padding = "reflect"
    grad_step: float | None = None

    def __post_init__(self) -> None:
        check(
            0 < self.max_sigma < math.inf,
            "Blur(max_sigma=...) must be above 0 pixels.",
            self.max_sigma,
        )
        check(
            self.spacing in SPACINGS, f"Blur(spacing=...) must be one of {SPACINGS}.", self.spacing
        )
        check(0 < self.scale < math.inf, "Blur(scale=...) must be above 0 pixels.", self.scale)
        check(
            self.padding in PADDINGS, f"Blur(padding=...) must be one of {PADDINGS}.", self.padding
        )
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

    def tabulate(self, ends):
        # Zeros beyond the border have no such transform.
        if self.padding != "reflect":
            return ()
        return cosines(ends.end), waves(ends.end, self.max_sigma)

    def prepare(self, ends):
        return (cosine_transform(ends.end, ends.tables[0]),) if ends.tables else ()

    def point(self, alpha, ends):
        sigma = self._sigma(alpha)
        if not ends.prepared:
            return self._blurred(ends.end, sigma)
        blurred = self._scaled(ends, self._spectrum(sigma, ends))
        return tf.where(spread(sigma, blurred) > 0, blurred, ends.end)

    def displacement(self, lower, upper, ends):
        if self.grad_step is None:
            if not ends.prepared:
                return super().displacement(lower, upper, ends)
            # The difference of spectra: one inverse transform instead of two.
            sharper, softer = (self._spectrum(self._sigma(a), ends) for a in (upper, lower))
            return self._scaled(ends, sharper - softer)
        # Two nearly equal images: their difference needs float64.
        inputs = tf.cast(ends.end, tf.float64)
        sigma = self._sigma(upper)
        difference = self._blurred(inputs, sigma + self.grad_step) - self._blurred(inputs, sigma)
        width = (sigma - self._sigma(lower)) / self.grad_step
        return tf.cast(spread(width, difference) * difference, ends.end.dtype)

    def _sigma(self, alpha):
        remaining = 1.0 - tf.cast(alpha, tf.float64)
        if self.spacing == "log":
            return self.scale * tf.math.expm1(remaining * math.log1p(self.max_sigma / self.scale))
        return self.max_sigma * (tf.sqrt(remaining) if self.spacing == "sqrt" else remaining)

    def _spectrum(self, sigma, ends):
        return blur_spectrum(sigma, ends.tables[1], ends.end.dtype)

    def _scaled(self, ends, factors):
        (coefficients,) = ends.prepared
        return inverse_cosine_transform(coefficients * factors, ends.tables[0])

    def _blurred(self, images, sigma):
        return gaussian_blur(images, sigma, self.padding)
