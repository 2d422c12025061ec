"""Baselines that do not depend on the input."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfgig.baselines.base import Baseline, Range, finite
from tfgig.baselines.named import each, starts
from tfgig.spec import check, check_is


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(item) for item in value) if isinstance(value, list) else value


@dataclasses.dataclass(frozen=True)
class Constant(Baseline):
    """The same value everywhere, 0 by default.

    That is black for inputs of 0 to 255 and of 0 to 1, but mid-grey for those of -1 to 1, whose
    black is `Constant(-1)`.

    Args:
        value: A number, a colour (one number per channel), or an array of the input's shape (or of
            any shape that broadcasts to it), in the model's own input units. For several inputs,
            one value for all, or values by input name: `Constant({"age": 40.0, "city": 0.0})`.
    """

    kind = "constant"
    value: Any = 0.0

    def __post_init__(self) -> None:
        def plain(value, what):
            return _as_tuples(finite(value, what).tolist())

        object.__setattr__(self, "value", each(self.value, plain, "Constant(value)"))

    def __call__(self, inputs, objective):
        one = each(self.value, lambda value, _: np.asarray(value)[np.newaxis], "")
        return starts(one, inputs, objective, "A constant baseline")


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
            "Several(...) needs a tuple of at least one baseline.",
            self.baselines,
        )
        for baseline in self.baselines:
            check_is(baseline, Baseline, "baselines")
        object.__setattr__(self, "baselines", tuple(self.baselines))

    def __call__(self, inputs, objective):
        return tf.concat([baseline(inputs, objective) for baseline in self.baselines], 0)

    @property
    def count(self):
        return sum(baseline.count for baseline in self.baselines)

    @property
    def gradients(self):
        return sum(baseline.gradients for baseline in self.baselines)


def black(value_range: Range = (0.0, 255.0)) -> Constant:
    """The lower end of the inputs' range."""
    return Constant(value_range[0])


def white(value_range: Range = (0.0, 255.0)) -> Constant:
    """The upper end of the inputs' range."""
    return Constant(value_range[1])


def black_and_white(value_range: Range = (0.0, 255.0)) -> Several:
    """Both ends of the inputs' range: every colour differs from at least one of them.

    References:
        Kapishnikov et al. (2021), Guided Integrated Gradients, arXiv:2106.09788, table 3.
    """
    return Several((black(value_range), white(value_range)))
