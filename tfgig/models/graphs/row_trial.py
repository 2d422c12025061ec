"""Whether rows are rows, tried out: each of three by itself, and beside the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from tfgig.models.graphs.cut import Concrete, Cut
from tfgig.models.graphs.examples import ROWS, Examples, Rows
from tfgig.models.graphs.gradients import nodes, own_name

# Who stands beside whom: all three; the other way round; two of them; the shortest alone.
_COMPANIES = ((0, 1, 2), (2, 1, 0), (2, 0), (1,))
_FACTORS = (1.0, 0.875, 1.125)  # of the points of each row, so that rows differ behind a table too
_AGAIN = 8  # runs of what draws random numbers
_PREAMBLE = ("Graph execution error", "Detected at node", "<stack traces")
_NARROW = (types_pb2.DT_HALF, types_pb2.DT_BFLOAT16, types_pb2.DT_INT8)


@dataclasses.dataclass(frozen=True)
class Trial:
    """What came of a trial.

    Args:
        doubt: Why nothing could be tried; None if it was.
        explained: What is wrong with the rows of what is explained, or of what goes along.
        outputs: By the name of an output of floats: what is wrong with its rows; None if nothing.
    """

    doubt: str | None = None
    explained: str | None = None
    outputs: dict[str, str | None] = dataclasses.field(default_factory=dict)


def try_rows(cut: Cut, front: Concrete, examples: Examples) -> Trial:
    """Runs a model's two parts on three rows: together, in another order, two, and one alone.

    Args:
        cut: Where it is cut.
        front: The cut's, traced.
        examples: The candidates for rows; the first that the model takes is used.
    """
    if not tf.executing_eagerly():  # such as while a model is read and not run
        return Trial(
            doubt="the graph does not show it, and nothing was run; loading the model tests it"
        )
    doubt = "no valid input is known"
    for rows in examples:
        try:
            found = _tried(cut, front, rows)
        except (tf.errors.OpError, ValueError, TypeError) as error:
            doubt = _first_line(error)
            continue
        if found is not None:
            return found
        doubt = "the scores were not finite"
    return Trial(doubt=f"the model rejected every generated input ({doubt})")


def have_rows(function: Concrete, examples: Examples) -> list[bool] | None:
    """Which outputs of a function of the inputs have independent rows; None if it is not known."""
    if not tf.executing_eagerly():
        return None
    for rows in examples:
        try:
            runs = [function(*(tf.gather(v, company) for v in rows)) for company in _COMPANIES]
        except (tf.errors.OpError, ValueError, TypeError):
            continue
        tolerance = _tolerance(function)
        return [_mixed(values, tolerance) is None for values in zip(*runs, strict=True)]
    return None


def _tried(cut: Cut, front: Concrete, rows: Rows) -> Trial | None:
    """What is found on three rows; None if scores are not finite."""
    names = [cut.points.name or "points", *(spec.name or "context" for spec in cut.context)]
    made = [front(*(tf.gather(values, company) for values in rows)) for company in _COMPANIES]
    tolerance = _tolerance(front, cut.forward)
    for place, name in enumerate(names):
        wrong = _mixed([outputs[place] for outputs in made], tolerance)
        if wrong is not None:
            return Trial(explained=f"{name!r} {wrong}")
    scored = [
        cut.forward(_spread(points, company), *context)
        for company, (points, *context) in zip(_COMPANIES, made, strict=True)
    ]
    again = []
    if _draws(cut.forward):  # what the front draws differs from company to company
        points, *context = made[0]
        again = [cut.forward(_spread(points, _COMPANIES[0]), *context) for _ in range(_AGAIN)]
    outputs: dict[str, str | None] = {}
    for name, value in scored[0].values.items():
        if not value.dtype.is_floating:
            continue
        if not np.isfinite(_numbers(value)).all():
            return None
        kinds = ("values", "logits")
        for kind in kinds:
            if name in getattr(scored[0], kind) and outputs.get(name) is None:
                runs = [getattr(found, kind)[name] for found in scored]
                repeated = [getattr(found, kind)[name] for found in again]
                outputs[name] = _mixed(runs, tolerance) or _changing(runs[0], repeated)
    return Trial(outputs=outputs)


def _spread(points: tf.Tensor, company: Sequence[int]) -> tf.Tensor:
    if points.shape.rank == 0 or points.shape[0] != len(company):
        return points
    factors = tf.constant([_FACTORS[row] for row in company], tf.float32)
    factors = tf.reshape(factors, [-1] + [1] * (points.shape.rank - 1))
    return tf.cast(tf.cast(points, tf.float32) * factors, points.dtype)


def _mixed(runs: Sequence[tf.Tensor], tolerance: float) -> str | None:
    """What is wrong with the rows of a tensor in the companies; None if nothing is."""
    for company, values in zip(_COMPANIES, runs, strict=True):
        if values.shape.rank == 0:
            return "is a single number, not a row"
        if values.shape[0] != len(company):
            return f"has {values.shape[0]} rows for a batch of {len(company)}"
    whole = _numbers(runs[0])
    for company, values in zip(_COMPANIES[1:], runs[1:], strict=True):
        for place, row in enumerate(company):
            beside, apart = whole[row], _numbers(values)[place]
            where = _differ(beside, apart, tolerance * _range(whole))
            if where is not None:
                return f"depends on other rows: {where}"
    return None


def _changing(first: tf.Tensor, again: Sequence[tf.Tensor]) -> str | None:
    for values in again:
        if not np.array_equal(_numbers(first), _numbers(values)):
            return "changes between calls: it draws random numbers"
    return None


def _numbers(values: tf.Tensor) -> np.ndarray:
    if values.dtype.is_floating:
        values = tf.cast(values, tf.float64)
    return values.numpy()


def _range(values: np.ndarray) -> float:
    if values.dtype != np.float64 or not values.size:
        return 0.0
    return float(np.abs(np.nan_to_num(values)).max())


def _differ(beside: np.ndarray, apart: np.ndarray, tolerance: float) -> str | None:
    """Where a row differs, as far as both go: a longest text may make others longer."""
    common = tuple(map(slice, np.minimum(np.shape(beside), np.shape(apart))))
    first, second = np.asarray(beside)[common], np.asarray(apart)[common]
    if first.dtype != np.float64:
        different = first != second
    else:
        both = np.isnan(first) & np.isnan(second)
        with np.errstate(invalid="ignore"):
            different = ~((np.abs(first - second) <= tolerance) | (first == second) | both)
    if not np.any(different):
        return None
    place = np.unravel_index(np.argmax(different), np.shape(different))
    return f"{_short(first[place])} in a batch of {ROWS}, {_short(second[place])} in another"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def _tolerance(*functions: Concrete) -> float:
    """By which share of the largest value a row may differ for rounding alone."""
    for function in functions:
        for node in nodes(function.graph.as_graph_def()):
            if any(value.type in _NARROW for value in node.attr.values()):
                return 3e-2
    return 1e-3


def _draws(function: Concrete) -> bool:
    """Whether a graph draws random numbers anew at each call."""
    return any(map(_is_drawing, nodes(function.graph.as_graph_def())))


def _is_drawing(node: tf.compat.v1.NodeDef) -> bool:
    return "Random" in node.op or node.op in ("Multinomial", "StatefulUniform")


def cause(function: Concrete) -> str:
    """Words for an operation of a graph that mixes rows, or draws; empty if none is known."""
    for node in nodes(function.graph.as_graph_def()):
        if node.op.startswith("FusedBatchNorm") and node.attr["is_training"].b:
            return f"the op {node.op} {own_name(node)!r} normalises over the batch"
        if _is_drawing(node):
            return f"the op {node.op} {own_name(node)!r} draws random numbers"
    return ""


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [
        line for line in lines if not line.startswith(("Graph execution", "Detected at", "<st"))
    ]
    return (told or [type(error).__name__])[0]
