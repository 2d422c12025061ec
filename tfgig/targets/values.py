"""Targets on numbers: outputs that are amounts or yes-or-no scores, not classes to choose from."""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from tfgig.spec import check, is_whole
from tfgig.targets.base import (
    TOP_CLASS,
    Form,
    Resolved,
    Target,
    check_form,
    has_unit,
    unit_of,
)


@dataclasses.dataclass(frozen=True)
class OutputValue(Target):
    """The value of one output unit, as in regression; there is no target to request.

    Args:
        unit: The unit of an output [N, units]; 0 if the output is [N].
        output: As in `ClassScore`.
        output_name: The output, for models with several.
    """

    kind = "output_value"
    unit: int = 0
    output: Form = "as_is"

    def __post_init__(self) -> None:
        check_form(self.output, self)
        _check_unit(self.unit, self)

    def resolve(self, outputs, requested):
        valid = (requested == TOP_CLASS) | (requested == self.unit)
        valid &= has_unit(_units(self._value(outputs, self.output), self.unit, self), self.unit)
        return Resolved(tf.fill(tf.shape(requested), tf.constant(self.unit, tf.int64)), valid)

    def select(self, outputs, target):
        return unit_of(_units(self._value(outputs, self.output), self.unit, self), self.unit)


@dataclasses.dataclass(frozen=True)
class Threshold(Target):
    """`value - level` above the threshold, `level - value` below: why the input is on its side.

    The side is found once, at the inputs, and fixed along the path: target 1 is above, 0 below.
    Either may be requested. The score is the distance of the output from the threshold, on that
    side.

    Args:
        level: The threshold, in the units of the output.
        unit: The unit of an output [N, units]; 0 if the output is [N].
        output: As in `ClassScore`.
        output_name: The output, for models with several.
    """

    kind = "threshold"
    level: float = 0.5
    unit: int = 0
    output: Form = "as_is"

    def __post_init__(self) -> None:
        check_form(self.output, self)
        _check_unit(self.unit, self)
        check(math.isfinite(self.level), "Threshold(level=...) must be finite.", self.level)

    def resolve(self, outputs, requested):
        units = _units(self._value(outputs, self.output), self.unit, self)
        above = unit_of(units, self.unit) > self.level
        target = tf.where(requested == TOP_CLASS, tf.cast(above, tf.int64), requested)
        valid = ((target == 0) | (target == 1)) & has_unit(units, self.unit)
        return Resolved(tf.where(valid, target, tf.zeros_like(target)), valid)

    def select(self, outputs, target):
        value = unit_of(_units(self._value(outputs, self.output), self.unit, self), self.unit)
        return tf.where(target == 1, value - self.level, self.level - value)

    def classes(self, outputs):
        return 2


def _check_unit(unit: int, target: Target) -> None:
    message = f"{type(target).__name__}(unit=...) must be the index of an output unit."
    check(is_whole(unit) and unit >= 0, message, unit)


def _units(value: tf.Tensor, unit: int, target: Target) -> tf.Tensor:
    """An output [N, units], or [N] as that of one unit, which has this unit if that is known."""
    if value.shape.rank == 1:
        value = value[:, tf.newaxis]
    check(
        value.shape.rank == 2 and (value.shape[1] is None or unit < value.shape[1]),
        f"{type(target).__name__}(unit={unit}) needs an output of shape [N] or [N, units] that "
        "has this unit; use RegionScore() or CustomScore(function) for others.",
        tuple(value.shape),
    )
    return value
