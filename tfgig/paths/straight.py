"""The straight line from the baseline to the input: Integrated Gradients."""

from __future__ import annotations

import dataclasses

from tfgig.baselines import Baseline, Constant
from tfgig.paths.base import FixedPath, spread
from tfgig.spec import check_is


@dataclasses.dataclass(frozen=True)
class Straight(FixedPath):
    """`x(alpha) = start + alpha (input - start)`.

    Args:
        baseline: Where the path starts.

    References:
        Sundararajan, Taly and Yan (2017), Axiomatic Attribution for Deep Networks,
        arXiv:1703.01365, section 3.
    """

    kind = "straight"
    baseline: Baseline = Constant(0.0)

    def __post_init__(self) -> None:
        check_is(self.baseline, Baseline, "baseline")

    def starts(self, inputs, objective):
        return self.baseline(inputs, objective)

    def point(self, alpha, ends):
        return ends.start + spread(alpha, ends.start) * (ends.end - ends.start)

    def displacement(self, lower, upper, ends):
        # Not the difference of two rounded points: exact, and cheaper.
        return spread(upper - lower, ends.start) * (ends.end - ends.start)
