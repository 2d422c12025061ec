"""The named methods: each one line of composition.

method = tfgig.presets.get("guided_ig")
quick = dataclasses.replace(method, steps=50)
"""

from __future__ import annotations

from tfgig.methods import Gradient, Method, PathIntegral
from tfgig.paths import Anchored, Blur, Guided, Straight
from tfgig.quadratures import Left, Midpoint, Trapezoid
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
