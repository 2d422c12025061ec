"""The published tables: what was measured, by which methods and parameters, and what was found.

`guided_ig/1` to `guided_ig/4` are the tables of the Guided IG paper, `idgi/...` those of a later
study of IDGI. Where a paper names a parameter, it is taken from there; where it refers to its
authors' code, from that (the quadratures, SmoothGrad, all of the study's methods).

References:
    Kapishnikov et al. (2021), Guided Integrated Gradients: an Adaptive Path Method for Removing
    Noise, arXiv:2106.09788; Singhi and Kumari (2024), Strengthening Interpretability: An
    Investigative Study of Integrated Gradient Methods, arXiv:2409.09043.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any, NamedTuple, cast

from tfgig.baselines import Baseline
from tfgig.evaluation.experiment import Keep
from tfgig.evaluation.variants import named_baselines, with_option
from tfgig.methods import Edge, GradCAM, Gradient, Method, PathIntegral, Smooth
from tfgig.metrics import ClosedPath, Metric
from tfgig.metrics.subject import EvaluatedMethod
from tfgig.paths import Anchored, Blur, Guided, Straight
from tfgig.quadratures import Endpoints, Left, Right
from tfgig.regions import Regional
from tfgig.rules import ImportantDirection
from tfgig.spec import members, nearest

_BASELINE_NAMES = {"black": "black", "black + white": "black_white", "2 random": "random_2"}
_STEPS = {"guided_ig": 200, "idgi": 128}
# What each paper asks of an image: annotated and among the top five; or predicted rightly.
_KEEP: dict[str, Keep] = {"guided_ig": "top_5", "idgi": "correct"}
_OF_ONE_KIND = {"Gradients": Gradient(), "Edge": Edge(), "GradCAM": GradCAM()}
_SMOOTH = "SmoothGrad + "
_REGIONS = "XRAI + "
_IDGI = " + IDGI"


class Protocol(NamedTuple):
    """One published table, and how to measure the like."""

    name: str
    what: str
    metric: Metric
    column: str
    methods: dict[str, EvaluatedMethod]  # by the table's row
    keep: Keep
    published: dict[str, dict[str, float]]  # by the paper's model, by row
    skipped: tuple[str, ...] = ()  # rows that are not to be measured


def names() -> tuple[str, ...]:
    """The published tables that there are."""
    return tuple(_published())


def get(name: str, value_range: tuple[float, float]) -> Protocol:
    """The protocol of a table, for a model with this `value_range` (black, white).

    Raises:
        ValueError: the name is unknown; the error suggests the nearest.
    """
    tables = _published()
    if name not in tables:
        raise ValueError(f"Unknown published table {name!r}. {nearest(name, tables)}")
    table = tables[name]
    paper = name.split("/")[0]
    rows = dict.fromkeys(row for figures in table["figures"].values() for row in figures)
    metric: Any = next(kind for kind in members(Metric) if kind.kind == table["metric"])
    return Protocol(
        name,
        table["what"],
        ClosedPath(trips=50) if metric is ClosedPath else metric(),
        table["column"],
        {row: _method(paper, row, value_range) for row in rows},
        _KEEP[paper],
        table["figures"],
    )


@functools.cache
def _published() -> dict[str, Any]:
    file = resources.files("tfgig.evaluation") / "published.json"
    return json.loads(file.read_text(encoding="utf-8"))


def _method(paper: str, row: str, value_range: tuple[float, float]) -> EvaluatedMethod:
    """What a row stands for, such as "XRAI + GIG(20), black + white" or "IG + IDGI, 64 steps"."""
    label, _, option = row.removeprefix(_REGIONS).partition(", ")
    baselines = named_baselines(value_range)
    method: EvaluatedMethod = _plain(paper, label, baselines["black"])
    if option.endswith(" steps"):
        method = with_option(method, "steps", int(option.removesuffix(" steps")))
    elif option:
        method = with_option(method, "baseline", baselines[_BASELINE_NAMES[option]])
    return Regional(cast(Method, method)) if row.startswith(_REGIONS) else method


def _plain(paper: str, label: str, black: Baseline) -> Method:
    steps = _STEPS[paper]
    if label.startswith(_SMOOTH):
        inner = _plain(paper, label.removeprefix(_SMOOTH), black)
        return Smooth(inner, samples=25, spread=0.15)
    if label.endswith(_IDGI):
        plain = cast(PathIntegral, _plain(paper, label.removesuffix(_IDGI), black))
        return PathIntegral(plain.path, ImportantDirection(), Left(), steps)
    if label == "IG":
        return PathIntegral(Straight(black), quadrature=Endpoints(), steps=steps)
    if label in ("Blur IG", "BlurIG"):
        blur = Blur(spacing="linear", padding="zero", grad_step=0.01)
        return PathIntegral(blur, quadrature=Right(), steps=steps)
    if label == "GIG":
        return PathIntegral(Guided(black), quadrature=Left(), steps=steps)
    if label == "Guided IG":
        label = "GIG(0)"
    if label.startswith("GIG("):
        anchored = Anchored(Guided(black, 0.1, 1.0), int(label[4:-1]))
        return PathIntegral(anchored, quadrature=Left(), steps=steps)
    return _OF_ONE_KIND[label]
