"""Paths: the curves from a baseline to the input along which gradients are integrated."""

from tfgig.paths.anchored import Anchored
from tfgig.paths.base import AdaptivePath, Ends, FixedPath, Path, Step
from tfgig.paths.blur import Blur
from tfgig.paths.guided import Guided
from tfgig.paths.straight import Straight

__all__ = (
    "AdaptivePath",
    "Anchored",
    "Blur",
    "Ends",
    "FixedPath",
    "Guided",
    "Path",
    "Step",
    "Straight",
)
