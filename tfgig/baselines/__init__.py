"""Baselines: where a path starts, the input without evidence."""

from tfgig.baselines.base import Baseline
from tfgig.baselines.constant import Constant, Several, black, black_and_white, white
from tfgig.baselines.data import DatasetSample, DatasetStatistic
from tfgig.baselines.inputs import Blurred, MaximumDistance
from tfgig.baselines.random import Gaussian, Uniform
from tfgig.baselines.searched import MaximumEntropy, NearestBoundary

__all__ = (
    "Baseline",
    "Blurred",
    "Constant",
    "DatasetSample",
    "DatasetStatistic",
    "Gaussian",
    "MaximumDistance",
    "MaximumEntropy",
    "NearestBoundary",
    "Several",
    "Uniform",
    "black",
    "black_and_white",
    "white",
)
