"""Colours that the colour-blind tell apart: those of the heat-maps that exports draw."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize

from tfgig.image.overlay import COLOURS
from tfgig.image.styles import BLUE_TO_RED

INK, FAINT = "#222222", "#666666"
AGAINST, FOR = "#4393c3", "#d6604d"  # blue and red, as far apart in lightness as can be read
SIGNED: Colormap = LinearSegmentedColormap.from_list("tfgig_signed", BLUE_TO_RED)
STRENGTH: Colormap = LinearSegmentedColormap.from_list("tfgig_strength", COLOURS)
# For lines on white, which a white middle would hide.
SIGNED_LINE: Colormap = LinearSegmentedColormap.from_list(
    "tfgig_signed_line", ("#08519c", "#4393c3", "#c4c4c4", "#d6604d", "#9b0a1f")
)


def signed_bar(axes: list[Axes], largest: float, colours: Colormap = SIGNED) -> None:
    """A colour bar beside axes, from what speaks against the score to what speaks for it."""
    shown = ScalarMappable(Normalize(-largest, largest), colours)
    bar = axes[0].figure.colorbar(shown, ax=axes, shrink=0.9, aspect=18, pad=0.02)
    bar.set_ticks(
        [-largest, 0, largest], labels=[f"\N{MINUS SIGN}{largest:.2g}", "0", f"+{largest:.2g}"]
    )
    bar.ax.tick_params(labelsize=7, length=2)
    bar.set_label("against \N{RIGHTWARDS ARROW} for the score", fontsize=7)
    bar.outline.set_visible(False)


def largest_of(values: np.ndarray) -> float:
    """The largest absolute value, and 1 where all are 0."""
    return float(np.abs(values).max(initial=0.0)) or 1.0
