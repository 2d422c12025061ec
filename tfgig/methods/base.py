"""What a method is."""

from __future__ import annotations

import abc
import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfgig.objective import Objective
from tfgig.spec import Spec


class Attribution(NamedTuple):
    """A method's answer for B examples.

    `attributions` float32 [B, ...], signed, in the shape of the inputs; `baseline_score`
    float32 [B], the score where the method starts from (the mean over several baselines).
    """

    attributions: tf.Tensor
    baseline_score: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Method(Spec, abc.ABC):
    """A family of full recipes."""

    family = "method"

    @property
    def complete(self) -> bool:
        """Whether the attributions are meant to add up to the score minus the baseline score.

        Then `delta` measures an error.
        """
        return False

    @property
    @abc.abstractmethod
    def gradients(self) -> int:
        """What it costs: how many gradients of the model one example takes."""

    @abc.abstractmethod
    def attribute(self, objective: Objective, inputs: tf.Tensor) -> Attribution:
        """Explains the objective's score at `inputs`, finite float32 [B, ...], in a graph."""
