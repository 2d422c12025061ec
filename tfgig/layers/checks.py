"""The front door's checks: a bad request gets an error that names the row and the fix."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfgig.targets import TOP_CLASS


def check_shape(shape: tf.TensorShape, points: tf.TensorSpec) -> None:
    """Raises `ValueError` unless inputs of this shape fit the model's [None, ...]."""
    if shape.rank is not None and shape.rank == points.shape.rank - 1:
        hint = " Is the batch axis missing? Use inputs[np.newaxis]."
    else:
        hint = ""
    if not points.shape.is_compatible_with(shape):
        wanted = ["B", *points.shape[1:]]
        raise ValueError(
            f"The model takes inputs of shape [{', '.join(map(str, wanted))}].{hint} "
            f"Received: shape {tuple(shape)}."
        )


def check_values(inputs: Any) -> None:
    """Raises `ValueError` where a row of the inputs [B, ...] holds a NaN or an infinity."""
    inputs = np.asarray(inputs, np.float32)
    if not len(inputs):
        raise ValueError("There is nothing to explain. Received: an empty batch.")
    finite = np.isfinite(inputs).reshape(len(inputs), -1).all(1)
    if not finite.all():
        rows = np.flatnonzero(~finite).tolist()
        raise ValueError(
            "Inputs must be finite; replace NaN and infinity before explaining. "
            f"Received: such values in row{'s' if len(rows) > 1 else ''} {_some(rows)}."
        )


def check_targets(target: Any, rows: int, classes: int | None) -> None:
    """Raises `ValueError` unless `target` is one class, or one for each of the rows."""
    target = np.asarray(target)
    if target.dtype.kind not in "iu" or target.shape not in ((), (1,), (rows,)):
        raise ValueError(
            f"`target` is one class index, or one for each of the {rows} rows. "
            f"Received: {target.dtype} of shape {target.shape}."
        )
    if classes is None:
        return
    target = np.broadcast_to(target, [rows])
    bad = np.flatnonzero((target < TOP_CLASS) | (target >= classes))
    if bad.size:
        raise ValueError(
            f"A target is a class from 0 to {classes - 1}, or {TOP_CLASS} for the top class. "
            f"Received: {int(target[bad[0]])} in row {bad[0]}."
        )


def check_ok(ok: Any) -> None:
    """Raises `ValueError` where a row [B] of an explanation of good inputs is not ok."""
    rows = np.flatnonzero(~np.asarray(ok)).tolist()
    if rows:
        raise ValueError(
            "On the way from the baseline to the input a score or a gradient is not finite; try "
            'another baseline, or ClassScore(output="logits"). '
            f"Received: such a way in row{'s' if len(rows) > 1 else ''} {_some(rows)}."
        )


def _some(rows: list[int]) -> str:
    return ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
