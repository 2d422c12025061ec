"""The plain gradient at the input."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfgig.methods.base import Attribution, Method


@dataclasses.dataclass(frozen=True)
class Gradient(Method):
    """`d score / d input`: how the score changes with each feature.

    Not a share of the score: it has no start, its baseline score is the score itself, and its
    `delta` is only its sum.

    References:
        Simonyan, Vedaldi and Zisserman (2013), Deep Inside Convolutional Networks,
        arXiv:1312.6034, section 3.
    """

    kind = "gradient"

    @property
    def gradients(self):
        return 1

    def attribute(self, objective, inputs):
        score, gradient = objective.score_and_gradient(inputs)
        return Attribution(gradient, score, tf.zeros_like(gradient))
