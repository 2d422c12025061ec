"""Features: one number for each column of a table."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfgig.exported.kinds.base import Answer, EndpointKind, Material
from tfgig.models.graphs.cut import Column, Cut
from tfgig.models.graphs.places import Place
from tfgig.models.source import SourceModel


@dataclasses.dataclass(frozen=True)
class Features(EndpointKind):
    """`features` float32 [B, columns]: a category's is the sum over its embedding's width.

    The description of the export lists the names of the columns in order. If a column is used in
    several ways, such as an embedding and a one-hot tensor, the attributions are summed.
    """

    kind = "features"
    prefix = "features_"
    answer = "features"

    def applies(self, source: SourceModel, place: Place | None) -> bool:
        columns, specs = source.cut.columns, source.cut.explained
        table = all(column.by != "whole" for column in columns) and all(
            (spec.shape.rank or 9) <= (3 if column.by == "width" else 2)
            for column, spec in zip(columns, specs, strict=False)
        )
        # Of numbers alone they are the attributions.
        differs = len(columns) > 1 or any(column.by == "width" for column in columns)
        return place is None and table and differs

    def obstacle(self, source: SourceModel, cut: Cut) -> str | None:
        if all(None not in spec.shape[1:] for spec in cut.explained):
            return None
        return (
            "Features are the columns of a table of fixed size; export endpoints of kind "
            f'"attributions" instead. Received: {cut.points.name!r} of shape {cut.points.shape}.'
        )

    def columns(self, cut: Cut) -> tuple[str, ...]:
        return tuple(name for column in _unique(cut) for name in column.names)

    def build(self, material: Material) -> Answer:
        cut = material.cut

        def explain_features(target, *inputs):
            explanation = material.explain(target, *inputs)
            found: dict[Column, tf.Tensor] = {}
            for name, column in zip(cut.attribution_names, cut.table, strict=True):
                values = column.of(explanation.pop(name))
                key = column._replace(by="each")
                found[key] = values if key not in found else found[key] + values
            return {"features": tf.concat(list(found.values()), 1), **explanation}

        return explain_features


def _unique(cut: Cut) -> list[Column]:
    return list(dict.fromkeys(column._replace(by="each") for column in cut.table))
