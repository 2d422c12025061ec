"""Export: SavedModels whose signatures explain."""

from tfgig.export.endpoint import Endpoint
from tfgig.export.saved_model import export_saved_model
from tfgig.export.warmup import write_warmup

__all__ = ("Endpoint", "export_saved_model", "write_warmup")
