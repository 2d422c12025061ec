"""The figure: a strip for each row and part, a column for each method."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from tfgig.image import Style
from tfgig.plots import images, panels
from tfgig.plots.captions import broken, caption
from tfgig.plots.colours import FAINT
from tfgig.plots.parts import Part
from tfgig.plots.subject import Subject

_PICTURE, _BAR_ROW, _SERIES = 2.3, 0.22, 1.1  # inches
_CAPTION, _CAPTION_LINE, _MARGIN = 0.62, 0.18, 0.35
_LINES, _LETTER = 2, 0.058  # of a caption: how many it has room for, and the width of a letter
_WIDTH, _TOKEN_LINE = 7.5, 30 / 72


class Picture(Figure):
    """A figure that notebooks show without pyplot, and that no global list keeps alive."""

    def _repr_png_(self) -> bytes:
        return self.png()

    def png(self, dpi: float = 110) -> bytes:
        """The picture as a PNG file."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=dpi)
        return file.getvalue()


@dataclasses.dataclass(frozen=True)
class Shown:
    """One method's explanation, ready to be drawn.

    Args:
        explanation: Tensors or arrays by name.
        subject: What it is of.
        parts: Its parts.
    """

    explanation: Mapping[str, Any]
    subject: Subject
    parts: Sequence[Part]


@dataclasses.dataclass(frozen=True)
class _Strip:
    """Part of the figure: its size in inches, and what draws it."""

    width: float
    height: float
    draw: Callable[[SubFigure], None]


def draw(
    shown: Sequence[Shown],
    rows: Sequence[int],
    style: Style,
    most: int,
    figsize: tuple[float, float] | None = None,
) -> Picture:
    """The figure.

    Args:
        shown: By method; of the same inputs.
        rows: Which of the examples.
        style: How images are drawn.
        most: The most bars of a table.
        figsize: (width, height) in inches; None for what is needed.
    """
    strips = [
        strip
        for row in rows
        for index in range(len(shown[0].parts))
        for strip in _strips(shown, row, index, style, most)
    ]
    size = figsize or (max(s.width for s in strips), sum(s.height for s in strips))
    figure = Picture(figsize=size, layout="constrained")
    spaces = figure.subfigures(
        len(strips), 1, squeeze=False, height_ratios=[strip.height for strip in strips]
    )
    for strip, space in zip(strips, spaces[:, 0], strict=True):
        strip.draw(space)
    # A first pass leaves too little room for titles above pictures that keep their proportions.
    figure.draw_without_rendering()
    return figure


def _strips(shown: Sequence[Shown], row: int, index: int, style: Style, most: int) -> list[_Strip]:
    kind = shown[0].parts[index].kind
    if kind == "image":
        return [_of_images(shown, row, index, style)]
    if kind == "tokens":
        return [_of_tokens(one, row, index) for one in shown]
    if kind == "table":
        return [_of_table(shown, row, index, most)]
    return [_of_series(one, row, index) for one in shown]


def _of_images(shown: Sequence[Shown], row: int, index: int, style: Style) -> _Strip:
    part = shown[0].parts[index]
    height, width = (1, 1) if part.data is None else part.data.shape[1:3]
    wide = _PICTURE * min(2.0, max(0.5, width / height))
    captions = [caption(one.explanation, one.subject, row, part.name) for one in shown]
    captions = [broken(lines, int(wide / _LETTER)) for lines in captions]
    more = max(map(len, captions)) - _LINES

    def fill(space: SubFigure) -> None:
        axes = list(space.subplots(1, 1 + len(shown), squeeze=False)[0])
        images.draw_picture(axes[0], part, shown[0].subject, row)
        known = part.name in shown[0].subject.inputs
        _title(axes[0], part.name if known else "input", [])
        for axis, one, words in zip(axes[1:], shown, captions, strict=True):
            images.draw_map(axis, one.parts[index], one.subject, row, style)
            place = f" at {part.name}" if part.name and not known else ""
            _title(axis, f"{one.subject.method}{place}".strip(), words)
        images.bar(axes, style)

    tall = _PICTURE + _CAPTION + max(0, more) * _CAPTION_LINE
    return _Strip(wide * (1 + len(shown)) + 0.9, tall, fill)


def _of_tokens(one: Shown, row: int, index: int) -> _Strip:
    part = one.parts[index]
    points = 72 * (_WIDTH - 0.9)
    lines = panels.lines_of(panels.written(part, row), points)

    def fill(space: SubFigure) -> None:
        axis = space.subplots()
        panels.draw_tokens(axis, lines, points)
        _headed(axis, one, part, row)

    height = max(len(lines), panels.FEWEST_LINES) * _TOKEN_LINE + _CAPTION
    return _Strip(_WIDTH, height, fill)


def _of_table(shown: Sequence[Shown], row: int, index: int, most: int) -> _Strip:
    columns = shown[0].parts[index].attributions.shape[1]

    def fill(space: SubFigure) -> None:
        axes = space.subplots(1, len(shown), squeeze=False)[0]
        for axis, one in zip(axes, shown, strict=True):
            panels.draw_table(axis, one.parts[index], row, most)
            _title(axis, _name(one, one.parts[index]), caption(one.explanation, one.subject, row))

    height = min(columns, most) * _BAR_ROW + _CAPTION + _CAPTION_LINE + _MARGIN
    return _Strip(5.2 * len(shown), height, fill)


def _of_series(one: Shown, row: int, index: int) -> _Strip:
    part = one.parts[index]
    weights = np.abs(part.attributions[row]).sum(0)
    kept = np.sort(np.argsort(-weights, kind="stable")[: panels.channels_shown(part)])
    part = dataclasses.replace(
        part,
        attributions=part.attributions[..., kept],
        data=None if part.data is None else part.data[..., kept],
        names=tuple(part.names[channel] for channel in kept),
    )

    def fill(space: SubFigure) -> None:
        axes = list(space.subplots(len(kept), 1, squeeze=False, sharex=True)[:, 0])
        panels.draw_series(axes, part, row)
        _headed(axes[0], one, part, row)

    height = _SERIES * len(kept) + _CAPTION + _MARGIN + (0.6 if len(kept) == 1 else 0)
    return _Strip(_WIDTH, height, fill)


def _headed(axis: Axes, one: Shown, part: Part, row: int) -> None:
    words = " \N{MIDDLE DOT} ".join(caption(one.explanation, one.subject, row))
    _title(axis, _name(one, part), [words] if words else [])


def _name(one: Shown, part: Part) -> str:
    return " \N{MIDDLE DOT} ".join(filter(None, (one.subject.method, part.name)))


def _title(axis: Axes, name: str, lines: Sequence[str]) -> None:
    """A name, and lines below it in small type, both above the axes."""
    height = 9.5 * len(lines)  # points
    axis.set_title(
        name, fontsize=9.5, fontweight="bold", loc="left", pad=5 + height, parse_math=False
    )
    axis.annotate(
        "\n".join(lines),
        (0, 1),
        xytext=(0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=7.5,
        color=FAINT,
        annotation_clip=False,
        parse_math=False,
    )


def rows_of(explanation: Mapping[str, Any], most: int) -> list[int]:
    """The first rows of an explanation, so many at most."""
    count = len(np.asarray(next(iter(explanation.values()))))
    return list(range(min(count, most)))
