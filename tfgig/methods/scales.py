"""Several scales in one map: a method at several places of a model of images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfgig.methods.at import At, refuse_places
from tfgig.methods.base import Method
from tfgig.methods.path_integral import PathIntegral
from tfgig.spec import check, check_is

_FOUND = 3  # places: fine, middle and coarse
_FLOOR = 1e-3  # of a map whose mean is 1: what is 0 at one scale does not blot out the others


@dataclasses.dataclass(frozen=True)
class Scales(Method):
    """`map = (prod_i (m_i / mean(m_i) + 0.001))^(1/n)`, m_i the evidence for the score at place i.

    Each m_i is the sum over the channels of the positive attributions of `inner` at that place,
    aligned with the picture. Coarse places show where the evidence is, fine ones how far it
    extends: their geometric mean is high where all of them are.

    The map is a picture, not a decomposition of the score: its sum has no meaning, it is never
    negative, and it has no unit. The attributions at each place are returned as well, as
    `attributions_<place>` [B, h, w, channels] with their `baseline_score_<place>` and
    `delta_<place>`; they sum to the score. `delta` is the largest of those, `error` likewise, and
    `baseline_score` their mean.

    Args:
        inner: The method at each place.
        places: The names of the places, as in `At(place, inner)`; an empty tuple finds up to three:
            the last with a quarter of the picture's pixels per side, that of `At(None, inner)`, and
            the last that is followed by weights.
    """

    kind = "scales"
    names_places = True
    inner: Method = PathIntegral()
    places: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_is(self.inner, Method, "inner")
        check(
            not self.inner.lays_over,
            "Scales(inner) multiplies attribution maps, but this method draws its own layer map; "
            "use it without Scales.",
            self.inner,
        )
        refuse_places(self.inner, "Scales")
        object.__setattr__(self, "places", tuple(self.places))
        check(
            all(isinstance(place, str) and place for place in self.places)
            and len(set(self.places)) == len(self.places),
            "Scales(places=...) must name different layers.",
            self.places,
        )

    @property
    def lays_over(self):
        return True

    @property
    def gradients(self):
        return (len(self.places) or _FOUND) * self.inner.gradients

    def at(self, place: str) -> At:
        """The method at one of the places."""
        return At(place, self.inner)

    def attribute(self, objective, inputs):
        raise TypeError(
            "Scales needs a model, because it explains several places; an objective has only one: "
            "tfgig.Explainer(model, Scales(...))."
        )


def combined(maps: Sequence[tf.Tensor]) -> tf.Tensor:
    """The geometric mean of maps [B, height, width, 1] of 0 or more, each divided by its mean."""
    logarithms = []
    for values in maps:
        mean = tf.reduce_mean(values, [1, 2, 3], keepdims=True)
        logarithms.append(tf.math.log(tf.math.divide_no_nan(values, mean) + _FLOOR))
    return tf.exp(tf.add_n(logarithms) / len(logarithms))


def largest(values: Sequence[tf.Tensor]) -> tf.Tensor:
    """Of numbers [B] each, row by row that of the largest size, with its sign."""
    stacked: Any = tf.stack(list(values))
    return tf.gather(tf.transpose(stacked), tf.argmax(tf.abs(stacked), 0), axis=1, batch_dims=1)
