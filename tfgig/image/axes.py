"""Which axes of a picture are its height, width and channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import tensorflow as tf

from tfgig.spec import check

DataFormat = Literal["channels_last", "channels_first", "no_channels"]
DATA_FORMATS = get_args(DataFormat)
# By the format, which axis of [B, ...] is the height, the width, the channels.
AXES: dict[DataFormat, tuple[int, int, int | None]] = {
    "channels_last": (1, 2, 3),
    "channels_first": (2, 3, 1),
    "no_channels": (1, 2, None),
}

CHANNELS = (1, 3, 4)  # of what is shown as a picture


def check_data_format(data_format: DataFormat | None) -> None:
    """Raises `ValueError` unless it is one of them, or None."""
    check(
        data_format is None or data_format in DATA_FORMATS,
        'data_format="channels_last" is [B, height, width, channels], "channels_first" '
        '[B, channels, height, width], "no_channels" [B, height, width].',
        data_format,
    )


def looks_channels_first(shape: Sequence[int | None]) -> bool:
    """Whether the shape of pictures [B, ...] makes sense with channels first, and not last."""
    return len(shape) == 4 and shape[1] in CHANNELS and shape[-1] not in CHANNELS


def rank_of(data_format: DataFormat) -> int:
    """How many axes pictures of a format have, the batch's among them."""
    return 3 if data_format == "no_channels" else 4


def picture_shape(
    shape: Sequence[int | None], data_format: DataFormat
) -> tuple[int | None, int | None, int | None, int | None]:
    """(B, height, width, channels) of the shape of pictures of a format."""
    height, width, channels = AXES[data_format]
    size = 1 if channels is None else shape[channels]
    return shape[0], shape[height], shape[width], size


def as_picture(values: tf.Tensor, data_format: DataFormat) -> tf.Tensor:
    """Pictures of a format as [B, height, width, channels]."""
    if data_format == "no_channels":
        return values[..., tf.newaxis]
    return tf.transpose(values, [0, 2, 3, 1]) if data_format == "channels_first" else values


def from_picture(values: tf.Tensor, data_format: DataFormat) -> tf.Tensor:
    """The inverse of `as_picture`."""
    if data_format == "no_channels":
        return tf.squeeze(values, -1)
    return tf.transpose(values, [0, 3, 1, 2]) if data_format == "channels_first" else values


def array_as_picture(values: np.ndarray, data_format: DataFormat) -> np.ndarray:
    """`as_picture` of an array."""
    if data_format == "no_channels":
        return values[..., np.newaxis]
    return np.moveaxis(values, 1, -1) if data_format == "channels_first" else values


def array_from_picture(values: np.ndarray, data_format: DataFormat) -> np.ndarray:
    """`from_picture` of an array."""
    if data_format == "no_channels":
        return values[..., 0]
    return np.moveaxis(values, -1, 1) if data_format == "channels_first" else values
