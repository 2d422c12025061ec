"""From the channels of a position to one number."""

from __future__ import annotations

from typing import Literal, get_args

import tensorflow as tf

from tfgig.spec import check

Channels = Literal["positive", "absolute", "signed"]
CHANNELS = get_args(Channels)
# Measured on photographs with masks: at an inner layer, what speaks for the score finds the object
# best; of pixels, whose colours speak for and against it at random, how much they matter.
OF_PIXELS: Channels = "absolute"
OF_LAYERS: Channels = "positive"


def one_number(attributions: tf.Tensor, channels: Channels) -> tf.Tensor:
    """The sums over the channels, [..., 1], of attributions [..., channels].

    Args:
        attributions: Signed.
        channels: "positive" adds up what speaks for the score, "absolute" the absolute values,
            "signed" all of it.
    """
    parts = {"positive": tf.nn.relu, "absolute": tf.abs, "signed": tf.identity}
    return tf.reduce_sum(parts[channels](attributions), -1, keepdims=True)


def check_channels(channels: Channels | None, option: str) -> None:
    """Raises `ValueError` unless it is one of them, or None for what suits what is explained."""
    check(
        channels is None or channels in CHANNELS,
        f"{option} must be one of {CHANNELS}, or None.",
        channels,
    )
