"""Methods: full recipes from a score to attributions."""

from tfgig.methods.adaptive_taylor import AdaptiveTaylor
from tfgig.methods.at import At, place_of
from tfgig.methods.base import Attribution, LayerMethod, Method
from tfgig.methods.converge import Converge
from tfgig.methods.edge import Edge
from tfgig.methods.explain import explain
from tfgig.methods.grad_cam import GradCAM
from tfgig.methods.gradient import Gradient
from tfgig.methods.path_integral import PathIntegral
from tfgig.methods.scales import Scales
from tfgig.methods.smooth import Smooth

__all__ = (
    "AdaptiveTaylor",
    "At",
    "Attribution",
    "Converge",
    "Edge",
    "GradCAM",
    "Gradient",
    "LayerMethod",
    "Method",
    "PathIntegral",
    "Scales",
    "Smooth",
    "explain",
    "place_of",
)
