"""What a metric is: a statistic of each example, apart from how the statistics are put together."""

from __future__ import annotations

import abc
import dataclasses
import enum
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from tfgig.image.layout import Layout
from tfgig.spec import Spec
from tfgig.workers import Call

if TYPE_CHECKING:
    from tfgig.metrics.subject import Subject

# Plain JSON data: by name a number, None where it is not defined, or a list of them.
Statistic = dict[str, Any]


class Requirement(enum.Flag):
    """What a metric needs besides an image and its attributions."""

    NOTHING = 0
    SCORES = enum.auto()  # the model's scores of changed images
    EXPLANATIONS = enum.auto()  # attributions of changed images or of a changed model
    MASK = enum.auto()  # where the evidence is


class Column(NamedTuple):
    """One number that a metric reports; `larger_is_better` is None if neither is better."""

    name: str
    larger_is_better: bool | None = True


class Curve(NamedTuple):
    """A curve to draw: `y` [points] over `x` [points], with axis labels."""

    x: np.ndarray
    y: np.ndarray
    x_label: str
    y_label: str


class Example(NamedTuple):
    """One explained image; H, W and C are its height, width and channels."""

    image: np.ndarray  # float32 [H, W, C], in the model's input units
    # float32 [H, W, C], signed; of regions [H, W, 1]; of an inner layer [h, w, c] or [tokens, c]
    attributions: np.ndarray
    target: int  # the explained class
    score: float
    baseline_score: float
    delta: float
    mask: np.ndarray | None = None  # bool [H, W], True where the evidence is
    error: float = 0.0  # the estimated relative error of the attributions by integration
    memo: dict[Call, Any] | None = None  # what calls returned, for all metrics of this example
    layout: Layout | None = None  # how a layer lies over the image; None for pixels

    def made(self, call: Call) -> Any:
        """The result of a call, from the memo or computed now."""
        return call.made({} if self.memo is None else self.memo)


@dataclasses.dataclass(frozen=True)
class Metric(Spec, abc.ABC):
    """A family of metrics of attributions.

    `statistics` contains everything needed from an example, as JSON data; `rows` and `reduce`
    combine any number of examples. `merge` merges the statistics of shards; results from merged
    statistics equal, to the last bit, those computed at once.

    `columns` are the reported numbers, the most informative first. `needs` lists the requirements
    of `statistics`. `calls` lists slow work that needs no model, whose results `Example.made`
    returns: an evaluation computes it in other processes beforehand.
    """

    family = "metric"
    columns: ClassVar[tuple[Column, ...]]
    needs: ClassVar[Requirement] = Requirement.NOTHING

    @abc.abstractmethod
    def statistics(self, examples: Sequence[Example], subject: Subject) -> list[Statistic]:
        """The statistics of examples: every column's number, None if undefined."""

    def calls(self, example: Example, value_range: tuple[float, float]) -> tuple[Call, ...]:
        """The calls of `made` by `statistics` that other processes can compute.

        Args:
            example: The example.
            value_range: The values of black and white in the model's input units.
        """
        return ()

    def rows(self, statistics: Sequence[Statistic]) -> np.ndarray:
        """The input of `reduce` from each example: float64 [examples, ...], NaN if undefined."""
        names = [column.name for column in self.columns]
        rows = [[number(statistic[name]) for name in names] for statistic in statistics]
        return np.array(rows, np.float64).reshape(len(rows), len(names))

    def reduce(self, rows: np.ndarray) -> dict[str, float]:
        """Each column's value over examples, from `rows`; NaN if no example has one."""
        return {column.name: mean(rows[:, i]) for i, column in enumerate(self.columns)}

    def aggregate(self, statistics: Mapping[str, Statistic]) -> dict[str, float]:
        """Each column's value over examples, from their statistics by name."""
        return self.reduce(self.rows(list(statistics.values())))

    def defined(self, statistics: Mapping[str, Statistic]) -> dict[str, int]:
        """The number of examples for which each column is defined."""
        return {
            column.name: sum(s[column.name] is not None for s in statistics.values())
            for column in self.columns
        }

    def curves(self, statistics: Mapping[str, Statistic]) -> dict[str, Curve]:
        """The curves to draw, by column."""
        return {}

    def undefined(self) -> Statistic:
        """The statistic of an example for which the metric is undefined."""
        return {column.name: None for column in self.columns}


def merge(*shards: Mapping[str, Statistic]) -> dict[str, Statistic]:
    """The merged statistics of several shards, by example; shards must agree on shared examples.

    Raises:
        ValueError: two shards disagree on an example.
    """
    merged: dict[str, Statistic] = {}
    for shard in shards:
        for name, statistic in shard.items():
            if merged.setdefault(name, statistic) != statistic:
                raise ValueError(
                    "Two shards have different statistics for one example; they do not belong to "
                    f"one experiment. Received: {name!r}."
                )
    return merged


def mean(values: np.ndarray) -> float:
    """The mean of the numbers that are no NaN, the same in whatever order they come."""
    values = values[~np.isnan(values)]
    return math.fsum(values) / len(values) if len(values) else math.nan


def number(value: float | None) -> float:
    """A number of a statistic, NaN for None."""
    return math.nan if value is None else value


def finite_or_none(value: Any) -> float | None:
    """A number for a statistic: JSON has no NaN and no infinity."""
    value = float(value)
    return value if math.isfinite(value) else None


def area(curve: np.ndarray) -> float:
    """The area under values [points] at equal distances over [0, 1], by the trapezoid rule."""
    return float(np.mean((curve[1:] + curve[:-1]) / 2))
