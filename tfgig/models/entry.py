"""Where an explanation of a model looks, if the user does not say: at its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from tfgig.models.cut import Concrete, Cut, cut_at_inputs
from tfgig.models.gradients import check_gradient
from tfgig.models.graph_cut import cut_behind_decoding
from tfgig.spec import check


class Cuts(NamedTuple):
    """The cut that is explained; that at the inputs, if there is one; and those at any layer."""

    cut: Cut
    entry: Cut | None
    cut_at: Callable[[str | None], Cut]


def cuts_of(
    serve: Concrete,
    inputs: Sequence[tf.TensorSpec],
    layer: str | None,
    cut_at_layer: Callable[[str | None], Cut],
    where: str,
    layers: Sequence[str] = (),
) -> Cuts:
    """The cut of a model that is explained at its inputs or at a layer.

    Args:
        serve: The model: its inputs to `ModelOutputs`.
        inputs: What it takes.
        layer: The name of an input or a layer; None for all inputs of floats or, where there are
            none, for what is decoded from the others.
        cut_at_layer: The cut at the output of a layer.
        where: What was loaded, for the error.
        layers: The names of the layers, where they are not those of the graph.

    Raises:
        ValueError: there is no such layer, nothing to explain, or no gradient of it.
    """
    names = {spec.name: spec.dtype for spec in inputs}

    def cut_at(name: str | None) -> Cut:
        if name is not None and name in names and names[name].is_floating:
            cut = cut_at_inputs(serve, inputs, [name])
            check_gradient(cut, where)
            return cut
        check(
            name is None or name not in names,
            "An input without a gradient cannot be explained; name a layer behind it.",
            f"layer={name!r}, an input of {name is not None and names.get(name)}",
        )
        cut = cut_at_layer(name)
        check_gradient(cut, where)
        return cut

    if layer is None:
        entry = _entry(serve, inputs, where, layers)
        check_gradient(entry, where)
        return Cuts(entry, entry, cut_at)
    cut = cut_at(layer)
    try:
        return Cuts(cut, _entry(serve, inputs, where, layers), cut_at)
    except ValueError:  # such as a model of ids, which has no other place to look at
        return Cuts(cut, None, cut_at)


def _entry(
    serve: Concrete, inputs: Sequence[tf.TensorSpec], where: str, layers: Sequence[str]
) -> Cut:
    floats = [spec.name for spec in inputs if spec.dtype.is_floating]
    if floats:
        return cut_at_inputs(serve, inputs, floats)
    return cut_behind_decoding(serve, inputs, where, layers)
