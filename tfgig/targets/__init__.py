"""Targets: which of a model's outputs is explained, as one score per example."""

from tfgig.targets.base import TOP_CLASS, ModelOutputs, Resolved, Target, counts_classes
from tfgig.targets.classes import ClassScore, Contrast, Evenness, Margin
from tfgig.targets.custom import CustomScore
from tfgig.targets.regions import RegionScore
from tfgig.targets.values import OutputValue, Threshold

__all__ = (
    "TOP_CLASS",
    "ClassScore",
    "Contrast",
    "CustomScore",
    "Evenness",
    "Margin",
    "ModelOutputs",
    "OutputValue",
    "RegionScore",
    "Resolved",
    "Target",
    "Threshold",
    "counts_classes",
)
