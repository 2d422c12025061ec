"""Exactness: how far a method's attributions are from its integral, by the gradients they took.

The true error is measured against the same method with many more steps; beside it stands the
method's own estimate, `error`, which knows nothing of those.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from tfgig import layers
from tfgig.methods import Method
from tfgig.models import SourceModel
from tfgig.paths import AdaptivePath
from tfgig.spec import check, leaves, replace_all

GOAL = 0.1
_COLUMNS = 3  # of panels, in a picture
_SHARE = 0.95  # of the rows, that are to reach the goal
_BEYOND = 4  # how many times the most steps the integral is taken with


class Errors(NamedTuple):
    """The errors of one method with one number of steps.

    Args:
        method: Its name.
        steps: How many steps.
        gradients: How many a row takes.
        true: |attributions - exact|_1 / |exact|_1 of each row.
        estimated: `error` of each row.
        gap: |delta| over the change of the score, of each row.
    """

    method: str
    steps: int
    gradients: int
    true: np.ndarray
    estimated: np.ndarray
    gap: np.ndarray


def with_steps(method: Method, steps: int) -> Method:
    """The method with another number of steps.

    Raises:
        ValueError: it has none to choose, or its path depends on them.
    """
    options = {name: value for name, value, _ in leaves(method)}
    found = [name for name in options if name.split(".")[-1] == "steps"]
    check(len(found) == 1, "The method has no one number of steps to choose.", method)
    check(
        not any(isinstance(value, AdaptivePath) for value in options.values()),
        "An adaptive path is another with other steps, so its steps approach no integral.",
        method,
    )
    return cast(Method, replace_all(method, {found[0]: steps}))


def measure(
    source: SourceModel,
    methods: Mapping[str, Method],
    inputs: Sequence[np.ndarray],
    steps: Sequence[int] = (8, 16, 32, 64),
    rows: int = 4,
    told: Callable[[str], None] = lambda what: None,
) -> list[Errors]:
    """The errors of each method for each number of steps.

    Args:
        source: The model.
        methods: Integrals along fixed paths, by name.
        inputs: The rows that are explained, [rows, ...] for each input of the model.
        steps: Numbers of steps; the integral takes four times the most.
        rows: How many rows are explained at once.
        told: Called with what is measured next: a method in so many steps.

    Raises:
        ValueError: a method has no steps to choose, or no row has attributions.
    """
    check(len(steps) > 0 and min(steps) >= 1, "`steps` are whole numbers of at least 1.", steps)
    of = {name: with_steps(method, max(steps)) for name, method in methods.items()}
    found = []
    for name, method in of.items():
        finest = _BEYOND * max(steps)
        told(f"{name}, {finest} steps")
        exact = _explained(source, with_steps(method, finest), inputs, rows)
        size = _size(exact["attributions"])
        good = (size > 0) & exact["ok"]
        check(good.any(), "No row has attributions to compare with.", name)
        for count in steps:
            told(f"{name}, {count} steps")
            chosen = with_steps(method, count)
            answer = _explained(source, chosen, inputs, rows)
            apart = _size(answer["attributions"] - exact["attributions"])[good] / size[good]
            change = np.abs(answer["score"] - answer["baseline_score"])[good]
            gap = np.abs(answer["delta"])[good] / np.maximum(change, np.finfo(np.float32).tiny)
            found.append(Errors(name, count, chosen.gradients, apart, answer["error"][good], gap))
    return found


def _explained(
    source: SourceModel, method: Method, inputs: Sequence[np.ndarray], rows: int
) -> dict[str, np.ndarray]:
    explainer = layers.Explainer(source, method)
    parts = []
    for first in range(0, len(inputs[0]), rows):
        given = [value[first : first + rows] for value in inputs]
        answer = explainer(given if len(given) > 1 else given[0])
        parts.append({key: np.asarray(value) for key, value in answer.items()})
    check("attributions" in parts[0], "The model has several explained inputs; name one layer.", "")
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _size(attributions: np.ndarray) -> np.ndarray:
    return np.abs(attributions.astype(np.float64)).sum(tuple(range(1, attributions.ndim)))


def gradients_for(errors: Sequence[Errors], goal: float = GOAL) -> int:
    """How many gradients bring 95 % of the rows to an error of at most `goal`.

    Between two measurements, and beyond the last, by the law 1/n.

    Args:
        errors: Of one method, with different steps.
        goal: The error, above 0.
    """
    ordered = sorted(errors, key=lambda found: found.gradients)
    reached = [(f.gradients, float(np.quantile(f.true, _SHARE))) for f in ordered]
    above = list(itertools.takewhile(lambda pair: pair[1] > goal, reached))
    if not above:
        return reached[0][0]
    gradients, error = above[-1]
    by_law = math.ceil(gradients * error / goal)
    return min([by_law, *(pair[0] for pair in reached[len(above) :])])


def render(errors: Sequence[Errors], goal: float = GOAL) -> str:
    """A table in Markdown: median true errors by steps (and estimates), and what to take."""
    counts = sorted({found.steps for found in errors})
    heads = ["method", *(f"{count} steps" for count in counts), f"gradients for {goal:g}"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for method in _methods(errors):
        own = [found for found in errors if found.method == method]
        cells = [
            f"{np.median(found.true):.3f} ({np.median(found.estimated):.3f})"
            for found in sorted(own, key=lambda found: found.steps)
        ]
        lines.append(f"| {' | '.join([f'`{method}`', *cells, str(gradients_for(own, goal))])} |")
    return "\n".join(lines) + "\n"


def draw(panels: Mapping[str, Sequence[Errors]], file: str) -> None:
    """Draws error over gradients, both logarithmic: medians and 90 % of the rows; estimates dashed.

    Args:
        panels: Of each model, by its name, the errors of any number of methods.
        file: The picture's file: .png, .pdf, .svg, ...
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    size = (6.4, 4.4) if len(panels) == 1 else (4.0 * columns, 3.3 * rows)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    of_method = {m: f"C{k}" for k, m in enumerate(_methods(itertools.chain(*panels.values())))}
    for axis, (name, errors) in zip(axes.flat, panels.items(), strict=False):
        _panel(axis, errors, of_method)
        axis.set_title(name, fontsize=10)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for row in axes:
        row[0].set_ylabel("relative L1 error")
    lines = [pyplot.Line2D([], [], color=colour, marker="o") for colour in of_method.values()]
    heading = {"title": "solid: true, dashed: estimated", "fontsize": 8, "title_fontsize": 8}
    if len(panels) < rows * columns:
        figure.legend(lines, of_method, loc="lower right", **heading)  # in the empty place
    else:
        axes.flat[0].legend(lines, of_method, **heading)
    figure.savefig(file, dpi=150)
    pyplot.close(figure)


def _methods(errors: Iterable[Errors]) -> list[str]:
    return list(dict.fromkeys(found.method for found in errors))


def _panel(axis: Any, errors: Sequence[Errors], colours: Mapping[str, str]) -> None:
    for method in _methods(errors):
        own = sorted((f for f in errors if f.method == method), key=lambda f: f.gradients)
        at, colour = [found.gradients for found in own], colours[method]
        axis.plot(at, [np.median(f.true) for f in own], color=colour, marker="o", label=method)
        low, high = np.transpose([np.quantile(f.true, [0.05, 0.95]) for f in own])
        axis.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
        estimated = [np.median(f.estimated) for f in own]
        axis.plot(at, estimated, color=colour, linestyle="--", linewidth=1)
    axis.set(xscale="log", yscale="log", xlabel="gradients a row")
    ticks = sorted({found.gradients for found in errors})
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.axhline(GOAL, color="#888888", linewidth=0.8)
    axis.grid(alpha=0.25)
