"""What an explanation is of: all that a picture shows beside the numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tfgig.image.layout import Layout


@dataclasses.dataclass(frozen=True)
class Subject:
    """What was explained, and how.

    Args:
        inputs: The model's inputs [B, ...], by their names.
        method: The method's name.
        target: The name of the explained score, if it is not a class.
        class_names: The class names; None if unknown.
        feature_names: The column names of all explained inputs, in order.
        value_range: The values of black and white in an image's units; None if unknown.
        layout: How an explained layer's positions map onto the picture; None for pixels.
        inner: Whether the attributions belong to an inner layer instead of the inputs.
    """

    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    method: str = ""
    target: str | None = None
    class_names: Sequence[str] | None = None
    feature_names: Sequence[str] | None = None
    value_range: tuple[float, float] | None = None
    layout: Layout | None = None
    inner: bool = False
