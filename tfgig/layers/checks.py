"""The front door's checks: a bad request gets an error that names the row and the fix."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfgig.explaining import may_be_nan
from tfgig.exported.fit import check_shape, check_type, fit, fit_targets
from tfgig.methods.error import exceeds_change
from tfgig.models.graphs.cut import Cut
from tfgig.targets import TOP_CLASS


def as_tensor(value: Any, spec: tf.TensorSpec) -> tf.Tensor:
    """A value as a tensor of a spec's dtype; numbers may be of another, as `fit` has it.

    Raises:
        TypeError: it is of another type.
        ValueError: it is of another shape; called eagerly, a number that the dtype does not hold.
    """
    tensor = tf.convert_to_tensor(value)
    if tf.executing_eagerly():
        fit(tensor, spec)
    else:
        check_type(tensor.dtype, spec)
        check_shape(tensor.shape, spec)
    return tf.cast(tensor, spec.dtype) if tensor.dtype != spec.dtype else tensor


def check_names(names: Iterable[str], known: Sequence[str]) -> None:
    """Raises `ValueError` unless exactly these inputs are given."""
    if set(names) != set(known):
        raise ValueError(
            f"The model's inputs are {', '.join(known)}. Received: {', '.join(names)}."
        )


def check_count(inputs: Any, names: Sequence[str]) -> None:
    """Raises `ValueError` unless there is a value for each input."""
    if not isinstance(inputs, (list, tuple)) or len(inputs) != len(names):
        count = len(inputs) if isinstance(inputs, (list, tuple)) else 1
        raise ValueError(
            f"The model needs {len(names)} inputs, as a list in the order {', '.join(names)} or as "
            f"a dictionary. Received: {count}."
        )


def check_rows(shapes: Sequence[tf.TensorShape], specs: Sequence[tf.TensorSpec]) -> None:
    """Raises `ValueError` unless inputs of these shapes have as many rows."""
    rows = {shape[0] for shape in shapes} - {None}
    if len(rows) > 1:
        raise ValueError(
            "Every input needs one row per example. Received: "
            f"{', '.join(f'{spec.name} of {s[0]}' for s, spec in zip(shapes, specs, strict=True))}."
        )


def check_values(tensors: Sequence[tf.Tensor], specs: Sequence[tf.TensorSpec], cut: Cut) -> None:
    """Raises `ValueError` where a row of the inputs [B, ...] holds a NaN or an infinity.

    In front of what is explained, the model may fill in what is missing.
    """
    for tensor, spec in zip(tensors, specs, strict=True):
        if not len(tensor):
            raise ValueError("An explanation needs at least one row. Received: an empty batch.")
        if not spec.dtype.is_floating:
            continue
        values = tf.cast(tensor, tf.float32).numpy()
        good = ~np.isinf(values) if may_be_nan(spec, cut) else np.isfinite(values)
        finite = good.reshape(len(values), -1).all(1)
        if not finite.all():
            rows = np.flatnonzero(~finite).tolist()
            which = "" if len(specs) == 1 else f" of {spec.name!r}"
            raise ValueError(
                "Inputs must be finite; replace NaN and infinity before explaining, or name a "
                "layer behind the model's own imputation, "
                'layer="...". Received: such values in '
                f"row{'s' if len(rows) > 1 else ''} {_some(rows)}{which}."
            )


def check_targets(target: Any, rows: int, classes: int | None) -> None:
    """Raises `ValueError` unless `target` is one class, or one for each of the rows."""
    target = fit_targets(target, rows)
    if classes is None:
        return
    bad = np.flatnonzero((target < TOP_CLASS) | (target >= classes))
    if bad.size:
        raise ValueError(
            f"A target must be a class from 0 to {classes - 1}, or {TOP_CLASS} for the top class. "
            f"Received: {int(target[bad[0]])} in row {bad[0]}."
        )


def check_ok(ok: Any) -> None:
    """Raises `ValueError` where a row [B] of an explanation of good inputs is not ok."""
    rows = np.flatnonzero(~np.asarray(ok)).tolist()
    if rows:
        raise ValueError(
            "Between the baseline and the input, a score or a gradient is not finite (try another "
            'baseline, or ClassScore(output="logits")), or the '
            "model's output for these inputs has no such class, unit or position. Received: such a "
            f"path in row{'s' if len(rows) > 1 else ''} {_some(rows)}."
        )


def warn_of_gaps(explanation: Mapping[str, Any]) -> None:
    """Warns where the completeness gap exceeds the change of the score: nothing is explained."""
    delta, score, start = (np.asarray(explanation[k]) for k in ("delta", "score", "baseline_score"))
    rows = np.flatnonzero(exceeds_change(delta, score, start)).tolist()
    if rows:
        row = rows[0]
        warnings.warn(
            "The attributions do not sum to the change of the score: the gap `delta` is larger "
            "than the change itself. Use more steps, another baseline, or another place. Received: "
            f"delta {delta[row]:.3g} for a change of {score[row] - start[row]:.3g} in "
            f"row{'s' if len(rows) > 1 else ''} {_some(rows)}.",
            stacklevel=4,
        )


def _some(rows: list[int]) -> str:
    return ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
