"""Baselines from a data set: computed from it once, and kept in the spec."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, Literal, get_args

import numpy as np
import tensorflow as tf

from tfgig.arrays import Array
from tfgig.baselines.base import Baseline, finite, fitted
from tfgig.noise import check_samples
from tfgig.spec import check

Statistic = Literal["mean", "median", "mode"]
STATISTICS = get_args(Statistic)


@dataclasses.dataclass(frozen=True)
class DatasetStatistic(Baseline):
    """The mean, median or mode of each value over a data set: `DatasetStatistic.of(data, "mean")`.

    Where most examples have something in common, a watermark or a dark border, the mode and the
    median have it too, and it gets no attribution.

    Args:
        value: The statistic, an array of the input's shape.
        statistic: Which one it is.
        examples: Of how many examples it was taken.
    """

    kind = "dataset_statistic"
    value: Array
    statistic: Statistic = "mean"
    examples: int = 1

    def __post_init__(self) -> None:
        _check_statistic(self.statistic)
        object.__setattr__(self, "value", Array(finite(self.value, "DatasetStatistic(value)")))

    @classmethod
    def of(cls, data: Any, statistic: Statistic = "mean") -> DatasetStatistic:
        """The statistic of each value over `data` [examples, ...], in the model's input units.

        Raises:
            ValueError: the data are empty or not finite, or there is no such statistic.
        """
        _check_statistic(statistic)
        data = _examples(data, "DatasetStatistic")
        if statistic == "mode":
            value = _mode(data)
        else:
            value = (np.mean if statistic == "mean" else np.median)(data, axis=0)
        return cls(Array(value), statistic, len(data))

    def __call__(self, inputs, objective):
        value = tf.constant(np.asarray(self.value)[np.newaxis])
        return fitted(value, inputs, "The statistic of a data set")


@dataclasses.dataclass(frozen=True)
class DatasetSample(Baseline):
    """Examples of a data set, one after another: `DatasetSample.of(data, samples=50)`.

    Attributions averaged over them are expected gradients: what tells this input from the data.

    Args:
        examples: Arrays of the input's shape, [K, ...].
        seed: The seed with which they were drawn.

    References:
        Erion et al. (2021), Improving Performance of Deep Learning Models with Axiomatic
        Attribution Priors and Expected Gradients, arXiv:1906.10670.
    """

    kind = "dataset_sample"
    examples: Array
    seed: int = 0

    def __post_init__(self) -> None:
        array = finite(self.examples, "DatasetSample(examples)")
        check(
            array.ndim > 0 and len(array) > 0,
            "DatasetSample(examples) needs at least one example, [K, ...].",
            array.shape,
        )
        object.__setattr__(self, "examples", Array(array))

    @classmethod
    def of(cls, data: Any, samples: int = 50, seed: int = 0) -> DatasetSample:
        """Draws `samples` of the examples `data` [examples, ...], none of them twice.

        Raises:
            ValueError: the data are empty, not finite, or fewer than are to be drawn.
        """
        check_samples(samples, seed, "DatasetSample.of")
        data = _examples(data, "DatasetSample")
        check(
            samples <= len(data),
            f"DatasetSample.of(samples=...) draws from {len(data)} examples; draw at most as many.",
            samples,
        )
        drawn = np.random.default_rng(seed).choice(len(data), samples, replace=False)
        return cls(Array(data[drawn]), seed)

    def __call__(self, inputs, objective):
        return fitted(tf.constant(np.asarray(self.examples)), inputs, "An example of a data set")

    @property
    def count(self):
        return self.examples.shape[0]


def _check_statistic(statistic: str) -> None:
    message = f"DatasetStatistic(statistic=...) is one of {STATISTICS}."
    check(statistic in STATISTICS, message, statistic)


def _examples(data: Any, owner: str) -> np.ndarray:
    array = finite(data, f"{owner}.of(data)")
    check(
        array.ndim > 0 and len(array) > 0,
        f"{owner}.of(data) needs at least one example, [examples, ...].",
        array.shape,
    )
    return array


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
