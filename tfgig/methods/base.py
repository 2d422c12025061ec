"""What a method is."""

from __future__ import annotations

import abc
import dataclasses
from typing import ClassVar, NamedTuple

import tensorflow as tf

from tfgig.objective import Objective
from tfgig.spec import Spec


class Attribution(NamedTuple):
    """A method's answer for B examples.

    `attributions` float32 [B, ...], signed, in the shape of the inputs; `baseline_score` float32
    [B], the score where the method starts (the mean over several baselines); `residual` float32 [B,
    ...], whose L1 norm estimates that of the attributions' error by
    integration: the weighted difference of odd and even nodes (see `tfgig.methods.error`). Zeros
    for a method that does not integrate; the attributions themselves for an integral of one step.
    Residuals are signed and are summed wherever attributions are, so random differences cancel, as
    random errors do.
    """

    attributions: tf.Tensor
    baseline_score: tf.Tensor
    residual: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Method(Spec, abc.ABC):
    """A family of attribution methods."""

    family = "method"
    names_places: ClassVar[bool] = False  # whether it says where a model is explained

    @property
    def complete(self) -> bool:
        """Whether the attributions should sum to the score minus the baseline score.

        Then `delta` measures an error.
        """
        return False

    @property
    def lays_over(self) -> bool:
        """Whether its attributions are maps of inner layers, laid over the input."""
        return False

    @property
    @abc.abstractmethod
    def gradients(self) -> int:
        """The cost: the maximum number of model gradients per example."""

    @property
    def fewest_gradients(self) -> int:
        """The minimum number per example; below `gradients` if rows differ."""
        return self.gradients

    @abc.abstractmethod
    def attribute(self, objective: Objective, inputs: tf.Tensor) -> Attribution:
        """Explains the objective's score at `inputs`, finite float32 [B, ...], in a graph."""


@dataclasses.dataclass(frozen=True)
class LayerMethod(Method, abc.ABC):
    """A family of methods that use an inner layer of an image model.

    `attribute` gets the output of the layer, [B, h, w, channels], instead of the inputs, and
    returns maps [B, h, w, 1], which are drawn over the image. `At(layer, method)` names the layer;
    by default it is the last one with a height and a width.
    """

    @property
    def lays_over(self) -> bool:
        return True
