"""How the positions of a layer lie over the picture, and its maps laid over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from tfgig.image.resize import resize_bilinear, resize_linear


class Axis(NamedTuple):
    """One axis of a layer's positions: i is centred at pixel `offset + stride i` (0 the first)."""

    stride: float
    offset: float


class Layout(NamedTuple):
    """How the positions of a layer [B, h, w, c], or [B, tokens, c], lie over the picture.

    Args:
        grid: Its positions (h, w).
        picture: The picture's size (height, width), as the model sees it.
        skipped: How many tokens come before those of the grid, such as the class's.
        centres: By axis, where the middles of what the positions look at lie; None if that is not
            known. Then the positions share the picture out evenly.
    """

    grid: tuple[int, int]
    picture: tuple[int, int]
    skipped: int = 0
    centres: tuple[Axis, Axis] | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Layout:
        """The inverse of `to_config`."""
        centres = config["centres"]
        return cls(
            tuple(config["grid"]),
            tuple(config["picture"]),
            config["skipped"],
            None if centres is None else (Axis(*centres[0]), Axis(*centres[1])),
        )

    def to_config(self) -> dict[str, Any]:
        """Plain JSON data."""
        centres = None if self.centres is None else [list(axis) for axis in self.centres]
        return {
            "grid": list(self.grid),
            "picture": list(self.picture),
            "skipped": self.skipped,
            "centres": centres,
        }

    def on_grid(self, values: tf.Tensor) -> tf.Tensor:
        """What a layer holds, [B, h, w, c] or [B, tokens, c], as [B, h, w, c]."""
        if values.shape.rank == 4:
            return values
        height, width = self.grid
        tokens = values[:, self.skipped : self.skipped + height * width]
        return tf.reshape(tokens, [tf.shape(values)[0], height, width, values.shape[-1]])

    def laid_over(self, values: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        """What a layer holds, laid over a picture: [B, height, width, c], bilinear.

        Each position's value stands where the middle of what it looks at is; beyond the outermost
        it goes on.

        Args:
            values: [B, h, w, c] or [B, tokens, c].
            size: (height, width) of the picture, int32 [2]; it may be another than the model's.
        """
        values = self.on_grid(values)
        if self.centres is None:
            return resize_bilinear(values, size)
        rows, columns = (
            _interpolation(axis, before, seen, size[i])
            for i, (axis, before, seen) in enumerate(
                zip(self.centres, self.grid, self.picture, strict=True)
            )
        )
        return tf.einsum("bhwc,Hh,Ww->bHWc", values, rows, columns)


def spread_over(maps: tf.Tensor, shape: tf.Tensor, layout: Layout | None = None) -> tf.Tensor:
    """A layer's maps over its input, float32 [B, ..., channels], with the same sum in each row.

    Linear along each axis, and shared out evenly among the channels.

    Args:
        maps: float32 [B, ..., 1], with as many axes as the input, or [B, tokens, 1].
        shape: Of the input, int32 [axes].
        layout: Where tokens lie; None for maps with the input's axes.
    """
    if layout is not None:
        maps = layout.on_grid(maps)
    over = resize_linear(maps, shape[1:-1])
    axes = list(range(1, maps.shape.rank))
    before, after = (tf.reduce_sum(values, axes, keepdims=True) for values in (maps, over))
    scale = tf.math.divide_no_nan(before, after) / tf.cast(shape[-1], tf.float32)
    return tf.broadcast_to(scale * over, shape)


def _interpolation(axis: Axis, before: int, seen: int, after: tf.Tensor) -> tf.Tensor:
    """The weights [after, before] of the positions at each pixel of a picture."""
    after = tf.cast(after, tf.float32)
    # In the pixels that the model sees: their middles are at whole numbers.
    pixels = (tf.range(after) + 0.5) * (seen / after) - 0.5
    at = tf.clip_by_value((pixels - axis.offset) / axis.stride, 0.0, before - 1.0)
    away = tf.abs(at[:, tf.newaxis] - tf.range(before, dtype=tf.float32))
    return tf.nn.relu(1.0 - away)
