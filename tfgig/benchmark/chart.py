"""The picture of what was timed: bars, with the least and the most of the rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def bars(groups: Mapping[str, Mapping[str, Sequence[float]]], label: str, file: str) -> None:
    """Draws a group of horizontal bars for each method, a bar for each way or library.

    All are compared with 1.

    Args:
        groups: The values of each round, by method and by way.
        label: What the values are.
        file: The picture's file: .png, .pdf, .svg, ...
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    colours = {name: f"C{index}" for index, name in enumerate(names)}
    height, places = 0.0, {}
    figure, axis = pyplot.subplots(layout="constrained")
    for method, group in groups.items():
        places[method] = height + (len(group) - 1) / 2
        for name, values in group.items():
            middle = float(np.median(values))
            reach = [[middle - min(values)], [max(values) - middle]]
            axis.barh(height, middle, 0.9, xerr=reach, color=colours[name], ecolor="#555555")
            axis.text(max(values), height, f"  {middle:.2f}", va="center", fontsize=8)
            height += 1
        height += 0.7
    figure.set_size_inches(7.0, 1.0 + 0.24 * height)
    axis.set_yticks(list(places.values()), list(places))
    axis.axvline(1.0, color="#888888", linewidth=0.8)
    axis.set_ylim(height - 0.7, -1.0)  # the first on top
    axis.margins(x=0.08)
    axis.set_xlim(left=0)
    axis.set_xlabel(label)
    marks = [pyplot.Rectangle((0, 0), 1, 1, color=colours[name]) for name in names]
    figure.legend(marks, names, loc="outside upper center", ncols=len(names), fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)
    pyplot.close(figure)
