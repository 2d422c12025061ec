"""Tokens, tables and series as panels: each draws one row of a part into axes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import MaxNLocator

from tfgig.plots.captions import number, shortened
from tfgig.plots.colours import (
    AGAINST,
    FAINT,
    FOR,
    INK,
    SIGNED,
    SIGNED_LINE,
    largest_of,
    signed_bar,
)
from tfgig.plots.parts import Part

_TOKEN_SIZE, _VALUE_SIZE = 10, 6  # points
_LINE = 30  # points from one line of tokens to the next
_LONGEST_TOKEN = 40  # characters
_MOST_LINES = 6  # channels of a series, each with axes' height of its own
FEWEST_LINES = 3  # of tokens: the height of the colour bar beside them


def written(part: Part, row: int) -> list[tuple[str, float]]:
    """The tokens of a row with their attributions, with one for the padding behind them.

    Padding without attributions is left out.
    """
    values = part.attributions[row]
    texts = [f"#{index}" for index in range(len(values))] if part.data is None else part.data[row]
    pairs = [
        (shortened(_text(text), _LONGEST_TOKEN), float(value))
        for text, value in zip(texts, values, strict=True)
    ]
    while pairs and pairs[-1][0] in ("", "0") and pairs[-1][1] == 0:
        pairs.pop()
    padding = len(pairs) - len([*itertools.dropwhile(lambda pair: pair[0] == "", pairs[::-1])])
    if padding > 1:
        pairs[-padding:] = [
            (
                f"{padding} \N{MULTIPLICATION SIGN} padding",
                sum(value for _, value in pairs[-padding:]),
            )
        ]
    return pairs


def lines_of(pairs: list[tuple[str, float]], width: float) -> list[list[tuple[str, float, float]]]:
    """Tokens, values and widths in points, broken into lines of a width in points."""
    canvas = FigureCanvasAgg(_measuring())
    renderer, font = canvas.get_renderer(), FontProperties(size=_TOKEN_SIZE)
    small = FontProperties(size=_VALUE_SIZE)
    lines: list[list[tuple[str, float, float]]] = [[]]
    used = 0.0
    for text, value in pairs:
        widths = [
            renderer.get_text_width_height_descent(shown, prop, ismath=False)[0]
            for shown, prop in ((text, font), (number(value, sign=True), small))
        ]
        needed = max(widths) + 10
        if lines[-1] and used + needed > width:
            lines.append([])
            used = 0.0
        lines[-1].append((text, value, needed))
        used += needed
    return lines


def draw_tokens(axes: Axes, lines: list[list[tuple[str, float, float]]], width: float) -> None:
    """Tokens on their colours, with the values below them."""
    largest = largest_of(np.array([value for line in lines for _, value, _ in line]))
    axes.set(xlim=(0, width), ylim=(_LINE * max(len(lines), FEWEST_LINES), 0))
    axes.axis("off")
    for at, line in enumerate(lines):
        left, middle = 0.0, _LINE * at + 10
        for text, value, needed in line:
            colour = SIGNED((value / largest + 1) / 2)
            light = np.dot(colour[:3], (0.299, 0.587, 0.114)) > 0.5
            centre = left + needed / 2
            axes.add_patch(_box(left + 1, middle - 9, needed - 2, 18, colour))
            axes.text(
                centre,
                middle,
                text,
                size=_TOKEN_SIZE,
                color=INK if light else "white",
                ha="center",
                va="center_baseline",
                parse_math=False,
            )
            axes.text(
                centre,
                middle + 14.5,
                number(value, sign=True),
                size=_VALUE_SIZE,
                color=FAINT,
                ha="center",
                va="center_baseline",
            )
            left += needed
    signed_bar([axes], largest)


def draw_table(axes: Axes, part: Part, row: int, most: int) -> None:
    """Bars of the largest attributions, largest on top, and the sum of the others."""
    values = part.attributions[row].astype(np.float64)
    order = np.argsort(-np.abs(values), kind="stable")
    shown = order if len(order) <= most else order[: most - 1]
    labels = [_column(part, row, index) for index in shown]
    bars = values[shown].tolist()
    if len(order) > len(shown):
        labels.append(f"{len(order) - len(shown)} others")
        bars.append(float(values[order[len(shown) :]].sum()))
    places = np.arange(len(bars))
    axes.barh(places, bars, color=[FOR if bar >= 0 else AGAINST for bar in bars], height=0.7)
    for place, bar in zip(places, bars, strict=True):
        axes.annotate(
            number(bar, sign=True),
            (bar, place),
            xytext=(3 if bar >= 0 else -3, 0),
            textcoords="offset points",
            size=7,
            ha="left" if bar >= 0 else "right",
            va="center",
        )
    axes.set_yticks(places, labels, size=8, parse_math=False)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.margins(x=0.34)  # for the values beside the bars
    axes.tick_params(axis="x", labelsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("against \N{LEFT RIGHT ARROW} for the score", fontsize=7)
    axes.spines[["top", "right", "left"]].set_visible(False)


def draw_series(axes: list[Axes], part: Part, row: int) -> None:
    """Each channel a line, coloured by what its steps add to the score."""
    values = part.attributions[row]
    largest = largest_of(values)
    steps = np.arange(len(values))
    for channel, axis in enumerate(axes):
        data = values[:, channel] if part.data is None else part.data[row, :, channel]
        # Each step colours the line half-way to its neighbours.
        at = np.linspace(0, len(steps) - 1, 2 * len(steps) - 1)
        points = np.stack([at, np.interp(at, steps, data)], 1)
        pieces = np.stack([points[:-1], points[1:]], 1)
        owners = np.rint((at[:-1] + at[1:]) / 2 + 1e-9).astype(int)
        lines = LineCollection(
            list(pieces),
            cmap=SIGNED_LINE,
            norm=Normalize(-largest, largest),
            linewidth=3,
            capstyle="round",
        )
        lines.set_array(values[owners, channel])
        axis.plot(steps, data, color=INK, linewidth=0.6, alpha=0.6, zorder=3)
        axis.add_collection(lines)
        axis.set_xlim(-0.5, len(steps) - 0.5)
        axis.margins(y=0.15)
        axis.autoscale_view(scalex=False)
        axis.set_ylabel(part.names[channel] if len(axes) > 1 else "value", fontsize=7)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelbottom=axis is axes[-1])
    axes[-1].set_xlabel("step", fontsize=7)
    signed_bar(axes, largest, SIGNED_LINE)


def channels_shown(part: Part) -> int:
    """How many channels of a series are drawn: those that weigh most if there are many."""
    return min(_MOST_LINES, part.attributions.shape[2])


def _column(part: Part, row: int, index: int) -> str:
    name = shortened(part.names[index], 24)
    value = None if part.data is None else part.data[row, index]
    return name if value is None else f"{name} = {_value(value)}"


def _value(value: Any) -> str:
    return (
        number(value) if isinstance(value, (np.number, int, float)) else shortened(_text(value), 16)
    )


def _text(token: Any) -> str:
    return token.decode("utf-8", "replace") if isinstance(token, bytes) else str(token)


def _box(left: float, bottom: float, width: float, height: float, colour: Any) -> Any:
    from matplotlib.patches import FancyBboxPatch

    style = "round,pad=0,rounding_size=2.5"
    return FancyBboxPatch(
        (left, bottom), width, height, boxstyle=style, facecolor=colour, linewidth=0
    )


def _measuring() -> Any:
    from matplotlib.figure import Figure

    return Figure(dpi=72)  # a pixel is a point
