"""The edge detector: what a map shows that knows nothing of the model."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfgig.methods.base import Attribution, Method
from tfgig.spec import check

_NEIGHBOURS = [
    (down, right) for down in (0, 1, 2) for right in (0, 1, 2) if (down, right) != (1, 1)
]


@dataclasses.dataclass(frozen=True)
class Edge(Method):
    """`mean over the eight neighbours of |pixel - neighbour|`, per channel.

    Not an explanation: it ignores the model. A method whose maps look like this one's, or score no
    better, has only found the image's edges. At the border, the mean is over the existing
    neighbours.

    References:
        Kapishnikov et al. (2021), Guided Integrated Gradients, arXiv:2106.09788, section 5.2;
        Adebayo et al. (2018), Sanity Checks for Saliency Maps, arXiv:1810.03292.
    """

    kind = "edge"

    @property
    def gradients(self):
        return 0

    def attribute(self, objective, inputs):
        check(
            inputs.shape.rank == 4,
            "Edge() needs images of shape [B, height, width, channels]; use Gradient() as the "
            "yardstick for other inputs.",
            tuple(inputs.shape),
        )
        height, width = tf.shape(inputs)[1], tf.shape(inputs)[2]
        border = [[0, 0], [1, 1], [1, 1], [0, 0]]
        padded, there = tf.pad(inputs, border), tf.pad(tf.ones_like(inputs[:1, :, :, :1]), border)
        total, count = tf.zeros_like(inputs), tf.zeros_like(inputs[:1, :, :, :1])
        for down, right in _NEIGHBOURS:
            window = (slice(None), slice(down, down + height), slice(right, right + width))
            total += there[window] * tf.abs(inputs - padded[window])
            count += there[window]
        # A single pixel has no neighbours.
        maps = tf.math.divide_no_nan(total, count)
        return Attribution(maps, objective.score(inputs), tf.zeros_like(maps))
