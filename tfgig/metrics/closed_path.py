"""The closed path: attributions of a round trip, of which the truth is known to be zero."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfgig.metrics.base import Column, Metric, Requirement, finite_or_none
from tfgig.spec import check, is_whole


@dataclasses.dataclass(frozen=True)
class ClosedPath(Metric):
    """The mean squared attribution of a feature over random round trips through input space.

        error = mean over features and trips of (sum over segments of attribution)^2

    A trip goes from the image through random corners back to the image; the method explains each
    segment from one corner to the next. The trip ends where it starts, so the true value is 0 for
    every feature. Corners are uniformly random images in the model's value range, shared by all
    examples (the paper does not say how it draws its random paths). In squared units of the score.

    Only methods that start from a baseline can follow segments; others have no value.

    Args:
        trips: The number of random trips, at least 1.
        segments: The number of segments of a trip, at least 2.
        seed: The seed of the corners.

    References:
        Kapishnikov et al. (2021), Guided Integrated Gradients, arXiv:2106.09788, section 5.1.
    """

    kind = "closed_path"
    columns = (Column("error", larger_is_better=False),)
    needs = Requirement.EXPLANATIONS
    trips: int = 2
    segments: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("trips", 1), ("segments", 2)):
            value = getattr(self, name)
            check(
                is_whole(value) and value >= least,
                f"`{name}` must be a whole number of at least {least}.",
                value,
            )

    def statistics(self, examples, subject):
        return [self._statistic(example, subject) for example in examples]

    def _statistic(self, example, subject):
        low, high = subject.value_range
        random = np.random.default_rng(self.seed)
        shape = (self.trips, self.segments - 1, *example.image.shape)
        between = random.uniform(low, high, shape).astype(np.float32)
        home = np.broadcast_to(example.image, (self.trips, 1, *example.image.shape))
        corners = np.concatenate([home, between, home], 1)  # [trips, segments + 1, H, W, C]
        attributions = subject.explain_between(
            corners[:, :-1].reshape(-1, *example.image.shape),
            corners[:, 1:].reshape(-1, *example.image.shape),
            example.target,
        )
        if attributions is None:
            return self.undefined()
        segments = attributions.astype(np.float64).reshape(self.trips, self.segments, -1)
        return {"error": finite_or_none(np.mean(segments.sum(1) ** 2))}
