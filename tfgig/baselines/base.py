"""What a baseline is."""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfgig.objective import Objective
from tfgig.spec import Spec, check

Range = tuple[float, float]  # what is black and what is white, in the model's input units


@dataclasses.dataclass(frozen=True)
class Baseline(Spec, abc.ABC):
    """A family of starting points."""

    family = "baseline"

    @abc.abstractmethod
    def __call__(self, inputs: tf.Tensor, objective: Objective) -> tf.Tensor:
        """The baselines [K, B, ...] of `inputs` [B, ...], in the same units.

        Args:
            inputs: [B, ...].
            objective: The score that is explained; few baselines look at it.
        """

    @property
    def count(self) -> int:
        """The number of baselines, K."""
        return 1

    @property
    def gradients(self) -> int:
        """The number of model gradients needed to find the baselines, per example."""
        return 0


def checked_range(value: Any, owner: Spec) -> Range:
    """`value` as (low, high), both finite; an error names the field of `owner`."""
    message = f"{type(owner).__name__}(value_range=...) must be (low, high), such as (0, 255)."
    try:
        low, high = map(float, value)
    except (TypeError, ValueError):
        low = high = math.nan
    check(math.isfinite(high - low) and low < high, message, value)
    return low, high


def fitted(values: tf.Tensor, inputs: tf.Tensor, what: str) -> tf.Tensor:
    """`values` [K, ...], each broadcast over inputs [B, ...]: [K, B, ...].

    Raises:
        ValueError: the values are not of the inputs' shape, nor of one that broadcasts to it.
    """
    try:
        shape = tf.broadcast_static_shape(values.shape[1:], inputs.shape[1:])
    except ValueError:
        shape = None
    if shape is None or not shape.is_compatible_with(inputs.shape[1:]):
        raise ValueError(
            f"{what} must be a number, a colour, or an array of the input's shape "
            f"{tuple(inputs.shape[1:])}. Received: a value of shape {tuple(values.shape[1:])}."
        )
    missing = inputs.shape.rank - values.shape.rank
    count = values.shape[0]
    values = tf.reshape(values, [count, 1, *[1] * missing, *values.shape[1:]])
    shape = tf.concat([[count], tf.shape(inputs)], 0)
    return tf.broadcast_to(tf.cast(values, inputs.dtype), shape)


def finite(value: Any, what: str) -> np.ndarray:
    """`value` as a float64 array; an error unless every number is finite in float32."""
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{what} must be a number, a colour or an array of numbers. Received: {value!r}."
        ) from error
    largest = np.finfo(np.float32).max
    check(bool(np.all(np.abs(array) <= largest)), "A baseline must be finite.", value)
    return array
