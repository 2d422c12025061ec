"""Images as tensors: Gaussian blur, and pictures of explanations. Tensor in, tensor out."""

from tfgig.image.blur import gaussian_blur
from tfgig.image.overlay import Overlay
from tfgig.image.style import Style
from tfgig.image.styles import Diverging, Grayscale, Mask

__all__ = ("Diverging", "Grayscale", "Mask", "Overlay", "Style", "gaussian_blur")
