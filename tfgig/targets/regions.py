"""Targets on outputs with positions: words of a sequence, pixels of a segmentation."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfgig.spec import check, is_whole
from tfgig.targets.base import Form, ModelOutputs, Target, check_form
from tfgig.targets.classes import resolve_class

Bounds = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class RegionScore(Target):
    """`sum over the positions of a region of the score of one class there`.

    For outputs with a score for every class at every position: [N, positions, classes] of a
    sequence, [N, height, width, classes] of a segmentation. The top class is that of the largest
    sum, found once, at the inputs.

    Args:
        region: For each axis of positions, (first, one past the last), such as `((10, 40), (20,
            60))`; None takes all positions. Rows whose output has fewer positions return `ok`
            false.
        output: As in `ClassScore`.
        output_name: The output, for models with several.
    """

    kind = "region_score"
    of_classes = True
    region: tuple[Bounds, ...] | None = None
    output: Form = "as_is"

    def __post_init__(self) -> None:
        check_form(self.output, self)
        if self.region is None:
            return
        try:
            region = tuple((first, stop) for first, stop in self.region)
            good = all(is_whole(i) and i >= 0 for b in region for i in b)
            good = good and len(region) > 0 and all(first < stop for first, stop in region)
            region = tuple((int(first), int(stop)) for first, stop in region)
        except (TypeError, ValueError):
            good = False
        check(
            good,
            "RegionScore(region=...) must have one (first, one past the last) for each axis of "
            "positions, such as ((10, 40), (20, 60)).",
            self.region,
        )
        object.__setattr__(self, "region", region)

    def resolve(self, outputs, requested):
        found = resolve_class(self._scores(outputs), requested)
        return found._replace(valid=found.valid & self._inside(outputs))

    def select(self, outputs, target):
        return tf.gather(self._scores(outputs), target, axis=1, batch_dims=1)

    def classes(self, outputs):
        return self._scores(outputs).shape[1]

    def _inside(self, outputs: ModelOutputs) -> tf.Tensor:
        """Whether the region lies in the positions of these outputs, of which axes may be open."""
        if self.region is None:
            return tf.constant(True)
        sizes = tf.shape(self._value(outputs, self.output))[1:-1]
        return tf.reduce_all(tf.constant([stop for _, stop in self.region]) <= sizes)

    def _scores(self, outputs: ModelOutputs) -> tf.Tensor:
        value = self._value(outputs, self.output)
        rank = value.shape.rank
        check(
            rank is not None and rank >= 3,
            "RegionScore explains outputs of shape [N, positions ..., classes]; use ClassScore() "
            "for [N, classes].",
            tuple(value.shape),
        )
        if self.region is not None:
            sizes = tuple(value.shape[1:-1])
            inside = len(self.region) == len(sizes) and all(
                size is None or stop <= size
                for (_, stop), size in zip(self.region, sizes, strict=True)
            )
            check(
                inside,
                "RegionScore(region=...) must lie within the output's positions, of sizes "
                f"{sizes}.",
                self.region,
            )
            inner = tuple(slice(*bounds) for bounds in self.region)
            value = value[(slice(None), *inner)]
        return tf.reduce_sum(tf.cast(value, tf.float32), list(range(1, rank - 1)))
