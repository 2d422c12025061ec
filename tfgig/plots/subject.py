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
        target: What the explained score is called, where it is not a class's.
        class_names: The names of the classes; None if they are not known.
        feature_names: The names of a table's columns, of all explained inputs in their order.
        value_range: What is black and what is white in an image's units; None if not known.
        layout: How an explained layer lies over the picture; None for pixels.
        inner: Whether the attributions are of an inner layer, and not of the inputs.
    """

    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    method: str = ""
    target: str | None = None
    class_names: Sequence[str] | None = None
    feature_names: Sequence[str] | None = None
    value_range: tuple[float, float] | None = None
    layout: Layout | None = None
    inner: bool = False
