"""The error of integration, as every explanation estimates it."""

from __future__ import annotations

import dataclasses

from tfgig.metrics.base import Column, Metric, finite_or_none


@dataclasses.dataclass(frozen=True)
class IntegrationError(Metric):
    """`error`: the distance of a map from its limit for many steps, as a share of its L1 norm.

    Undefined for methods that do not integrate, for regions and for smoothed maps.

    References:
        The estimate is that of `tfgig.methods.error`; `docs/accuracy.md` has its calibration.
    """

    kind = "integration_error"
    columns = (Column("error", larger_is_better=False),)

    def statistics(self, examples, subject):
        if subject.only_ranks:
            return [self.undefined() for _ in examples]
        # Exactly 0 is what a method says that has no sum.
        return [{"error": finite_or_none(e.error) if e.error > 0 else None} for e in examples]
