"""From attributions to one score a pixel, and to the pixels' order."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfgig.image.channels import OF_LAYERS, OF_PIXELS, Channels, check_channels
from tfgig.image.layout import Layout


def pixel_saliency(
    attributions: np.ndarray, channels: Channels | None = None, layout: Layout | None = None
) -> np.ndarray:
    """The strength of each pixel, float64 [..., H, W].

    Args:
        attributions: [..., H, W, channels], signed; of an inner layer [..., h, w, channels] or
            [..., tokens, channels].
        channels: How a position's channels become one number: "absolute" sums the absolute values,
            the importance in either direction; "positive" sums the evidence for the class; "signed"
            sums the values, so that evidence against the class ranks last. None takes "absolute"
            for pixels and "positive" for a layer.
        layout: How a layer's positions map onto the picture; None for pixels.
    """
    check_channels(channels, "`channels`")
    chosen = channels or (OF_PIXELS if layout is None else OF_LAYERS)
    attributions = np.asarray(attributions, np.float64)
    if chosen != "signed":
        attributions = np.abs(attributions) if chosen == "absolute" else attributions.clip(0)
    strengths = attributions.sum(-1)
    if layout is None:
        return strengths
    positions = layout.grid if strengths.shape[-2:] == layout.grid else strengths.shape[-1:]
    others = strengths.shape[: strengths.ndim - len(positions)]
    maps = tf.constant(strengths.reshape(-1, *positions, 1), tf.float32)
    over = layout.laid_over(maps, tf.constant(layout.picture)).numpy()
    return over.reshape(*others, *layout.picture).astype(np.float64)


def ranking(saliency: np.ndarray, seed: int) -> np.ndarray:
    """The flat indices of pixels, int64 [H * W], the most salient first.

    Equally salient pixels come in a random order, so that a map that says nothing is worth as
    much as chance, and not what the pixels at the top of the image happen to be worth.
    """
    saliency = np.asarray(saliency).ravel()
    chance = np.random.default_rng(seed).permutation(saliency.size)
    return np.lexsort((chance, -saliency))
