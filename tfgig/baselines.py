"""Baselines: where a path starts, the input without evidence."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfgig.spec import Spec, check, check_is


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(item) for item in value) if isinstance(value, list) else value


@dataclasses.dataclass(frozen=True)
class Baseline(Spec, abc.ABC):
    """A family of starting points."""

    family = "baseline"

    @abc.abstractmethod
    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        """The baselines [K, B, ...] of `inputs` [B, ...], in the same units."""


@dataclasses.dataclass(frozen=True)
class Constant(Baseline):
    """The same value everywhere, 0 by default.

    That is black for inputs of 0 to 255 and of 0 to 1, but mid-grey for those of -1 to 1, whose
    black is `Constant(-1)`.

    Args:
        value: A number, a colour (one number a channel), or an array of the input's shape (or
            of any shape that broadcasts to it), in the model's own input units.
    """

    kind = "constant"
    value: Any = 0.0

    def __post_init__(self) -> None:
        try:
            array = np.asarray(self.value, np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                "Constant(value) takes a number, a colour or an array of numbers. "
                f"Received: {self.value!r}."
            ) from error
        largest = np.finfo(np.float32).max
        check(bool(np.all(np.abs(array) <= largest)), "A baseline must be finite.", self.value)
        object.__setattr__(self, "value", _as_tuples(array.tolist()))

    def __call__(self, inputs):
        value = tf.constant(self.value, inputs.dtype)
        try:
            shape = tf.broadcast_static_shape(value.shape, inputs.shape[1:])
        except ValueError:
            shape = None
        if shape is None or not shape.is_compatible_with(inputs.shape[1:]):
            raise ValueError(
                "A constant baseline is a number, a colour, or an array of the input's shape "
                f"{tuple(inputs.shape[1:])}. Received: a value of shape {tuple(value.shape)}."
            )
        return tf.broadcast_to(value, tf.shape(inputs))[tf.newaxis]


@dataclasses.dataclass(frozen=True)
class Several(Baseline):
    """Several baselines at once; their attributions are averaged.

    Args:
        baselines: The baselines, for example `(Constant(0.0), Constant(255.0))`.
    """

    kind = "several"
    baselines: tuple[Baseline, ...] = (Constant(0.0),)

    def __post_init__(self) -> None:
        check(
            isinstance(self.baselines, (tuple, list)) and len(self.baselines) > 0,
            "Several(...) takes a tuple of at least one baseline.",
            self.baselines,
        )
        for baseline in self.baselines:
            check_is(baseline, Baseline, "baselines")
        object.__setattr__(self, "baselines", tuple(self.baselines))

    def __call__(self, inputs):
        return tf.concat([baseline(inputs) for baseline in self.baselines], 0)
