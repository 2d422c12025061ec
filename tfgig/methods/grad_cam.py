"""Grad-CAM: which places of a convolutional layer speak for the score."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfgig.methods.base import Attribution, LayerMethod
from tfgig.spec import check


@dataclasses.dataclass(frozen=True)
class GradCAM(LayerMethod):
    """`relu(sum_k mean(d score / d A_k) A_k)` for the channels A_k of a layer.

    A map of the layer's size, drawn over the image: its resolution is that of the layer. The
    baseline score is the score itself, as for the gradient.

    References:
        Selvaraju et al. (2017), Grad-CAM: Visual Explanations from Deep Networks via
        Gradient-based Localization, arXiv:1610.02391, equations 1 and 2.
    """

    kind = "grad_cam"

    @property
    def gradients(self):
        return 1

    def attribute(self, objective, inputs):
        check(
            inputs.shape.rank in (3, 4, 5),
            "GradCAM() needs a layer with positions, [B, height, width, channels] or [B, steps, "
            'channels]; name one: At("...", GradCAM()).',
            tuple(inputs.shape),
        )
        score, gradient = objective.score_and_gradient(inputs)
        positions = list(range(1, inputs.shape.rank - 1))
        weights = tf.reduce_mean(gradient, positions, keepdims=True)
        maps = tf.nn.relu(tf.reduce_sum(weights * inputs, -1, keepdims=True))
        return Attribution(maps, score, tf.zeros_like(maps))
