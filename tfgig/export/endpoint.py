"""Endpoints: methods bound to a target and published as signatures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import tensorflow as tf

from tfgig import presets
from tfgig.image import Overlay, Style
from tfgig.methods import Method
from tfgig.models import SourceModel
from tfgig.spec import check, check_is, to_config
from tfgig.targets import ClassScore, Target

KINDS = ("attributions", "heatmap", "tokens")
RESERVED = ("serve", "serving_default", "signatures", "name")


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One signature that explains.

    Args:
        name: The signature's name, such as "explain_ig".
        method: A `Method`, or the name of a preset.
        target: Which output is explained.
        kind: "attributions" returns numbers, for the requested target; "tokens" one number for
            each position of a sequence, the sum over its features; "heatmap" a PNG drawn over the
            image, for the top class.
        overlay: How a heat-map is drawn, as a style of `tfgig.image`.
        layer: Where the model is explained: the name of a layer or an input; None for where the
            model was loaded to be explained.
    """

    name: str
    method: Method | str
    target: Target = ClassScore()
    kind: Literal["attributions", "heatmap", "tokens"] = "attributions"
    overlay: Style = Overlay()
    layer: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.method, str):
            object.__setattr__(self, "method", presets.get(self.method))
        check_is(self.method, Method, "method")
        check_is(self.target, Target, "target")
        check_is(self.overlay, Style, "overlay")
        check(
            self.layer is None or (isinstance(self.layer, str) and bool(self.layer)),
            "Endpoint(layer=...) is the name of a layer.",
            self.layer,
        )
        check(self.kind in KINDS, f"Endpoint(kind=...) is one of {KINDS}.", self.kind)
        check(
            self.name.isidentifier() and not self.name.startswith("_"),
            "A signature's name is a word of letters, digits and _.",
            self.name,
        )
        # Signatures become attributes of the saved object as well, where some names are taken.
        taken = self.name in RESERVED or hasattr(tf.Module, self.name)
        check(not taken, "This signature's name is taken by the SavedModel itself.", self.name)

    def config(self) -> dict[str, Any]:
        """Plain JSON data: what ships in `assets.extra/`."""
        return {
            "kind": self.kind,
            "method": to_config(self.method),
            # Whether `delta` measures an error; see `Method.complete`.
            "complete": cast(Method, self.method).complete,
            "target": to_config(self.target),
            "layer": self.layer,
            **({"overlay": to_config(self.overlay)} if self.kind == "heatmap" else {}),
        }


Methods = Sequence[str | Endpoint] | Mapping[str, Method | str]


def endpoints_of(source: SourceModel, methods: Methods, target: Target) -> list[Endpoint]:
    """The endpoints that `methods` stand for, complete and consistent.

    A name (of a preset, or one given to a method in a mapping) stands for `explain_<name>` and,
    for models of images, `heatmap_<name>`; for sequences, such as words at an embedding,
    `tokens_<name>`.

    Raises:
        ValueError: nothing to export, a name twice, or heat-maps of a model whose input is not
            an image or does not say its value range.
    """
    check(not isinstance(methods, str), "`methods` is a list of names.", methods)
    named = methods if isinstance(methods, Mapping) else {}
    endpoints: list[Endpoint] = []
    for name in methods:
        if isinstance(name, Endpoint):
            endpoints.append(name)
            continue
        method = named.get(name, name)
        endpoints.append(Endpoint(f"explain_{name}", method, target))
        if source.takes_images:
            endpoints.append(Endpoint(f"heatmap_{name}", method, target, kind="heatmap"))
        elif source.points.shape.rank == 3 and not source.at_inputs:
            endpoints.append(Endpoint(f"tokens_{name}", method, target, kind="tokens"))
    check(len(endpoints) > 0, "Name at least one method to export.", methods)
    names = [endpoint.name for endpoint in endpoints]
    check(len(set(names)) == len(names), "Every endpoint needs a name of its own.", names)
    if any(endpoint.kind == "heatmap" for endpoint in endpoints):
        _check_images(source)
    return endpoints


def _check_images(source: SourceModel) -> None:
    check(
        source.takes_images,
        "Heat-maps are drawn over images, [B, height, width, 1, 3 or 4]; export Endpoints of the "
        'kind "attributions" instead.',
        f"{source.points.name!r} of shape {source.points.shape}",
    )
    if source.value_range is None:
        raise ValueError(
            "Heat-maps are drawn over the images, and this model does not say what is black and "
            "what is white in its input. Give the range: tfgig.load_model(model, "
            "value_range=(0, 255)), or (0, 1), or (-1, 1); or export Endpoints of the kind "
            f'"attributions" only. Received: {source.name!r} without a Rescaling of its input.'
        )
