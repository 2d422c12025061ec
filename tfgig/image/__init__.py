"""Images as tensors: Gaussian blur, heat-maps and overlays. Tensor in, tensor out."""

from tfgig.image.blur import gaussian_blur
from tfgig.image.overlay import Overlay

__all__ = ("Overlay", "gaussian_blur")
