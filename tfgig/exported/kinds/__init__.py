"""The kinds of endpoints: a module for each, registered here.

A registered kind is exported wherever it applies, checked, and available to the client, the server
and the programs.
"""

from __future__ import annotations

from collections.abc import Mapping

from tfgig.exported.kinds.attributions import Attributions
from tfgig.exported.kinds.base import Answer, EndpointKind, Material
from tfgig.exported.kinds.features import Features
from tfgig.exported.kinds.heatmap import Heatmap
from tfgig.exported.kinds.tokens import Tokens
from tfgig.spec import nearest

KINDS: Mapping[str, EndpointKind] = {
    kind.kind: kind for kind in (Attributions(), Features(), Heatmap(), Tokens())
}
ATTRIBUTIONS = Attributions.kind

__all__ = (
    "ATTRIBUTIONS",
    "KINDS",
    "Answer",
    "Attributions",
    "EndpointKind",
    "Features",
    "Heatmap",
    "Material",
    "Tokens",
    "get",
)


def get(name: str) -> EndpointKind:
    """The kind with this name.

    Raises:
        ValueError: the name is unknown; the error suggests the nearest.
    """
    if name not in KINDS:
        raise ValueError(f"Unknown kind of endpoint {name!r}. {nearest(name, KINDS)}")
    return KINDS[name]
