"""Inputs of one value for the whole batch, such as `is_training`: fixed where a model is explained.

They have no rows, so that no row can have its own; predictions keep them as inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfgig.exported.fit import fit
from tfgig.models.graphs.refusal import CannotExplain, check
from tfgig.spec import nearest

Constants = Mapping[str, Any]  # values by the inputs' names


def fixed_of(
    specs: Sequence[tf.TensorSpec],
    constants: Constants | None,
    defaults: Mapping[str, np.ndarray],
    where: str,
) -> dict[str, np.ndarray]:
    """The values of the inputs that are fixed, by their names.

    Args:
        specs: What the model takes.
        constants: What the user fixes.
        defaults: What the model itself says for an input that is not given.
        where: What was loaded, for the error.

    Raises:
        CannotExplain: the model has no such input, it has rows, or does not take the value.
    """
    by_name = {str(spec.name): spec for spec in specs}
    found = {
        name: value
        for name, value in defaults.items()
        if name in by_name and not has_rows(by_name[name])
    }
    for name, value in (constants or {}).items():
        check(
            name in by_name,
            f"`constants` must use input names. {nearest(name, by_name)}",
            f"constants={dict(constants or {})} for {where}",
        )
        spec = by_name[name]
        check(
            not has_rows(spec),
            f"`constants` may fix only inputs with one value for the whole batch, and {name!r} has "
            "rows; leave it out.",
            f"{where}, {name!r} of shape {spec.shape}",
        )
        try:
            found[name] = fit(value, spec)
        except (TypeError, ValueError) as error:
            raise CannotExplain(f"`constants`: {error} For {where}.") from error
    return found


def has_rows(spec: tf.TensorSpec) -> bool:
    """Whether the first axis of a tensor may be the batch: it is open, or not known."""
    return spec.shape.rank is None or (spec.shape.rank > 0 and spec.shape[0] is None)


def advice(specs: Sequence[tf.TensorSpec]) -> str:
    """How inputs are fixed, with a value of their types as examples."""
    examples = {tf.bool: ("False", "false"), tf.string: ("'...'", "...")}
    values = [(spec.name, *examples.get(spec.dtype, ("1", "1"))) for spec in specs]
    words = ", ".join(f"{name!r}: {value}" for name, value, _ in values)
    flags = ",".join(f"{name}={flag}" for name, _, flag in values)
    return f"constants={{{words}}} (--constants={flags})"
