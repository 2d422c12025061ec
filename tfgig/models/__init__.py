"""Models: any supported model, as one differentiable, exportable object."""

from tfgig.models.decoding import taking_encoded_images
from tfgig.models.source import SourceModel
from tfgig.models.sources.load import load_model

__all__ = ("SourceModel", "load_model", "taking_encoded_images")
