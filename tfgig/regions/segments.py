"""Segments: the pieces of an image that are ranked as wholes."""

from __future__ import annotations

import abc
import dataclasses
import math

import numpy as np

from tfgig.spec import Spec, check, is_whole


@dataclasses.dataclass(frozen=True)
class Segmentation(Spec, abc.ABC):
    """A family of ways to cut an image into overlapping segments."""

    family = "segmentation"

    @abc.abstractmethod
    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The masks, bool [S, height, width], of an image [height, width, channels]."""


@dataclasses.dataclass(frozen=True)
class Felzenszwalb(Segmentation):
    """Graph-based segments at several scales, slightly dilated.

    The image is first scaled to [-1, 1] and resized to `size`, so that the parameters have the same
    meaning for all images; labels are resized to the image's size.

    Args:
        scales: Larger values give larger segments; each scale segments the whole image again.
        sigma: The width of the Gaussian that smooths the image first, in pixels of `size`.
        min_size: The minimum number of pixels of a segment, at `size`.
        size: Height and width at which the image is segmented.
        dilation: The number of image pixels by which each segment grows, because evidence is often
            at its border.

    References:
        Felzenszwalb and Huttenlocher (2004), Efficient Graph-Based Image Segmentation,
        International Journal of Computer Vision 59; with the parameters of Kapishnikov et al.
        (2019), XRAI, arXiv:1906.02825.
    """

    kind = "felzenszwalb"
    scales: tuple[float, ...] = (50.0, 100.0, 150.0, 250.0, 500.0, 1200.0)
    sigma: float = 0.8
    min_size: int = 150
    size: int = 224
    dilation: int = 5

    def __post_init__(self) -> None:
        try:
            scales = tuple(map(float, self.scales))
        except (TypeError, ValueError):
            scales = ()
        check(
            len(scales) > 0 and all(0 < scale < math.inf for scale in scales),
            "Felzenszwalb(scales=...) must be a list of numbers above 0.",
            self.scales,
        )
        object.__setattr__(self, "scales", scales)
        check(self.sigma >= 0, "Felzenszwalb(sigma=...) must be at least 0.", self.sigma)
        for name, least in (("min_size", 1), ("size", 1), ("dilation", 0)):
            value = getattr(self, name)
            message = f"Felzenszwalb({name}=...) must be a whole number of at least {least}."
            check(is_whole(value) and value >= least, message, value)

    def __call__(self, image):
        from skimage import morphology, segmentation, transform

        image = np.asarray(image, np.float64)
        low, high = image.min(), image.max()
        image = 2 * (image - low) / (high - low) - 1 if high > low else np.zeros_like(image)
        resized = transform.resize(
            image, (self.size, self.size), order=3, mode="constant", anti_aliasing=True
        )
        masks = []
        for scale in self.scales:
            labels = segmentation.felzenszwalb(
                resized, scale, self.sigma, self.min_size, channel_axis=-1
            )
            labels = transform.resize(
                labels,
                image.shape[:2],
                order=0,
                mode="constant",
                preserve_range=True,
                anti_aliasing=False,
            ).astype(np.int64)
            masks += [labels == label for label in np.unique(labels)]
        disk = morphology.disk(self.dilation)
        return np.stack([morphology.dilation(mask, disk) for mask in masks]).astype(bool)
