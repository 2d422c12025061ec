"""Values of baselines, for one tensor that is explained or, by their names, for several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import numpy as np
import tensorflow as tf

from tfgig.baselines.base import fitted
from tfgig.objective import Objective
from tfgig.spec import check

ByName = tuple[tuple[str, Any], ...]


def is_by_name(value: Any) -> TypeGuard[ByName]:
    """Whether a field of a spec holds values by the names of what is explained."""
    return (
        isinstance(value, tuple)
        and len(value) > 0
        and all(isinstance(v, tuple) and len(v) == 2 and isinstance(v[0], str) for v in value)
    )


def each(value: Any, make: Callable[[Any, str], Any], what: str) -> Any:
    """`make(value, its name)`, or, of a mapping, pairs of names and such; as fields of specs."""
    if is_by_name(value):
        value = dict(value)
    if not isinstance(value, Mapping):
        return make(value, what)
    check(len(value) > 0, f"{what} by name needs at least one name.", value)
    return tuple((name, make(v, f"{what}[{name!r}]")) for name, v in sorted(value.items()))


def starts(value: Any, inputs: tf.Tensor, objective: Objective | None, what: str) -> tf.Tensor:
    """The baselines [K, B, ...] of inputs [B, ...].

    Args:
        value: [K, ...], of the inputs' shape or one that broadcasts to it; or pairs of the name
            of an explained tensor and such values.
        inputs: [B, ...].
        objective: What says which tensors are explained.
        what: The value, in words, for errors.

    Raises:
        ValueError: it is of another shape; several tensors are explained, and it is not given by
            their names; or it is, and has other names.
    """
    parts = () if objective is None else objective.parts
    dtype = inputs.dtype.as_numpy_dtype
    names = [part.name for part in parts]
    if not is_by_name(value):
        check(
            len(parts) < 2 or np.asarray(value)[0].size == 1,
            f"{what} of several inputs must be given by name, {{{names and names[0]!r}: ...}}: the "
            "order of a single array would be ambiguous.",
            f"an array of shape {np.asarray(value).shape[1:]} for {', '.join(map(str, names))}",
        )
        return fitted(tf.constant(np.asarray(value, dtype)), inputs, what)
    given = dict(value)
    check(
        set(given) == set(names),
        f"{what} by name must use the names of the explained inputs: {', '.join(map(str, names))}.",
        sorted(given),
    )
    if len(parts) == 1:
        return fitted(tf.constant(np.asarray(given[names[0]], dtype)), inputs, what)
    flat = [_flat(np.asarray(given[part.name], dtype), part, what) for part in parts]
    return fitted(tf.constant(np.concatenate(flat, 1)), inputs, what)


def _flat(values: np.ndarray, part: tf.TensorSpec, what: str) -> np.ndarray:
    """Values [K, ...] of one explained tensor as [K, features]."""
    shape, count = part.shape.as_list()[1:], len(values)
    missing = [1] * (len(shape) + 1 - values.ndim)
    try:
        whole = np.broadcast_to(values.reshape(count, *missing, *values.shape[1:]), (count, *shape))
        return whole.reshape(count, -1)
    except ValueError as error:
        raise ValueError(
            f"{what} for {part.name!r} must be a number, or an array of shape "
            f"{tuple(part.shape[1:])}. Received: a value of shape {values.shape[1:]}."
        ) from error
