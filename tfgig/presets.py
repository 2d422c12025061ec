"""The named methods: each one line of composition.

method = tfgig.presets.get("guided_ig")
quick = dataclasses.replace(method, steps=50)
"""

from __future__ import annotations

from tfgig.baselines import Constant, Gaussian, NearestBoundary
from tfgig.methods import (
    AdaptiveTaylor,
    At,
    Converge,
    Edge,
    GradCAM,
    Gradient,
    Method,
    PathIntegral,
    Scales,
    Smooth,
)
from tfgig.paths import Adversarial, Anchored, Blur, Greedy, Guided, Spectral, Straight
from tfgig.quadratures import Left, Midpoint, Right, Trapezoid
from tfgig.rules import ImportantDirection, Riemann
from tfgig.spec import nearest

__all__ = ("get", "names", "title")

_PRESETS: dict[str, tuple[str, Method]] = {
    "gradient": ("gradient", Gradient()),
    "ig": ("Integrated Gradients", PathIntegral(Straight(), Riemann(), Midpoint(), steps=50)),
    "ig_converged": (
        "Integrated Gradients in as many steps as each row needs",
        Converge(PathIntegral(Straight(), Riemann(), Midpoint(), steps=12), tolerance=0.1),
    ),
    "guided_ig": (
        "Guided IG",
        PathIntegral(Guided(steps_per_choice=2), Riemann(), Trapezoid(), steps=200),
    ),
    "guided_ig_reference": (
        "Guided IG as its authors' code sums it",
        PathIntegral(Guided(), Riemann(), Left(), steps=200),
    ),
    "guided_ig_anchored": (
        "Guided IG with 20 anchors",
        PathIntegral(
            Anchored(Guided(fraction=0.1, max_distance=1.0, steps_per_choice=2)),
            Riemann(),
            Trapezoid(),
            steps=200,
        ),
    ),
    "blur_ig": ("Blur IG", PathIntegral(Blur(), Riemann(), Midpoint(), steps=64)),
    "blur_ig_converged": (
        "Blur IG in as many steps as each row needs",
        Converge(PathIntegral(Blur(), Riemann(), Midpoint(), steps=12), tolerance=0.1),
    ),
    "blur_ig_reference": (
        "Blur IG as its authors' code spaces and sums it",
        PathIntegral(
            Blur(spacing="linear", padding="zero", grad_step=0.01), Riemann(), Right(), steps=100
        ),
    ),
    "ig_idgi": (
        "IDGI on Integrated Gradients",
        PathIntegral(Straight(), ImportantDirection(), Left(), steps=128),
    ),
    "guided_ig_idgi": (
        "IDGI on Guided IG",
        PathIntegral(Guided(), ImportantDirection(), Left(), steps=200),
    ),
    "blur_ig_idgi": (
        "IDGI on Blur IG",
        PathIntegral(Blur(), ImportantDirection(), Left(), steps=128),
    ),
    "spectral_ig": (
        "Spectral IG",
        PathIntegral(Spectral(), Riemann(), Midpoint(), steps=64),
    ),
    "greedy_ig": (
        "salient manipulation path (SAMP)",
        PathIntegral(Greedy(), Riemann(), Trapezoid(), steps=100),
    ),
    "adversarial_ig": (
        "Adversarial Gradient Integration (AGI)",
        PathIntegral(Adversarial(), Riemann(), Left(), steps=15),
    ),
    "boundary_ig": (
        "boundary attributions: Integrated Gradients from the nearest decision boundary",
        PathIntegral(Straight(NearestBoundary()), Riemann(), Midpoint(), steps=50),
    ),
    "gradient_x_input": (
        "gradient x input",
        PathIntegral(Straight(Constant(0.0)), Riemann(), Right(), steps=1),
    ),
    "smooth_grad": ("SmoothGrad", Smooth(Gradient(), samples=25, spread=0.15)),
    "smooth_ig": (
        "SmoothGrad on Integrated Gradients",
        Smooth(PathIntegral(steps=20), samples=10, spread=0.15),
    ),
    "smooth_taylor": (
        "SmoothTaylor",
        PathIntegral(Straight(Gaussian(0.1, samples=100)), Riemann(), Left(), steps=1),
    ),
    "smooth_taylor_adaptive": ("SmoothTaylor with adaptive noise", AdaptiveTaylor()),
    "block_ig": (
        "Integrated Gradients at a block of the model",
        At(None, PathIntegral(Straight(), Riemann(), Midpoint(), steps=128)),
    ),
    "block_ig_idgi": (
        "IDGI at a block of the model",
        At(None, PathIntegral(Straight(), ImportantDirection(), Left(), steps=100)),
    ),
    "multiscale_ig": (
        "Integrated Gradients at three places of the model, in one map",
        Scales(PathIntegral(Straight(), Riemann(), Midpoint(), steps=50)),
    ),
    "grad_cam": ("Grad-CAM", At(None, GradCAM())),
    "edge": ("edge detector", Edge()),
}


def names() -> tuple[str, ...]:
    """The names of all presets."""
    return tuple(_PRESETS)


def get(name: str) -> Method:
    """The preset with this name.

    Raises:
        ValueError: the name is unknown; the error suggests the nearest.
    """
    if name not in _PRESETS:
        raise ValueError(f"Unknown preset {name!r}. {nearest(name, _PRESETS)}")
    return _PRESETS[name][1]


def title(name: str) -> str:
    """What the literature calls the preset of that name."""
    get(name)  # with its error
    return _PRESETS[name][0]
