"""Where an explanation of a model looks: at all that it takes, or where the user says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from tfgig.image.axes import DataFormat
from tfgig.models.graphs.cut import Concrete, Cut, cut_at_inputs
from tfgig.models.graphs.examples import Examples, Given
from tfgig.models.graphs.formats import Pictures
from tfgig.models.graphs.gradients import check_gradient
from tfgig.models.graphs.graph_cut import (
    NoFloats,
    cut_at_tensors,
    decoded_of,
    names_of_rows,
)
from tfgig.models.graphs.graph_names import First, as_floats, names_of_firsts
from tfgig.models.graphs.grids import last_of
from tfgig.models.graphs.origins import Origins, spreads
from tfgig.models.graphs.places import Survey
from tfgig.models.graphs.refusal import CannotExplain, check
from tfgig.models.graphs.rows import MixedRows, prove_rows
from tfgig.spec import Named, as_named, as_tuple

_MOST_TRIED = 6  # places, to find one that can be advised
# The model, the tensors of each of some layers in its body, one for each call of a layer, and what
# the layers are called; none for the graph's names.
Find = Callable[[Sequence[str]], tuple[Concrete, list[list["tf.Tensor"]], list[str]]]


class Known(NamedTuple):
    """What is known of a model beside its graph.

    Args:
        where: What was loaded, for errors.
        survey: The places of the model, by the name of the explained output.
        layers: The names of the layers, where they are not those of the graph.
        example: Rows that it takes, if the user knows some.
        data_format: Which axes of its pictures are what, if the user says it.
    """

    where: str
    survey: Callable[[str | None], Survey]
    layers: Sequence[str] = ()
    example: Given | None = None
    data_format: DataFormat | None = None


@dataclasses.dataclass(frozen=True)
class View:
    """Where a model is explained.

    Args:
        cut: The explained tensors: the inputs, what is decoded from them, or an inner layer.
        entry: The cut at the inputs, whose pictures heat-maps are drawn over; None if the model
            takes nothing that could be explained.
        layer: The names of the layers or inputs that it is cut at; None for its inputs.
        cut_at: The cut at layers or inputs, by their names; for None, at the last layer with a
            height and a width.
        survey: The places at which the model can be explained, by the name of the explained output.
    """

    cut: Cut
    entry: Cut | None
    layer: Named
    cut_at: Callable[[Named], Cut]
    survey: Callable[[str | None], Survey]

    @property
    def at_inputs(self) -> bool:
        """Whether the model is cut at the inputs, and not at a layer."""
        return self.cut is self.entry

    def at(self, layer: Named) -> View:
        """The same model, cut at layers or inputs; None: at the last layer of positions.

        Raises:
            ValueError: the layer does not exist, or the output does not depend on it.
        """
        layer = as_named(layer, "`layer`")
        return dataclasses.replace(self, cut=self.cut_at(layer), layer=layer)


def view_of(
    serve: Concrete,
    inputs: Sequence[tf.TensorSpec],
    layer: Named,
    find: Find,
    known: Known,
) -> View:
    """Where a model is explained: at its inputs, or at one or several places.

    Args:
        serve: The model: its inputs to `ModelOutputs`.
        inputs: What it takes.
        layer: The names of inputs and layers; None for all that it takes.
        find: The tensors of layers.
        known: What else is known of the model.

    Raises:
        ValueError: there is no such layer, nothing to explain, no gradient of it, or its rows
            depend on each other.
    """
    cutter = _Cutter(serve, inputs, find, known)
    if layer is None:
        entry = cutter.default()
        return View(entry, entry, None, cutter.at, known.survey)
    cut = cutter.at(layer)
    try:
        return View(cut, cutter.default(), layer, cutter.at, known.survey)
    except CannotExplain:  # such as a model of ids, which has no other place to look at
        return View(cut, None, layer, cutter.at, known.survey)


class _Cutter:
    """Cuts of one model."""

    def __init__(
        self, serve: Concrete, inputs: Sequence[tf.TensorSpec], find: Find, known: Known
    ) -> None:
        self._serve, self._inputs, self._find, self._known = serve, inputs, find, known
        self._where = known.where
        self._dtypes = {spec.name: spec.dtype for spec in inputs}
        self._floats = [spec.name for spec in inputs if spec.dtype.is_floating]
        self._examples = Examples(serve.graph, inputs, known.example)
        self._origins = Origins(serve, inputs)
        self._pictures = Pictures(serve, inputs, known.data_format)

    def at(self, layer: Named) -> Cut:
        """The cut at places by their names; for None, at the last layer of positions."""
        try:
            return self._at(layer)
        except MixedRows as error:
            raise self._advised(error) from error

    def default(self) -> Cut:
        """The cut at all that the model takes: floats as they are, others where they become such.

        Raises:
            NoFloats: it takes no floats, nor a table's row.
        """
        try:
            whole, why = self._whole()
            return dataclasses.replace(whole, why=why)
        except MixedRows as error:
            raise self._advised(error) from error
        except NoFloats as error:
            first = error.names_among(self._known.layers)
            advice = self._place(lambda: [*first, *self._behind()])
            raise error.advising(advice) from error

    def _whole(self) -> tuple[Cut, str | None]:
        """The cut at all that is taken, and why some of it is left out."""
        if len(self._floats) == len(self._inputs) and not spreads(self._serve):
            return self._pictures.noted(self._checked(self._at_floats())), None
        origins = self._origins
        taken = self._taken() if origins.known else []
        fixed = [first for first in taken if _has_fixed_size(first.tensor)]
        why = None if len(fixed) == len(taken) else "its embedding has an open size"
        if any(first.tensor.op.type != "Placeholder" for first in fixed):
            names = names_of_firsts(fixed, self._known.layers)
            try:
                return self._at_tensors(self._serve, origins, fixed, names), why
            except CannotExplain as error:
                why = str(error)
        cut = self._pictures.noted(self._checked(self._at_floats()))
        explained = [first.tensor for first in self._as_floats()]
        return self._noted(cut, origins, explained), why

    def _taken(self) -> list[First]:
        """The first floats of what the model takes; none if only one of several texts' has any."""
        origins = self._origins
        made = [first for first in origins.first if not origins.is_input(first.tensor)]
        if self._floats:
            told = {name for first in made if len(first.origins) == 1 for name in first.origins}
            raw = [
                First(tensor, frozenset([spec.name]))
                for spec, tensor in zip(self._inputs, self._serve.graph.inputs, strict=False)
                if spec.dtype.is_floating and (spec.name not in told or origins.reaches(tensor))
            ]
            return origins.in_order([*raw, *made])
        # Columns of a table, of one value an example; what is longer is a text, or an image.
        if all(origins.column(first.tensor, "").is_one_value for first in made):
            return origins.in_order(made)
        decoded = {tensor.name for tensor in decoded_of(self._serve, self._inputs, self._where)}
        parsed = any(first.tensor.name in decoded for first in made)
        return origins.in_order(made) if parsed else []

    def _as_floats(self) -> list[First]:
        """What is explained where floats alone are."""
        origins = self._origins
        names = set(self._floats)
        if names:
            return [first for first in origins.first if first.origins <= names]
        decoded = {tensor.name for tensor in decoded_of(self._serve, self._inputs, self._where)}
        return [first for first in origins.first if first.tensor.name in decoded]

    def _at_floats(self) -> Cut:
        if self._floats:
            return cut_at_inputs(self._serve, self._inputs, self._floats)
        decoded = decoded_of(self._serve, self._inputs, self._where)
        cut = cut_at_tensors(self._serve, self._inputs, decoded, self._where)
        return self._pictures.noted(cut, decoded)

    def _at(self, layer: Named) -> Cut:
        if layer is None:
            last = last_of(self._serve, self._inputs, self._where, self._pictures)
            return self._at_tensors(self._serve, self._origins, [First(last, frozenset())], [])
        names = as_tuple(layer)
        known = self._origins.names
        inner = [name for name in names if name not in known]
        if not inner and set(names) <= set(self._floats) and not spreads(self._serve):
            cut = self._checked(cut_at_inputs(self._serve, self._inputs, names))
            cut = self._pictures.noted(cut)
            tensors = [self._serve.graph.inputs[list(self._dtypes).index(n)] for n in names]
            return self._noted(cut, self._origins, tensors)
        serve, tensors, called = self._find(inner) if inner else (self._serve, [], [])
        origins = Origins(serve, self._inputs) if inner else self._origins
        found = dict(zip(inner, zip(tensors, called or inner, strict=True), strict=True))
        chosen: list[First] = []
        words: list[str] = []
        for name in names:
            if name in found:
                tensors, word = found[name]
                made = [t for tensor in tensors for t in as_floats(tensor, serve, self._where)]
                firsts = [First(tensor, origins.of(tensor)) for tensor in made]
                if all(first.origins for first in firsts):
                    firsts = origins.in_order(firsts)
                chosen += firsts
                words += _words_of(word, firsts)
                continue
            firsts = [first for first in origins.first if first.origins == {name}]
            check(
                bool(firsts),
                "An input without a gradient cannot be explained; name a layer behind it.",
                f"layer={name!r}, an input of {self._dtypes.get(name)}",
            )
            chosen += firsts
            made = names_of_firsts(firsts, self._known.layers)
            words += [name] if len(firsts) == 1 else made
        alone = len(chosen) == 1 and not called
        return self._at_tensors(serve, origins, chosen, [] if alone and inner else words)

    def _at_tensors(
        self, serve: Concrete, origins: Origins, firsts: Sequence[First], names: Sequence[str]
    ) -> Cut:
        tensors = [first.tensor for first in firsts]
        cut = cut_at_tensors(serve, self._inputs, tensors, self._where, names)
        # Another trace has other names.
        pictures = self._pictures
        if serve is not self._serve:
            pictures = Pictures(serve, self._inputs, self._known.data_format)
        cut = pictures.noted(self._checked(cut), tensors)
        return self._noted(cut, origins, tensors)

    def _noted(self, cut: Cut, origins: Origins, tensors: Sequence[tf.Tensor]) -> Cut:
        """The cut with what is known of the inputs that its tensors come from."""
        if not origins.known:
            return cut
        columns = tuple(
            origins.column(tensor, spec.name)
            for tensor, spec in zip(tensors, cut.explained, strict=True)
        )
        return dataclasses.replace(
            cut,
            columns=columns,
            left_out=origins.left_out(tensors),
            origins=tuple(origins.of(tensor) for tensor in tensors),
        )

    def _checked(self, cut: Cut) -> Cut:
        try:
            check_gradient(cut, self._where)
        except CannotExplain as error:
            raise CannotExplain(f"{error} {self._known.survey(None).known}".rstrip()) from error
        return prove_rows(cut, self._inputs, self._examples, self._where)

    def _behind(self) -> list[str]:
        return names_of_rows(self._serve, self._inputs, self._examples, self._known.layers)

    def _place(self, names: Callable[[], list[str]]) -> str | None:
        """The first of some layers at which the model can be explained; None if there is none."""
        for name in list(dict.fromkeys(names()))[:_MOST_TRIED]:
            try:
                self._at(name)
            except CannotExplain:  # not there, then
                continue
            return name
        return None

    def _advised(self, error: MixedRows) -> CannotExplain:
        """The same error, with a place that has rows, if there may be one."""
        found = self._place(self._behind) if error.at_explained else None
        if found is None:
            return error
        return CannotExplain(
            f"Rows are independent at layer={found!r}: load_model(handle, layer={found!r}) "
            f"(--layer={found}). {error}"
        )


def _words_of(name: str, firsts: Sequence[First]) -> list[str]:
    """What the tensors of one layer are called: after the inputs, if each has one of its own."""
    if len(firsts) == 1:
        return [name]
    alone = [next(iter(f.origins)) if len(f.origins) == 1 else None for f in firsts]
    if None in alone or len(set(alone)) < len(alone):
        return [f"{name}_{index}" for index in range(len(firsts))]
    return [f"{name}_{origin}" for origin in alone]


def _has_fixed_size(tensor: tf.Tensor) -> bool:
    shape = tensor.shape
    return (shape.rank or 0) >= 1 and shape[0] is None and shape[1:].is_fully_defined()
