"""Paths: the curves from a baseline to the input along which gradients are integrated."""

from tfgig.paths.adversarial import Adversarial
from tfgig.paths.anchored import Anchored
from tfgig.paths.base import AdaptivePath, Ends, FixedPath, Path, Step
from tfgig.paths.blur import Blur
from tfgig.paths.counterfactual import Counterfactual
from tfgig.paths.greedy import Greedy
from tfgig.paths.guided import Guided
from tfgig.paths.spectral import Spectral
from tfgig.paths.straight import Straight

__all__ = (
    "AdaptivePath",
    "Adversarial",
    "Anchored",
    "Blur",
    "Counterfactual",
    "Ends",
    "FixedPath",
    "Greedy",
    "Guided",
    "Path",
    "Spectral",
    "Step",
    "Straight",
)
