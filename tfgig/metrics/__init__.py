"""Metrics: whether an explanation can be trusted."""

from tfgig.metrics.base import Column, Curve, Example, Metric, Requirement, Statistic, merge
from tfgig.metrics.closed_path import ClosedPath
from tfgig.metrics.completeness import Completeness
from tfgig.metrics.diff_id import DiffID
from tfgig.metrics.infidelity import Infidelity
from tfgig.metrics.information_curves import InformationCurve, SimilarityCurve
from tfgig.metrics.insertion_deletion import Deletion, Insertion
from tfgig.metrics.integration_error import IntegrationError
from tfgig.metrics.localization import Localization, boxes_to_mask, roc_auc
from tfgig.metrics.saliency import pixel_saliency
from tfgig.metrics.sensitivity import MaxSensitivity
from tfgig.metrics.similarity import ClassSensitivity, ModelRandomization
from tfgig.metrics.smoothed import Smoothed
from tfgig.metrics.stability import Stability
from tfgig.metrics.subject import Subject

__all__ = (
    "ClassSensitivity",
    "ClosedPath",
    "Column",
    "Completeness",
    "Curve",
    "Deletion",
    "DiffID",
    "Example",
    "Infidelity",
    "InformationCurve",
    "Insertion",
    "IntegrationError",
    "Localization",
    "MaxSensitivity",
    "Metric",
    "ModelRandomization",
    "Requirement",
    "SimilarityCurve",
    "Smoothed",
    "Stability",
    "Statistic",
    "Subject",
    "boxes_to_mask",
    "merge",
    "pixel_saliency",
    "roc_auc",
)
