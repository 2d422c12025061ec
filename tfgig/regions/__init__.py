"""Regions: attributions aggregated over the segments of an image, outside the graph."""

from tfgig.regions.regional import Regional
from tfgig.regions.segments import Felzenszwalb, Segmentation
from tfgig.regions.xrai import XRAI, Regions

__all__ = ("XRAI", "Felzenszwalb", "Regional", "Regions", "Segmentation")
