"""Metrics: whether an explanation points where the evidence is."""

from tfgig.metrics.localization import pixel_saliency, roc_auc

__all__ = ("pixel_saliency", "roc_auc")
