"""What a path is: where it starts, and how it comes to the input."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf

from tfgig.baselines import Baseline
from tfgig.objective import Objective
from tfgig.quadratures import Midpoint, Quadrature, Trapezoid
from tfgig.spec import Spec, leaves

Guide = Callable[["tf.Tensor"], "tf.Tensor"]  # points float32 [W, ...] to what a step is chosen by


class Ends(NamedTuple):
    """The two ends of W walks: `start` [W, ...] and `end` [W, ...], in one dtype.

    For a fixed path, the baseline and the input. `which` int32 [W] is the index of each walk's
    start among the K; `prepared` is the result of the path's preparation, and `tables` are what its
    walks have in common.
    """

    start: tf.Tensor
    end: tf.Tensor
    which: Any = ()
    prepared: Any = ()
    tables: Any = ()


class Step(NamedTuple):
    """The part of an adaptive path that a step covers, as shares of the path; float64 scalars."""

    lower: tf.Tensor
    upper: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Path(Spec, abc.ABC):
    """A family of curves; a path owns its start. Subclass `FixedPath` or `AdaptivePath`."""

    family = "path"
    default_quadrature: ClassVar[Quadrature]

    @abc.abstractmethod
    def starts(self, inputs: tf.Tensor, objective: Objective) -> tf.Tensor:
        """Where the paths to `inputs` [B, ...] start: [K, B, ...]; K walks are averaged.

        Args:
            inputs: [B, ...].
            objective: The explained score; a baseline may search with it.
        """

    @property
    def count(self) -> int:
        """The number of starts, K: those of the path's baseline, or one."""
        return self._baseline.count if self._baseline else 1

    @property
    def gradients(self) -> int:
        """The number of model gradients needed to find the starts, per example."""
        return self._baseline.gradients if self._baseline else 0

    @property
    def _baseline(self) -> Baseline | None:
        """The first baseline among the path's options, and theirs."""
        options = (value for _, value, _ in leaves(self))
        return next((value for value in options if isinstance(value, Baseline)), None)


@dataclasses.dataclass(frozen=True)
class FixedPath(Path):
    """A path whose points are known in advance, so that many of them share one model call."""

    default_quadrature = Midpoint()

    def tabulate(self, ends: Ends) -> Any:
        """What all walks have in common because of their shape, such as a table of cosines.

        Computed once, before `prepare`, and passed on as `ends.tables`: any structure of tensors.
        """
        return ()

    def prepare(self, ends: Ends) -> Any:
        """What all points need and only the ends determine, such as a transform of the inputs.

        Computed once per walk and passed on as `ends.prepared`: any structure of tensors [W, ...].
        """
        return ()

    @abc.abstractmethod
    def point(self, alpha: tf.Tensor, ends: Ends) -> tf.Tensor:
        """The points [W, ...] at the positions `alpha` [W]: the start at 0, the input at 1."""

    def displacement(self, lower: tf.Tensor, upper: tf.Tensor, ends: Ends) -> tf.Tensor:
        """`point(upper) - point(lower)`, [W, ...], for positions [W]."""
        return self.point(upper, ends) - self.point(lower, ends)


@dataclasses.dataclass(frozen=True)
class AdaptivePath(Path):
    """A path that chooses its next point by the gradient, so its points are computed one by one.

    The path defines a walk's state, any structure of tensors [W, ...]; by default the point itself,
    in float64. The engine advances W walks together and rounds their points to float32, as the
    model is given them.

    A path may consist of several walks (`cut`), lead away from the input (a negative weight), and
    end at any point (`arrives` false). The baseline score is the input's score minus the weighted
    sum of the walks' changes of the score: the score at the start or, for a walk that leads away,
    at the point where it ends.

    Attributes:
        arrives: Whether the last step of a walk ends exactly at `ends.end`; otherwise it ends where
            `advance` leads.
        gradients_per_step: The number of model gradients per step: 1, that of the score, plus those
            of `guide`.

    References:
        Kapishnikov et al. (2021), Guided Integrated Gradients: an Adaptive Path Method for
        Removing Noise, arXiv:2106.09788, section 4, equation 2.
    """

    default_quadrature = Trapezoid()
    arrives: ClassVar[bool] = True
    gradients_per_step: ClassVar[int] = 1

    @property
    def segments(self) -> int:
        """The number of independent walks of the path."""
        return 1

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each segment's integral: below 0 if it leads away from the input."""
        return (1.0,) * self.segments

    def cut(self, ends: Ends) -> Ends:
        """The ends of all segments, [segments * W, ...], segment-major.

        Args:
            ends: From the path's starts to the inputs. Their `prepared`, a structure of tensors
                [segments * W, ...], is returned with the ends of each walk.
        """
        return ends

    def guide(self, objective: Objective, ends: Ends) -> Guide | None:
        """What chooses the next point; None for the gradient of the explained score.

        Args:
            objective: The score of the walks' rows, which also gives the scores of other classes.
            ends: The ends of the walks, float32.
        """
        return None

    def begin(self, ends: Ends) -> Any:
        """The state at the start."""
        return ends.start

    def point(self, state: Any, ends: Ends) -> tf.Tensor:
        """The points [W, ...] of walks in this state."""
        return state

    @abc.abstractmethod
    def advance(self, step: Step, state: Any, gradient: tf.Tensor, ends: Ends) -> Any:
        """The state after a step.

        Args:
            step: The share of the path covered before this step and after it.
            state: The state before.
            gradient: float32 [W, ...] at the state's point, of the score or as given by `guide`;
                zeros for a walk where it is not finite.
            ends: The ends of the walks, float64.
        """


def spread(values: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """`values` [W] with axes of size 1 appended, to broadcast against `like` [W, ...]."""
    ones = tf.ones([tf.rank(like) - 1], tf.int32)
    return tf.reshape(tf.cast(values, like.dtype), tf.concat([tf.shape(values), ones], 0))
