"""Export: SavedModels whose signatures explain."""

from tfgig.export.endpoint import Endpoint
from tfgig.export.saved_model import export_saved_model

__all__ = ("Endpoint", "export_saved_model")
