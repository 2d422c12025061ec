"""Methods: full recipes from a score to attributions."""

from tfgig.methods.base import Attribution, Method
from tfgig.methods.explain import explain
from tfgig.methods.gradient import Gradient
from tfgig.methods.path_integral import PathIntegral

__all__ = ("Attribution", "Gradient", "Method", "PathIntegral", "explain")
