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

    Of a fixed path, the baseline and the input. `which` int32 [W] says which of its K starts a walk
    has; `prepared` is what the path has made of its ends.
    """

    start: tf.Tensor
    end: tf.Tensor
    which: Any = ()
    prepared: Any = ()


class Step(NamedTuple):
    """The part of an adaptive path that a step covers, in shares of the way; float64 scalars."""

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
            objective: The score that is explained; a baseline may search with it.
        """

    @property
    def count(self) -> int:
        """How many starts there are, K: those of the path's baseline, or one."""
        return self._baseline.count if self._baseline else 1

    @property
    def gradients(self) -> int:
        """How many gradients of the model finding the starts takes, for one example."""
        return self._baseline.gradients if self._baseline else 0

    @property
    def _baseline(self) -> Baseline | None:
        """The first baseline among the path's options, and theirs."""
        options = (value for _, value, _ in leaves(self))
        return next((value for value in options if isinstance(value, Baseline)), None)


@dataclasses.dataclass(frozen=True)
class FixedPath(Path):
    """A path whose points are known beforehand: many of them share one model call."""

    default_quadrature = Midpoint()

    def prepare(self, ends: Ends) -> Any:
        """What all points need that depends on the ends alone, such as a transform of the inputs.

        Made once a walk, and handed on as `ends.prepared`: any structure of tensors [W, ...].
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
    """A path that chooses its next point by the gradient: its points come one after another.

    A walk has a state of its own making, any structure of tensors [W, ...] in float64; by
    default the point itself. The engine keeps W walks in step and rounds their points to float32
    for the model.

    A path may consist of several walks (`cut`), lead from the input away (a negative weight), and
    end where it ends (`arrives` false). The baseline score is what the walks' changes of the score,
    weighed and added up, leave of the input's: that of the start or, of a walk that leads away,
    that of the point where it ends.

    Attributes:
        arrives: Whether the last step of a walk is put on `ends.end` exactly; else it ends where
            `advance` leads.
        gradients_per_step: How many gradients of the model each step takes: 1, that of the score,
            and those of `guide`.

    References:
        Kapishnikov et al. (2021), Guided Integrated Gradients: an Adaptive Path Method for
        Removing Noise, arXiv:2106.09788, section 4, equation 2.
    """

    default_quadrature = Trapezoid()
    arrives: ClassVar[bool] = True
    gradients_per_step: ClassVar[int] = 1

    @property
    def segments(self) -> int:
        """Of how many independent walks the path consists."""
        return 1

    @property
    def weights(self) -> tuple[float, ...]:
        """What the integral along each segment counts: below 0 for one that leaves the input."""
        return (1.0,) * self.segments

    def cut(self, ends: Ends) -> Ends:
        """The ends of all segments, [segments * W, ...], segment-major.

        Args:
            ends: From the path's starts to the inputs. What is `prepared` of them, a structure of
                tensors [segments * W, ...], comes back with the ends of each walk.
        """
        return ends

    def guide(self, objective: Objective, ends: Ends) -> Guide | None:
        """What chooses the next point; None for the gradient of the explained score.

        Args:
            objective: The score of the walks' rows, and by it those of other classes.
            ends: The ends of the walks, float32.
        """
        return None

    def begin(self, ends: Ends) -> Any:
        """The state at the start."""
        return ends.start

    def point(self, state: Any, ends: Ends) -> tf.Tensor:
        """The points [W, ...] at which walks in this state stand."""
        return state

    @abc.abstractmethod
    def advance(self, step: Step, state: Any, gradient: tf.Tensor, ends: Ends) -> Any:
        """The state after a step.

        Args:
            step: How much of the way is behind before this step, and is to be after it.
            state: The state before.
            gradient: float32 [W, ...] at the state's point, of the score or what `guide` says;
                zeros for a walk of which it is not finite.
            ends: The ends of the walks, float64.
        """


def spread(values: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """`values` [W] with axes of size 1 appended, to broadcast against `like` [W, ...]."""
    ones = tf.ones([tf.rank(like) - 1], tf.int32)
    return tf.reshape(tf.cast(values, like.dtype), tf.concat([tf.shape(values), ones], 0))
