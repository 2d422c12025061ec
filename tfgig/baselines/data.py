"""Baselines from a data set: computed from it once, and kept in the spec."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, Literal, get_args

import numpy as np

from tfgig.arrays import Array
from tfgig.baselines.base import Baseline, finite
from tfgig.baselines.named import each, is_by_name, starts
from tfgig.noise import check_samples
from tfgig.spec import check

Statistic = Literal["mean", "median", "mode"]
STATISTICS = get_args(Statistic)


@dataclasses.dataclass(frozen=True)
class DatasetStatistic(Baseline):
    """The mean, median or mode of each value over a data set: `DatasetStatistic.of(data, "mean")`.

    Whatever most examples share, such as a watermark or a dark border, is also in the mode and the
    median, and gets no attribution.

    Args:
        value: The statistic, an array of the input's shape; for several inputs, arrays by input
            name.
        statistic: The name of the statistic.
        examples: The number of examples it was computed from.
    """

    kind = "dataset_statistic"
    value: Any
    statistic: Statistic = "mean"
    examples: int = 1

    def __post_init__(self) -> None:
        _check_statistic(self.statistic)
        value = each(self.value, lambda v, what: Array(finite(v, what)), "DatasetStatistic(value)")
        object.__setattr__(self, "value", value)

    @classmethod
    def of(cls, data: Any, statistic: Statistic = "mean") -> DatasetStatistic:
        """The statistic of each value over `data` [examples, ...], in the model's input units.

        Args:
            data: The examples; for several inputs, examples by input name: `{"age": [examples, 1],
                "city": [examples, 8]}`.
            statistic: "mean", "median" or "mode".

        Raises:
            ValueError: the data are empty or not finite, or the statistic is unknown.
        """
        _check_statistic(statistic)
        data = _examples(data, "DatasetStatistic")
        value = each(data, lambda values, _: Array(_summary(values, statistic)), "data")
        return cls(value, statistic, _count(data))

    def __call__(self, inputs, objective):
        one = each(self.value, lambda value, _: np.asarray(value)[np.newaxis], "")
        return starts(one, inputs, objective, "The statistic of a data set")


@dataclasses.dataclass(frozen=True)
class DatasetSample(Baseline):
    """Examples of a data set, one after another: `DatasetSample.of(data, samples=50)`.

    Attributions averaged over them are expected gradients: they show what distinguishes this input
    from the data.

    Args:
        examples: Arrays of the input's shape, [K, ...]; for several inputs, arrays by input name,
            with the examples in the same order.
        seed: The seed with which they were drawn.

    References:
        Erion et al. (2021), Improving Performance of Deep Learning Models with Axiomatic
        Attribution Priors and Expected Gradients, arXiv:1906.10670.
    """

    kind = "dataset_sample"
    examples: Any
    seed: int = 0

    def __post_init__(self) -> None:
        def kept(value, what):
            array = finite(value, what)
            check(
                array.ndim > 0 and len(array) > 0,
                f"{what} needs at least one example, [K, ...].",
                array.shape,
            )
            return Array(array)

        examples = each(self.examples, kept, "DatasetSample(examples)")
        _check_alike(examples, "DatasetSample(examples)")
        object.__setattr__(self, "examples", examples)

    @classmethod
    def of(cls, data: Any, samples: int = 50, seed: int = 0) -> DatasetSample:
        """Draws `samples` of the examples `data` [examples, ...] without replacement.

        Args:
            data: The examples; for several inputs, examples by input name, in the same order,
                because they are drawn together.
            samples: The number of examples to draw.
            seed: The seed of the draw.

        Raises:
            ValueError: the data are empty, not finite, or fewer than `samples`.
        """
        check_samples(samples, seed, "DatasetSample.of")
        data = _examples(data, "DatasetSample")
        count = _count(data)
        check(
            samples <= count,
            f"DatasetSample.of(samples=...) draws from {count} examples, and cannot draw more.",
            samples,
        )
        drawn = np.random.default_rng(seed).choice(count, samples, replace=False)
        return cls(each(data, lambda values, _: Array(values[drawn]), "data"), seed)

    def __call__(self, inputs, objective):
        return starts(self.examples, inputs, objective, "An example of a data set")

    @property
    def count(self):
        return _count(self.examples)


def _check_statistic(statistic: str) -> None:
    message = f"DatasetStatistic(statistic=...) must be one of {STATISTICS}."
    check(statistic in STATISTICS, message, statistic)


def _examples(data: Any, owner: str) -> Any:
    """Arrays [examples, ...]: of one input, or pairs of the names of several and theirs."""

    def checked(values, what):
        array = finite(values, what)
        check(
            array.ndim > 0 and len(array) > 0,
            f"{what} needs at least one example, [examples, ...].",
            array.shape,
        )
        return array

    found = each(data, checked, f"{owner}.of(data)")
    _check_alike(found, f"{owner}.of(data)")
    return found


def _check_alike(values: Any, what: str) -> None:
    """Raises `ValueError` unless there are as many examples of each input."""
    counts = {name: np.shape(v)[0] for name, v in values} if is_by_name(values) else {}
    check(
        len(set(counts.values())) < 2,
        f"{what} needs the same number of examples for each input.",
        counts,
    )


def _count(values: Any) -> int:
    """How many examples there are."""
    return np.shape(values[0][1] if is_by_name(values) else values)[0]


def _summary(data: np.ndarray, statistic: Statistic) -> np.ndarray:
    """The statistic of each value over the first axis."""
    if statistic == "mode":
        return _mode(data)
    return (np.mean if statistic == "mean" else np.median)(data, axis=0)


def _mode(data: np.ndarray) -> np.ndarray:
    """The most frequent value over the first axis; the lowest of equally frequent ones."""
    ordered = np.sort(data, axis=0)
    run = np.ones(data.shape[1:], np.int64)
    longest, mode = run.copy(), ordered[0].copy()
    for before, value in itertools.pairwise(ordered):
        run = np.where(value == before, run + 1, 1)
        better = run > longest
        longest, mode = np.where(better, run, longest), np.where(better, value, mode)
    return mode
