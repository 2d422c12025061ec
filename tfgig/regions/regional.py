"""A method and the regions over which its attributions are gathered, as one explanation."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from tfgig.methods import Method
from tfgig.regions.segments import Segmentation
from tfgig.regions.xrai import XRAI
from tfgig.spec import Spec, check_is

_IMAGES_KEPT = 8  # segments of as many images: methods are compared on the same ones


@dataclasses.dataclass(frozen=True)
class Regional(Spec):
    """A method whose attributions are aggregated over regions, such as "XRAI + IG".

    Its maps rank pixels, region by region; their values are not shares of a score. It runs outside
    the graph, so it can be evaluated but not exported.

    Args:
        method: The pixel method.
        regions: How to aggregate pixels into regions.

    References:
        Kapishnikov et al. (2019), XRAI: Better Attributions Through Regions, arXiv:1906.02825;
        on Guided IG: Kapishnikov et al. (2021), arXiv:2106.09788, tables 2 to 4.
    """

    family = "regions"
    kind = "regional"
    method: Method
    regions: XRAI = XRAI()

    def __post_init__(self) -> None:
        check_is(self.method, Method, "method")
        check_is(self.regions, XRAI, "regions")

    @property
    def complete(self) -> bool:
        """Always false: the means over regions do not sum to a score."""
        return False

    def gather(self, attributions: np.ndarray, images: np.ndarray) -> np.ndarray:
        """The strengths of regions above the weakest, float32 [B, height, width, 1].

        Args:
            attributions: Of the method, [B, height, width, channels], finite.
            images: [B, height, width, channels], in any units.
        """
        maps = []
        for row, image in zip(attributions, images, strict=True):
            cut = _segments(self.regions.segmentation, image.tobytes(), image.shape, image.dtype)
            segments = np.unpackbits(cut, axis=-1, count=image.shape[1])
            strength = self.regions.rank(row, segments).strength
            maps.append(strength - strength.min())
        return np.array(maps, np.float32).reshape(*images.shape[:-1], 1)


@functools.lru_cache(_IMAGES_KEPT)
def _segments(segmentation: Segmentation, data: bytes, shape, dtype) -> np.ndarray:
    """The masks of an image, eight pixels of a line to a byte: there are hundreds of them."""
    return np.packbits(segmentation(np.frombuffer(data, dtype).reshape(shape)), axis=-1)
