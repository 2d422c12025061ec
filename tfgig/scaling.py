"""Explanations at several places of a model as one: its map, and what each place says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

import tensorflow as tf

from tfgig.image.channels import OF_LAYERS, one_number
from tfgig.image.layout import Layout
from tfgig.methods.explain import Explanation, keep
from tfgig.methods.scales import combined, largest
from tfgig.models.graphs.places import Place


def _of_place(name: str, place: Place) -> str:
    """What an output is called that is of one of several places."""
    return f"{name}_" + re.sub(r"\W", "_", place.name)


def outputs_of(place: Place) -> dict[str, tuple[int | None, ...]]:
    """What is answered of one of several places: the outputs' names and one example's shape."""
    shapes = {"attributions": place.shape, "baseline_score": (), "delta": ()}
    return {_of_place(name, place): shape for name, shape in shapes.items()}


def at_scales(
    found: Mapping[Place, Explanation], shape: tf.Tensor, static: tf.TensorShape
) -> Explanation:
    """Explanations at several places as one: see `Scales`.

    Args:
        found: The explanation at each place.
        shape: Of the images, [4], for all of whose channels the map is one.
        static: The same, as far as it is known.
    """
    ok = tf.reduce_all(tf.stack([explanation["ok"] for explanation in found.values()]), 0)

    def kept(values):
        return keep(ok, values)

    maps = [
        cast(Layout, place.layout).laid_over(
            one_number(explanation["attributions"], OF_LAYERS), shape[1:3]
        )
        for place, explanation in found.items()
    ]
    over = tf.ensure_shape(tf.broadcast_to(kept(combined(maps)), shape), static)
    parts = {
        name: [kept(explanation[name]) for explanation in found.values()]
        for name in ("attributions", "baseline_score", "delta", "error")
    }
    first = next(iter(found.values()))
    return {
        "attributions": over,
        "target": tf.where(ok, first["target"], -tf.ones_like(first["target"])),
        "score": kept(first["score"]),
        "baseline_score": tf.add_n(parts["baseline_score"]) / len(found),
        "delta": largest(parts["delta"]),
        "error": largest(parts["error"]),
        "ok": ok,
        **{
            _of_place(name, place): parts[name][index]
            for index, place in enumerate(found)
            for name in ("attributions", "baseline_score", "delta")
        },
    }
