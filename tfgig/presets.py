"""The named methods: each one line of composition.

method = tfgig.presets.get("guided_ig")
quick = dataclasses.replace(method, steps=50)
"""

from __future__ import annotations

from tfgig.baselines import Constant, Gaussian, NearestBoundary
from tfgig.methods import AdaptiveTaylor, Edge, Gradient, Method, PathIntegral, Smooth
from tfgig.paths import Anchored, Blur, Guided, Straight
from tfgig.quadratures import Left, Midpoint, Right, Trapezoid
from tfgig.rules import ImportantDirection, Riemann
from tfgig.spec import nearest

_PRESETS: dict[str, Method] = {
    "gradient": Gradient(),
    "ig": PathIntegral(Straight(), Riemann(), Midpoint(), steps=50),
    "guided_ig": PathIntegral(Guided(), Riemann(), Trapezoid(), steps=200),
    "guided_ig_reference": PathIntegral(Guided(), Riemann(), Left(), steps=200),
    "guided_ig_anchored": PathIntegral(Anchored(), Riemann(), Trapezoid(), steps=200),
    "blur_ig": PathIntegral(Blur(), Riemann(), Midpoint(), steps=100),
    "ig_idgi": PathIntegral(Straight(), ImportantDirection(), Left(), steps=128),
    "guided_ig_idgi": PathIntegral(Guided(), ImportantDirection(), Left(), steps=200),
    "blur_ig_idgi": PathIntegral(Blur(), ImportantDirection(), Left(), steps=128),
    "boundary_ig": PathIntegral(Straight(NearestBoundary()), Riemann(), Midpoint(), steps=50),
    "gradient_x_input": PathIntegral(Straight(Constant(0.0)), Riemann(), Right(), steps=1),
    "smooth_grad": Smooth(Gradient(), samples=25, spread=0.15),
    "smooth_ig": Smooth(PathIntegral(steps=20), samples=10, spread=0.15),
    "smooth_taylor": PathIntegral(Straight(Gaussian(0.1, samples=100)), Riemann(), Left(), steps=1),
    "smooth_taylor_adaptive": AdaptiveTaylor(),
    "edge": Edge(),
}


def names() -> tuple[str, ...]:
    """The names of all presets."""
    return tuple(_PRESETS)


def get(name: str) -> Method:
    """The preset of that name.

    Raises:
        ValueError: there is none; the error names the nearest.
    """
    if name not in _PRESETS:
        raise ValueError(f"No preset of the name {name!r}. {nearest(name, _PRESETS)}")
    return _PRESETS[name]
