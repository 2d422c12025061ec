"""The proof that rows are rows: axis 0 is the batch, and no row or call depends on another."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from tfgig.models.graphs.cut import Cut, concrete
from tfgig.models.graphs.examples import Examples
from tfgig.models.graphs.inlining import needed_for, outputs_of
from tfgig.models.graphs.refusal import CannotExplain
from tfgig.models.graphs.row_flow import rows_shown
from tfgig.models.graphs.row_trial import cause, try_rows

_TRAINING = (
    "Batch normalisation and dropout in training mode cause this: save the model with "
    "training=False. So do unmasked texts padded to the longest in a batch: pad them to a fixed "
    "length."
)


class MixedRows(CannotExplain):
    """What is explained, or its score, is not one of a row.

    Args:
        message: The whole of it.
        at_explained: Whether another place of the model may have rows.
    """

    def __init__(self, message: str, at_explained: bool) -> None:
        super().__init__(message)
        self.at_explained = at_explained


def prove_rows(cut: Cut, inputs: Sequence[tf.TensorSpec], examples: Examples, where: str) -> Cut:
    """The cut, once it is known that its two parts keep rows apart.

    The graph shows it, or three rows are tried. Where neither can be, the cut says so itself
    (`doubt`). Outputs of which it is not so are noted, as long as there are others.

    Args:
        cut: What is explained, and the model before and behind it.
        inputs: What the model takes.
        examples: Rows that it may take.
        where: What was loaded, for the error.

    Raises:
        MixedRows: it is not so.
    """
    front = concrete(cut.front, *inputs)
    outputs = _explainable(cut)
    if rows_shown(front, len(inputs), outputs_of(front)) and rows_shown(
        cut.forward, 1 + len(cut.context), _computed(cut, outputs)
    ):
        return cut
    found = try_rows(cut, front, examples)
    if found.doubt is not None:
        known = cause(front) or cause(cut.forward)
        return dataclasses.replace(cut, doubt=f"{found.doubt}{known and f'; and {known}'}")
    if found.explained is not None:
        raise MixedRows(_words_of_explained(found.explained, where, cut), True)
    mixed = {name: why for name, why in found.outputs.items() if why and name in outputs}
    if len(mixed) == len(outputs) and mixed:
        name, why = next(iter(mixed.items()))
        known = cause(front) or cause(cut.forward)
        raise MixedRows(_words_of_score(name, why, known) + f" Received: {where}.", False)
    return dataclasses.replace(cut, mixed=tuple(mixed.items()))


def words_of_doubt(doubt: str) -> str:
    """What a user is told of a cut's `doubt`."""
    return (
        f"it is unknown whether rows depend on each other: {doubt}. Give two or three valid rows: "
        "load_model(handle, example=...) (--example=rows.npz)."
    )


def refuse_mixed(cut: Cut, name: str | None) -> None:
    """Raises `ValueError` if the output that is to be explained does not keep rows apart."""
    mixed = dict(cut.mixed)
    if name is not None and name in mixed:
        raise CannotExplain(_words_of_score(name, mixed[name], ""))


def _words_of_explained(why: str, where: str, cut: Cut) -> str:
    return (
        "The explained tensor must have the batch as its first axis and independent rows, but this "
        f"layer does not: {why}. Received: {where}, {cut.points.name!r} of shape "
        f"{cut.points.shape}."
    )


def _words_of_score(name: str, why: str, known: str) -> str:
    because = f" ({known})" if known else ""
    return (
        f"The score of a row must not depend on other rows or calls; the output {name!r} "
        f"{why}{because}. {_TRAINING}"
    )


def _explainable(cut: Cut) -> list[str]:
    """The outputs of floats that are computed from what is explained."""
    points = cut.forward.graph.inputs[0].op.name
    values = cut.forward.structured_outputs.values
    return [
        name
        for name, value in values.items()
        if value.dtype.is_floating and points in needed_for([value])
    ]


def _computed(cut: Cut, names: Sequence[str]) -> list[tf.Tensor]:
    forms = cut.forward.structured_outputs
    return [form[name] for form in (forms.values, forms.logits) for name in names if name in form]
