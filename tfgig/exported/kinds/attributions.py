"""Attributions: the numbers themselves."""

from __future__ import annotations

import dataclasses

from tfgig.exported.kinds.base import Answer, EndpointKind, Material
from tfgig.models.graphs.places import Place
from tfgig.models.source import SourceModel


@dataclasses.dataclass(frozen=True)
class Attributions(EndpointKind):
    """`attributions` float32 [B, ...], signed, in the shape of the explained tensor."""

    kind = "attributions"
    prefix = "explain_"
    answer = "attributions"

    def applies(self, source: SourceModel, place: Place | None) -> bool:
        return True

    def build(self, material: Material) -> Answer:
        return material.explain
