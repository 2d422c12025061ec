"""Keras layers that explain."""

from tfgig.layers.explainer import Explainer

__all__ = ("Explainer",)
