"""Completeness: whether attributions add up to what they share out."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfgig.metrics.base import Column, Metric, finite_or_none


@dataclasses.dataclass(frozen=True)
class Completeness(Metric):
    """The relative completeness gap: `|delta| / |score - baseline score|`.

    Defined for complete methods, where the score differs from the baseline's. The median over
    examples is reported, because a single example whose score hardly differs from its baseline's
    would dominate the mean.

    References:
        Sundararajan, Taly and Yan (2017), Axiomatic Attribution for Deep Networks,
        arXiv:1703.01365, section 3.
    """

    kind = "completeness"
    columns = (Column("relative_delta", larger_is_better=False),)

    def statistics(self, examples, subject):
        return [self._statistic(example, subject.method.complete) for example in examples]

    def reduce(self, rows):
        known = rows[~np.isnan(rows[:, 0]), 0]
        return {"relative_delta": float(np.median(known)) if len(known) else float("nan")}

    def _statistic(self, example, complete):
        change = example.score - example.baseline_score
        if not complete or change == 0:
            return self.undefined()
        return {"relative_delta": finite_or_none(abs(example.delta / change))}
