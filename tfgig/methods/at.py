"""Where a method looks: at a place of the model, in the place of its inputs."""

from __future__ import annotations

import dataclasses

from tfgig.methods.base import LayerMethod, Method
from tfgig.methods.path_integral import PathIntegral
from tfgig.spec import Named, as_named, check, check_is, is_whole, leaves


@dataclasses.dataclass(frozen=True)
class At(Method):
    """A method at a place of the model: `inner`, applied to the tensor there instead of the inputs.

        At("b12_add", PathIntegral(steps=32))

    The part of the model before the place runs once, the part after it at every step. The
    attributions have the shape of the tensor there, such as [B, h, w, channels], and sum to the
    score as those of the inputs do. Maps are aligned with the positions' receptive fields.

    Args:
        place: The name of a layer or an input; in a SavedModel, also a name scope or an operation
            of its graph. Several are explained together, `At(("city_emb", "numbers"), ...)`. The
            whole score must pass through them: `tfgig-inspect` lists such places. None takes the
            place chosen when the model was loaded or, if that is its inputs, finds one: for images
            and series, the last with enough positions that is followed by layers that combine
            positions; for texts, the embedding; for a `LayerMethod`, the last layer with a height
            and a width.
        inner: The method.
        positions: The minimum positions per side of the place to find.
    """

    kind = "at"
    names_places = True
    place: Named = None
    inner: Method = PathIntegral()
    positions: int = 12

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", as_named(self.place, "At(place, inner): the place"))
        check_is(self.inner, Method, "inner")
        refuse_places(self.inner, "At")
        check(
            is_whole(self.positions) and self.positions >= 2,
            "At(positions=...) must be a whole number of at least 2.",
            self.positions,
        )

    @property
    def complete(self):
        return self.inner.complete

    @property
    def lays_over(self):
        return self.inner.lays_over

    @property
    def gradients(self):
        return self.inner.gradients

    @property
    def fewest_gradients(self):
        return self.inner.fewest_gradients

    def attribute(self, objective, inputs):
        # Whoever made the objective has cut the model at the place.
        return self.inner.attribute(objective, inputs)


def refuse_places(inner: Method, outer: str) -> None:
    """Raises `ValueError` if a method that is wrapped has a place of its own."""
    held = [inner, *(value for _, value, _ in leaves(inner))]
    check(
        not any(isinstance(value, Method) and value.names_places for value in held),
        f"At must be the outermost method: At(place, {outer}(...)).",
        inner,
    )


def place_of(method: Method) -> At | None:
    """The place of a method, named or to be found; None for one that explains the inputs."""
    if isinstance(method, At):
        return method
    return At(None, method) if isinstance(method, LayerMethod) else None
