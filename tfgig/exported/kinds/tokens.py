"""Tokens: one number for each position of a sequence."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfgig.exported.kinds.base import Answer, EndpointKind, Material
from tfgig.models.graphs.cut import Cut
from tfgig.models.graphs.places import Place
from tfgig.models.source import SourceModel


@dataclasses.dataclass(frozen=True)
class Tokens(EndpointKind):
    """`tokens` float32 [B, positions], the sums of the attributions over the features.

    Also `token_text` string [B, positions], if the model looks strings up in its graph.
    """

    kind = "tokens"
    prefix = "tokens_"
    answer = "tokens"

    def applies(self, source: SourceModel, place: Place | None) -> bool:
        if place is None:
            return source.cut.points.shape.rank == 3 and not source.view.at_inputs
        return len(place.shape) == 2 and place.layout is None

    def obstacle(self, source: SourceModel, cut: Cut) -> str | None:
        if not cut.parts and cut.points.shape.rank == 3:
            return None
        return (
            "Tokens are the positions of one sequence, [B, positions, features]; explain the "
            'model at its embedding, with layer="...". '
            f"Received: {cut.points.name!r} of shape {cut.points.shape}."
        )

    def build(self, material: Material) -> Answer:
        def explain_tokens(target, *inputs):
            explanation = material.explain(target, *inputs)
            return {"tokens": tf.reduce_sum(explanation.pop("attributions"), -1), **explanation}

        return explain_tokens
