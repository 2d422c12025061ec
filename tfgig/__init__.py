"""tfgig: explanations that ship inside the model.

Writes a Keras model out as a SavedModel whose signatures explain its predictions, and offers the
same methods as a Keras layer.

    tfgig.export_saved_model(model, "/models/name", methods=["ig", "guided_ig"])
    explanation = tfgig.Explainer(model, "guided_ig")(images)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfgig import baselines, layers, methods, paths, presets, quadratures, regions, rules, targets
from tfgig.export import Endpoint, export_saved_model
from tfgig.exported.lane import Lane
from tfgig.methods import At, Converge, PathIntegral, Smooth
from tfgig.models import load_model
from tfgig.plots import Explanation, plot

if TYPE_CHECKING:
    from tfgig.layers import Explainer

__version__ = "0.1.0"

__all__ = (
    "At",
    "Converge",
    "Endpoint",
    "Explainer",
    "Explanation",
    "Lane",
    "PathIntegral",
    "Smooth",
    "baselines",
    "export_saved_model",
    "load_model",
    "methods",
    "paths",
    "plot",
    "presets",
    "quadratures",
    "regions",
    "rules",
    "targets",
)


def __getattr__(name: str) -> Any:
    """`Explainer`, a class of Keras's, which programs import no sooner than they need it."""
    if name == "Explainer":
        return layers.Explainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
