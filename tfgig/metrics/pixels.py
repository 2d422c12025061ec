"""Metrics of pixels."""

from __future__ import annotations

import dataclasses

from tfgig.image.channels import Channels, check_channels
from tfgig.metrics.base import Metric


@dataclasses.dataclass(frozen=True)
class PixelMetric(Metric):
    """A metric of pixels.

    Args:
        channels: How attributions become one score a pixel: "absolute", the sum of absolute
            values over the channels; "positive", that of the positive ones; or "signed", the sum
            of the values. None takes "absolute" for pixels and "positive" for an inner layer.
    """

    channels: Channels | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_channels(self.channels, "`channels`")
