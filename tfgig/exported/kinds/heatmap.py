"""Heat-maps: pictures drawn over the image."""

from __future__ import annotations

import dataclasses
from typing import cast

import tensorflow as tf

from tfgig.exported.kinds.base import Answer, EndpointKind, Material
from tfgig.image.axes import as_picture
from tfgig.models.graphs.cut import Cut
from tfgig.models.graphs.places import Place
from tfgig.models.picture import Picture
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
        if source.picture is None:
            return (
                "Heat-maps need images, [B, height, width, 1, 3 or 4], or with the axes of "
                "data_format=... (--data_format); export endpoints of kind "
                '"attributions" instead. '
                f"Received: {source.cut.points.name!r} of shape {source.cut.points.shape}."
            )
        if cut.parts and source.picture.spec not in cut.explained:
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
        # What `obstacle` finds to be there.
        picture = cast(Picture, material.source.picture)
        black, _ = cast(tuple[float, float], material.source.value_range)
        drawn, data_format = picture.drawn(material.cut)
        draw, file = material.draw, tf.TensorSpec([], tf.string)
        original = material.source.model.original

        def draw_over(inputs, attributions):
            if original is None:
                images = tf.cast(picture.of(*inputs), tf.float32)
                return draw(tf.where(tf.math.is_finite(images), images, black), attributions)

            def draw_original(row):
                encoded, values = row
                return draw(original(encoded)[tf.newaxis], values[tf.newaxis])[0]

            return tf.map_fn(draw_original, (*inputs, attributions), fn_output_signature=file)

        def draw_heatmap(target, *inputs):
            explanation = material.explain(target, *inputs)
            files = draw_over(inputs, as_picture(explanation[drawn], data_format))
            return {"heatmap_bytes": files, **{name: explanation[name] for name in self.outputs}}

        return draw_heatmap
