"""Heat-maps: pictures drawn over the image."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import cast

import tensorflow as tf

from tfgig.exported.kinds.base import Answer, EndpointKind, Material
from tfgig.image.axes import as_picture
from tfgig.models.graphs.cut import Cut
from tfgig.models.graphs.places import Place
from tfgig.models.source import SourceModel


@dataclasses.dataclass(frozen=True)
class Heatmap(EndpointKind):
    """`heatmap_bytes` string [B], PNG files drawn over the image, for the top class."""

    kind = "heatmap"
    prefix = "heatmap_"
    answer = "heatmap_bytes"
    outputs = ("target", "score", "delta", "error", "ok")
    takes_target = False
    draws = True

    def applies(self, source: SourceModel, place: Place | None) -> bool:
        lies_over = place is None or place.layout is not None or len(place.shape) == 3
        return source.takes_images and lies_over

    def obstacle(self, source: SourceModel, cut: Cut) -> str | None:
        if not source.takes_images:
            return (
                "Heat-maps need images, [B, height, width, 1, 3 or 4], or with the axes of "
                "data_format=... (--data_format); export endpoints of kind "
                '"attributions" instead. '
                f"Received: {source.points.name!r} of shape {source.points.shape}."
            )
        if cut.parts and source.picture_spec not in cut.explained:
            return (
                "Heat-maps need an image among the explained inputs. Received: "
                f"{', '.join(spec.name for spec in cut.explained)}."
            )
        if source.value_range is None:
            return (
                "Heat-maps need the value range of the image, and this model does not reveal it. "
                "Give the range: tfgig.load_model(model, value_range=(0, 255)), or (0, 1), or (-1, "
                f"1); --value_range=0,255 for programs. Received: {source.name!r}."
            )
        return None

    def build(self, material: Material) -> Answer:
        source = material.source
        drawn, data_format = source.drawn(material.cut)
        black, _ = cast(tuple[float, float], source.value_range)
        draw, file = material.draw, tf.TensorSpec([], tf.string)

        def draw_original(row):
            encoded, attributions = row
            image = cast(Callable, source.originals)(encoded)
            return draw(image[tf.newaxis], attributions[tf.newaxis])[0]

        def draw_heatmap(target, *inputs):
            explanation = material.explain(target, *inputs)
            attributions = as_picture(explanation[drawn], data_format)
            if source.originals is None:
                images = tf.cast(source.picture(*inputs), tf.float32)
                images = tf.where(tf.math.is_finite(images), images, black)
                files = draw(images, attributions)
            else:
                files = tf.map_fn(draw_original, (*inputs, attributions), fn_output_signature=file)
            return {"heatmap_bytes": files, **{name: explanation[name] for name in self.outputs}}

        return draw_heatmap
