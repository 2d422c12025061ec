"""Where an explanation of a model looks, if the user does not say: at its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from tfgig.models.graphs.cut import Concrete, Cut, cut_at_inputs
from tfgig.models.graphs.examples import Examples, Given
from tfgig.models.graphs.gradients import check_gradient
from tfgig.models.graphs.graph_cut import NoFloats, cut_behind_decoding, names_of_rows
from tfgig.models.graphs.places import Survey
from tfgig.models.graphs.refusal import CannotExplain, check
from tfgig.models.graphs.rows import MixedRows, prove_rows

_MOST_TRIED = 6  # places, to find one that can be advised


class Known(NamedTuple):
    """What is known of a model beside its graph.

    Args:
        where: What was loaded, for errors.
        layers: The names of the layers, where they are not those of the graph.
        example: Rows that it takes, if the user knows some.
        survey: The places of the model, by the name of the explained output.
    """

    where: str
    layers: Sequence[str] = ()
    example: Given | None = None
    survey: Callable[[str | None], Survey] | None = None

    @property
    def places(self) -> str:
        """The places that there are to choose among, in words; empty if nobody knows."""
        return "" if self.survey is None else self.survey(None).known


class Cuts(NamedTuple):
    """The cut that is explained; that at the inputs, if there is one; and those at any layer."""

    cut: Cut
    entry: Cut | None
    cut_at: Callable[[str | None], Cut]


def cuts_of(
    serve: Concrete,
    inputs: Sequence[tf.TensorSpec],
    layer: str | None,
    cut_at_layer: Callable[[str | None], Cut],
    known: Known,
) -> Cuts:
    """The cut of a model that is explained at its inputs or at a layer.

    Args:
        serve: The model: its inputs to `ModelOutputs`.
        inputs: What it takes.
        layer: The name of an input or a layer; None for all inputs of floats or, where there are
            none, for what is decoded from the others.
        cut_at_layer: The cut at the output of a layer.
        known: What else is known of the model.

    Raises:
        ValueError: there is no such layer, nothing to explain, no gradient of it, or its rows
            depend on each other.
    """
    names = {spec.name: spec.dtype for spec in inputs}
    where = known.where
    examples = Examples(serve.graph, inputs, known.example)

    def checked(cut: Cut) -> Cut:
        try:
            check_gradient(cut, where)
        except CannotExplain as error:
            raise CannotExplain(f"{error} {known.places}".rstrip()) from error
        return prove_rows(cut, inputs, examples, where)

    def cut_at(name: str | None) -> Cut:
        if name is not None and name in names and names[name].is_floating:
            return checked(cut_at_inputs(serve, inputs, [name]))
        check(
            name is None or name not in names,
            "An input without a gradient cannot be explained; name a layer behind it.",
            f"layer={name!r}, an input of {name is not None and names.get(name)}",
        )
        return checked(cut_at_layer(name))

    def cut_or_advise(name: str | None) -> Cut:
        try:
            return cut_at(name)
        except MixedRows as error:
            raise _advised(error, lambda: _place(cut_at, behind)) from error

    def behind() -> list[str]:
        return names_of_rows(serve, inputs, examples, known.layers)

    if layer is not None:
        cut = cut_or_advise(layer)
        try:
            return Cuts(cut, _entry(serve, inputs, where), cut_or_advise)
        except CannotExplain:  # such as a model of ids, which has no other place to look at
            return Cuts(cut, None, cut_or_advise)
    try:
        entry = checked(_entry(serve, inputs, where))
    except MixedRows as error:
        raise _advised(error, lambda: _place(cut_at, behind)) from error
    except NoFloats as error:
        first = error.names_among(known.layers)
        raise error.advising(_place(cut_at, lambda: [*first, *behind()])) from error
    return Cuts(entry, entry, cut_or_advise)


def _place(cut_at: Callable[[str | None], Cut], names: Callable[[], list[str]]) -> str | None:
    """The first of some layers at which the model can be explained; None if there is none."""
    for name in list(dict.fromkeys(names()))[:_MOST_TRIED]:
        try:
            cut_at(name)
        except CannotExplain:  # not there, then
            continue
        return name
    return None


def _advised(error: MixedRows, place: Callable[[], str | None]) -> CannotExplain:
    """The same error, with a place that has rows, if there may be one."""
    found = place() if error.at_explained else None
    if found is None:
        return error
    return CannotExplain(
        f"Its rows are rows at layer={found!r}: load_model(handle, layer={found!r}) "
        f"(--layer={found}). {error}"
    )


def _entry(serve: Concrete, inputs: Sequence[tf.TensorSpec], where: str) -> Cut:
    floats = [spec.name for spec in inputs if spec.dtype.is_floating]
    if floats:
        return cut_at_inputs(serve, inputs, floats)
    return cut_behind_decoding(serve, inputs, where)
