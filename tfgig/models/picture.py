"""The image among a model's inputs, which heat-maps are drawn over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tfgig.image.axes import (
    CHANNELS,
    DataFormat,
    as_picture,
    looks_channels_first,
    picture_shape,
)
from tfgig.models.graphs.cut import Cut
from tfgig.models.graphs.entry import View
from tfgig.models.graphs.units import range_of


class Picture(NamedTuple):
    """An image among what a model takes.

    Args:
        entry: The cut at the inputs.
        number: Which of its explained tensors the image is.
    """

    entry: Cut
    number: int

    @property
    def spec(self) -> tf.TensorSpec:
        """The image as the model takes it."""
        return self.entry.explained[self.number]

    @property
    def data_format(self) -> DataFormat:
        """Which of its axes are what."""
        return self.entry.format_of(self.number) or "channels_last"

    def of(self, *inputs: tf.Tensor) -> tf.Tensor:
        """The images [B, height, width, channels] in the model's inputs."""
        points, *_ = self.entry.front(*inputs)
        return as_picture(self.entry.unpack(points)[self.number], self.data_format)

    def drawn(self, cut: Cut) -> tuple[str, DataFormat]:
        """The name of the attributions at a cut that are drawn over the image, and their axes."""
        at = cut.explained.index(self.spec) if self.spec in cut.explained else 0
        return cut.attribution_names[at], cut.format_of(at) or "channels_last"


def picture_of(view: View) -> Picture | None:
    """The only image among the inputs, if explanations can be drawn over it."""
    if view.entry is None:
        return None
    specs = view.entry.explained
    images = [index for index in range(len(specs)) if _is_picture(_shape_of(view.entry, index))]
    if len(images) != 1:
        return None
    picture = Picture(view.entry, images[0])
    lies_over = view.at_inputs or view.cut.points.shape.rank == 4
    return picture if lies_over or picture.spec in view.cut.explained else None


def range_of_image(
    serve: tf.types.experimental.ConcreteFunction,
    inputs: Sequence[tf.TensorSpec],
    entry: Cut | None,
) -> tuple[float, float] | None:
    """What is black and white in the only image among a model's inputs, if its graph tells it."""
    images = [spec.name for spec in inputs if _is_image(spec, entry)]
    return range_of(serve, inputs, images[0]) if entry is not None and len(images) == 1 else None


def _is_image(spec: tf.TensorSpec, entry: Cut | None) -> bool:
    if looks_channels_first(spec.shape):
        return True
    if entry is None or spec not in entry.explained:
        return _is_picture(spec.shape)
    return _is_picture(_shape_of(entry, entry.explained.index(spec)))


def _is_picture(shape: Sequence[int | None]) -> bool:
    return len(shape) == 4 and shape[-1] in CHANNELS


def _shape_of(entry: Cut, index: int) -> Sequence[int | None]:
    """[B, height, width, channels] of a picture that is explained; of what is none, its shape."""
    shape, data_format = entry.explained[index].shape, entry.format_of(index)
    return shape if data_format is None else picture_shape(shape.as_list(), data_format)
