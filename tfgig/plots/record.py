"""What the layer answers: a mapping of tensors that knows what it is of, and shows it."""

from __future__ import annotations

import base64
import html
import importlib.util
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any, cast

import numpy as np
import optree

from tfgig.plots.captions import name_of, number
from tfgig.plots.parts import parts_of
from tfgig.plots.subject import Subject

_MOST = 4  # rows that a notebook shows


class Explanation(dict):
    """An explanation of a batch: a dictionary of tensors [B, ...] that notebooks draw.

    TensorFlow (`tf.nest`, `tf.function`) and Keras (`keras.tree`) treat it as a dictionary, too.

    Args:
        tensors: As `tfgig.Explainer` lists them.
        subject: The explained inputs and settings.
    """

    def __init__(
        self, tensors: Mapping[str, Any] | Iterable = (), subject: Subject = Subject()
    ) -> None:
        super().__init__(tensors)
        self.subject = subject

    def __repr__(self) -> str:
        shown = (f"{name} {_kind(value)}" for name, value in self.items())
        return f"Explanation({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self), self.subject)

    def copy(self) -> Explanation:
        return type(self)(self, self.subject)

    def _repr_html_(self) -> str:
        """The picture, where there is matplotlib and something to draw over, and the numbers."""
        return f"<div>{self._picture()}{self._numbers()}</div>"

    def _picture(self) -> str:
        if importlib.util.find_spec("matplotlib") is None:
            return "<p>Install matplotlib to see a picture: pip install 'tfgig[pictures]'.</p>"
        from tfgig.plots import figure, images

        try:
            parts = parts_of(self, self.subject)
        except ValueError as error:
            return f"<p>{html.escape(str(error))}</p>"
        shown = [figure.Shown(self, self.subject, parts)]
        rows = figure.rows_of(self, _MOST)
        drawn = figure.draw(shown, rows, images.STYLES["overlay"], 10)
        data = base64.b64encode(drawn.png()).decode()
        words = html.escape(
            f"Attributions by {self.subject.method or 'an explainer'}; "
            "the table below has the numbers."
        )
        return f'<img alt="{words}" style="max-width:100%" src="data:image/png;base64,{data}">'

    def _numbers(self) -> str:
        columns = [n for n in ("score", "baseline_score", "delta", "error") if n in self]
        arrays = {name: np.asarray(self[name]) for name in columns}
        rows = len(next(iter(arrays.values()))) if columns else 0
        targets = np.asarray(self["target"]) if "target" in self else [None] * rows
        head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in ("row", "of", *columns))
        body = ""
        for row in range(min(rows, _MOST)):
            cells = [str(row), html.escape(name_of(self.subject, targets[row]))]
            cells += [number(arrays[name][row]) for name in columns]
            body += f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        more = f"<p>and {rows - _MOST} rows more</p>" if rows > _MOST else ""
        return f"<table><tr>{head}</tr>{body}</table>{more}"


def _kind(value: Any) -> str:
    dtype = getattr(value.dtype, "name", value.dtype)
    return f"{dtype} {list(value.shape)}"


def _children(explanation: Collection[Any]) -> tuple[Iterable[Any], Hashable]:
    names = tuple(sorted(explanation))  # the order of a dictionary's own children
    return [cast(Explanation, explanation)[name] for name in names], names


def _again(names: Hashable, children: Iterable[Any]) -> dict[str, Any]:
    """Of other values it is an explanation no longer, but a dictionary of them."""
    return dict(zip(cast(tuple, names), children, strict=True))


# Keras takes structures apart with optree, to which a dictionary's subclass is a leaf, unless it is
# registered among Keras's own.
optree.register_pytree_node(Explanation, _children, _again, namespace="keras")
