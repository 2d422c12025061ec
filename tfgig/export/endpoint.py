"""Endpoints: methods bound to a target and published as signatures."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence

import tensorflow as tf

from tfgig import presets
from tfgig.explaining import Explaining
from tfgig.exported.kinds import ATTRIBUTIONS, KINDS
from tfgig.exported.signatures import SERVING_DEFAULT
from tfgig.image import Overlay, Style
from tfgig.methods import Method
from tfgig.models import SourceModel
from tfgig.spec import Named, as_named, check, check_is
from tfgig.targets import ClassScore, Target

RESERVED = ("serve", SERVING_DEFAULT, "signatures", "name")


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One explaining signature.

    Args:
        name: The signature's name, such as "explain_ig".
        method: A `Method`, or the name of a preset.
        target: The output to explain.
        kind: A kind of `tfgig.exported.kinds`: "attributions" returns numbers, for the requested
            target; "tokens" one number for each position of a sequence, the sum over its features;
            "features" one number for each column of a table;
            "heatmap" a PNG drawn over the image, for the top class.
        overlay: The heat-map's style, from `tfgig.image`.
        layer: Where to explain the model: the name of a layer or an input, or several; None for the
            place chosen when the model was loaded.
    """

    name: str
    method: Method | str
    target: Target = ClassScore()
    kind: str = ATTRIBUTIONS
    overlay: Style = Overlay()
    layer: Named = None

    def __post_init__(self) -> None:
        if isinstance(self.method, str):
            object.__setattr__(self, "method", presets.get(self.method))
        check_is(self.method, Method, "method")
        check_is(self.target, Target, "target")
        check_is(self.overlay, Style, "overlay")
        object.__setattr__(self, "layer", as_named(self.layer, "Endpoint(layer=...)"))
        check(self.kind in KINDS, f"Endpoint(kind=...) must be one of {tuple(KINDS)}.", self.kind)
        check(
            self.name.isidentifier() and not self.name.startswith("_"),
            "A signature's name may contain only letters, digits and _.",
            self.name,
        )
        # Signatures become attributes of the saved object as well, where some names are taken.
        taken = self.name in RESERVED or hasattr(tf.Module, self.name)
        check(not taken, "This signature name is reserved by SavedModel.", self.name)


Methods = Sequence[str | Endpoint] | Mapping[str, Method | str]


def default_methods(source: SourceModel, target: Target = ClassScore()) -> tuple[str, ...]:
    """The methods of an export that names none: `ig`, `guided_ig` and, of images, `block_ig`.

    A map at a block of the model finds the object better than those of pixels, for less
    (docs/choosing.md); it needs a layer with positions that all of the score comes through.
    """
    places = source.view.survey(target.output_name).places
    has_place = any(place.positions > 1 and place.layout is not None for place in places)
    block = source.takes_images and source.view.at_inputs and has_place
    return ("ig", "guided_ig", "block_ig") if block else ("ig", "guided_ig")


def endpoints_of(
    source: SourceModel, methods: Methods, target: Target, explaining: Explaining
) -> list[Endpoint]:
    """The endpoints that `methods` stand for, complete and consistent.

    A name (of a preset, or one given to a method in a mapping) stands for one endpoint of each kind
    that applies to the model where the method explains it, each with its prefix:
    `explain_<name>`; over images, `heatmap_<name>`; for sequences, such as words at an embedding,
    `tokens_<name>`.

    A kind that applies and for which the model lacks something, such as the value range of an
    image, is left out with a warning.

    Raises:
        ValueError: nothing to export, or a name twice.
    """
    check(not isinstance(methods, str), "`methods` must be a list of names.", methods)
    named = methods if isinstance(methods, Mapping) else {}
    endpoints: list[Endpoint] = []
    left_out: dict[str, str] = {}
    for name in methods:
        if isinstance(name, Endpoint):
            endpoints.append(name)
            continue
        method = named.get(name, name)
        method = presets.get(method) if isinstance(method, str) else method
        check_is(method, Method, "method")
        place = explaining.place(method, target)
        for kind in (kind for kind in KINDS.values() if kind.applies(source, place)):
            obstacle = kind.obstacle(source, explaining.explained(method, target))
            if obstacle is None:
                endpoints.append(Endpoint(kind.prefix + name, method, target, kind=kind.kind))
            else:
                left_out[kind.prefix] = obstacle
    for prefix, obstacle in left_out.items():
        warnings.warn(f"{prefix}* signatures are left out. {obstacle}", stacklevel=3)
    check(len(endpoints) > 0, "Name at least one method to export.", methods)
    names = [endpoint.name for endpoint in endpoints]
    check(len(set(names)) == len(names), "Every endpoint needs a unique name.", names)
    return endpoints
