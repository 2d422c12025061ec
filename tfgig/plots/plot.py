"""`tfgig.plot`: the picture of an explanation, or of several side by side."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfgig.image import Style
from tfgig.plots.parts import Kind, parts_of
from tfgig.plots.record import Explanation
from tfgig.plots.subject import Subject
from tfgig.spec import check

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot(
    explanation: Mapping[str, Any],
    inputs: Any = None,
    *,
    kind: Kind | None = None,
    style: str | Style = "overlay",
    rows: int | Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    tokens: Sequence[Any] | None = None,
    value_range: tuple[float, float] | None = None,
    max_display: int = 12,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draws an explanation of an image, a text, a table or a series.

        tfgig.plot(explainer(images))
        tfgig.plot({"ig": ig(images), "guided_ig": guided(images)}, style="diverging")
        tfgig.plot(client.explain(images, "ig"), images, class_names=names).savefig("why.png")

    Maps are drawn over images; tokens are coloured by sign and size; tables are bars, largest
    first; series are lines coloured by each step's contribution to the score. Several inputs are
    separate panels. The titles give the class, its score and the baseline's, `delta` and `error`.
    Red is for the score and blue against it, safe for colour-blind readers.

    Args:
        explanation: The result of a `tfgig.Explainer`, a signature or `tfgig.serving.Client`; or
            several for the same inputs by method name, drawn side by side, without the places
            that `Scales` answers beside its map.
        inputs: The explained inputs [B, ...], or several of them by name. An `Explainer`'s result
            contains them.
        kind: "image", "tokens", "table" or "series"; None infers it from the shapes.
        style: The style of images: "overlay", "mask", "diverging" or "grayscale", or a
            `tfgig.image.Style`.
        rows: The examples to draw, an index or several; None for the first four.
        class_names: The class names.
        feature_names: The names of a table's columns, or of a series' channels.
        tokens: The texts of the positions, [positions] or [B, positions]; by default `token_text`
            of the explanation, if present.
        value_range: The values of black and white in an image's units, such as (0, 255).
        max_display: The maximum bars of a table; the last is the sum of all others.
        figsize: (width, height) in inches.

    Returns:
        A `matplotlib.figure.Figure`, which a notebook shows and `savefig` writes; it is not
        registered with pyplot.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the explanation cannot be drawn, or its images are missing.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError("tfgig.plot draws with matplotlib: pip install 'tfgig[pictures]'.")
    from tfgig.plots import figure, images

    check(max_display >= 2, "`max_display` must be at least 2.", max_display)
    given: dict[str, Any] = {
        "class_names": class_names,
        "feature_names": feature_names,
        "value_range": value_range,
        "inputs": None if inputs is None else _by_name(inputs),
    }
    known = {name: value for name, value in given.items() if value is not None}
    shown = []
    for name, one in _by_method(explanation).items():
        subject = one.subject if isinstance(one, Explanation) else Subject()
        subject = dataclasses.replace(subject, **known, method=name or subject.method)
        shown.append(figure.Shown(one, subject, parts_of(one, subject, kind, tokens)))
    if len(shown) > 1:
        shown = [dataclasses.replace(one, parts=_without_places(one)) for one in shown]
    _check_alike(shown)
    chosen = figure.rows_of(shown[0].explanation, 4)
    if rows is not None:
        chosen = [int(row) for row in np.atleast_1d(np.asarray(rows))]
        count = len(shown[0].parts[0].attributions)
        check(
            all(-count <= row < count for row in chosen) and bool(chosen),
            f"`rows` must be among the {count} rows of the batch.",
            rows,
        )
    return figure.draw(shown, chosen, images.style_of(style), max_display, figsize)


def _by_method(explanation: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    check(
        isinstance(explanation, Mapping) and bool(explanation),
        "An explanation must be a mapping of tensors by name, or a mapping of such mappings by "
        "method.",
        type(explanation).__name__,
    )
    if all(isinstance(value, Mapping) for value in explanation.values()):
        return dict(explanation)
    return {"": explanation}


def _by_name(inputs: Any) -> dict[str, Any]:
    return dict(inputs) if isinstance(inputs, Mapping) else {"": inputs}


def _without_places(shown: Any) -> list[Any]:
    """The parts of an explanation; of one that answers several places beside its map, the map."""
    whole = "attributions" in shown.explanation
    return [part for part in shown.parts if not (whole and part.name)]


def _check_alike(shown: Sequence[Any]) -> None:
    """Raises `ValueError` unless all methods explain the same."""
    kinds = [[(part.kind, part.name, len(part.attributions)) for part in s.parts] for s in shown]
    check(
        all(other == kinds[0] for other in kinds),
        "Explanations drawn side by side must have the same inputs.",
        kinds,
    )
