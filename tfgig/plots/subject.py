"""What an explanation is of: all that a picture shows beside the numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfgig.image.axes import CHANNELS, DataFormat, array_as_picture, picture_shape, rank_of
from tfgig.image.layout import Layout


class PictureAxes(NamedTuple):
    """Which axes of a picture, and of the attributions drawn over it, are what.

    Args:
        input: The name of the input that is the picture.
        explained: The name of what the attributions are of; "" where all are of it.
        picture: The picture's axes.
        drawn: The attributions' axes.
    """

    input: str
    explained: str
    picture: DataFormat = "channels_last"
    drawn: DataFormat = "channels_last"

    def picture_of(self, values: np.ndarray) -> np.ndarray:
        """A picture in the model's axes as [B, height, width, channels]; others as they are."""
        in_order = values.ndim == rank_of(self.picture)
        in_order = in_order and picture_shape(values.shape, self.picture)[-1] in CHANNELS
        return array_as_picture(values, self.picture) if in_order else values


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
        axes: Which axes of the only picture are what; None if there is none.
    """

    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    method: str = ""
    target: str | None = None
    class_names: Sequence[str] | None = None
    feature_names: Sequence[str] | None = None
    value_range: tuple[float, float] | None = None
    layout: Layout | None = None
    inner: bool = False
    axes: PictureAxes | None = None

    def with_channels_last(
        self, attributions: Mapping[str, np.ndarray]
    ) -> tuple[Subject, dict[str, np.ndarray]]:
        """The same, and attributions by name, with the picture and its own channels last."""
        axes, found = self.axes, dict(attributions)
        if axes is None:
            return self, found
        inputs = dict(self.inputs)
        for name in inputs if len(inputs) == 1 else inputs.keys() & {axes.input}:
            inputs[name] = axes.picture_of(np.asarray(inputs[name]))
        drawn = found.get(axes.explained)
        if drawn is not None and drawn.ndim == rank_of(axes.drawn):
            found[axes.explained] = array_as_picture(drawn, axes.drawn)
        return dataclasses.replace(self, inputs=inputs), found
