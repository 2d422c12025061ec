"""Which inputs the tensors of a graph come from, and the first floats that are made of each.

A gradient ends where an input is no float, or is made a whole number: at the table that a category
is looked up in, at a one-hot tensor. What comes out there can be explained in the input's place.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import tensorflow as tf

from tfgig.models.graphs.cut import Column, Concrete
from tfgig.models.graphs.gradients import missing_gradient
from tfgig.models.graphs.graph_names import First, feature_of, is_decoded, is_sparse
from tfgig.models.graphs.inlining import body_of, needed_for
from tfgig.models.graphs.ways import LOOK_UPS, SIZES

_SPREADING = (*LOOK_UPS, "OneHot")  # a whole number over a width
# What a number stays itself in: a category among floats comes to its table through these alone.
_DIRECT = (
    *("Placeholder", "Identity", "Reshape", "ExpandDims", "Squeeze", "Cast", "Pack", "ConcatV2"),
    *("StridedSlice", "Slice", "Split", "SplitV", "Unpack", "Floor", "Round", "Rint", "Bucketize"),
    *("Maximum", "Minimum", "ClipByValue", "AddV2", "Sub", "SelectV2"),
)
_Names = frozenset[str]
_NOTHING: _Names = frozenset()


class Origins:
    """Where the values in a model come from.

    Args:
        serve: The model: its inputs to `ModelOutputs`.
        inputs: What it takes.
    """

    def __init__(self, serve: Concrete, inputs: Sequence[tf.TensorSpec]) -> None:
        self._body, self._outputs = body_of(serve)
        # In the body of a call the order of the inputs is another, and nothing is known of them.
        self.known = self._body is serve.graph
        self._inputs = inputs
        placeholders = serve.graph.inputs[: len(inputs)]
        self._names = {t.name: spec.name for t, spec in zip(placeholders, inputs, strict=True)}
        self._sizes = {spec.name: spec.shape for spec in inputs}
        # By tensor: the origins of its values; those of its values and of what is compared or
        # chosen by; and the first floats that its gradient flows to.
        self._values: dict[str, _Names] = {}
        self._any: dict[str, _Names] = {}
        self._first: dict[str, tuple[str, ...]] = {}
        self._made: dict[str, First] = {}
        self._direct: set[str] = set()
        self._flowed = False

    @functools.cached_property
    def first(self) -> list[First]:
        """The first floats of which the outputs are computed, in order; float inputs as they are.

        Those that only say where something is, such as masks, are left out.
        """
        self._flow()
        found = {n for t in self._outputs for n in self._first.get(t.name, ())}
        return [first for name, first in self._made.items() if name in found]

    @property
    def names(self) -> set[str]:
        """Those of the inputs, and of the features that are parsed of them."""
        self._flow()
        return set(self._sizes)

    def is_input(self, tensor: tf.Tensor) -> bool:
        """Whether a tensor is one of the inputs."""
        return tensor.name in self._names

    def reaches(self, tensor: tf.Tensor) -> bool:
        """Whether a gradient may flow from one of the first floats to the outputs."""
        return any(first.tensor.name == tensor.name for first in self.first)

    def in_order(self, firsts: Sequence[First]) -> list[First]:
        """The same in the order of the inputs, or features, that they come from."""
        order = {name: index for index, name in enumerate(self._sizes)}
        return sorted(firsts, key=lambda first: min(order[name] for name in first.origins))

    def of(self, tensor: tf.Tensor) -> _Names:
        """The inputs whose values are in a tensor."""
        self._flow()
        return self._values.get(tensor.name, _NOTHING)

    def left_out(self, explained: Sequence[tf.Tensor]) -> tuple[str, ...]:
        """The inputs that matter to the outputs and to none of some tensors, in order."""
        self._flow()
        floats = [t for t in self._outputs if t.dtype.is_floating]
        matter = _NOTHING.union(*(self._any.get(t.name, _NOTHING) for t in floats))
        told = _NOTHING.union(*(self._any.get(t.name, _NOTHING) for t in explained))
        return tuple(name for name in self._sizes if name in matter - told)

    def column(self, tensor: tf.Tensor, name: str) -> Column:
        """How the attributions of a tensor are those of the columns of a table.

        Args:
            tensor: What is explained.
            name: What it is called.
        """
        origins = self.of(tensor)
        whole = Column(name, 1, "whole")
        (origin,) = origins if len(origins) == 1 else (None,)
        if origin is None or self._sizes.get(origin) is None:
            return whole
        count = _count(self._sizes[origin])
        shape = tensor.shape[1:]
        if count is None or not shape.is_fully_defined():
            return whole
        if tensor.name in self._names or is_decoded(tensor):
            return Column(origin, count, "each") if _count(tensor.shape) == count else whole
        return Column(origin, count, "width") if math.prod(shape[:-1]) == count else whole

    def _flow(self) -> None:
        if self._flowed or not self.known:
            return
        self._flowed = True
        needed = needed_for([t for t in self._outputs if t.dtype.is_floating])
        for op in self._body.get_operations():  # in an order of computation
            if op.name not in needed or op.type in SIZES:
                continue
            if op.type == "Placeholder":
                self._enter(op.outputs[0], self._names.get(op.outputs[0].name))
                continue
            values = _NOTHING.union(*(self._values.get(t.name, _NOTHING) for t in op.inputs))
            every = _NOTHING.union(*(self._any.get(t.name, _NOTHING) for t in op.inputs))
            if every:
                self._pass(op, values, every)

    def _enter(self, tensor: tf.Tensor, name: str | None) -> None:
        if name is None:
            return  # a variable's or a table's
        self._values[tensor.name] = self._any[tensor.name] = frozenset([name])
        self._direct.add(tensor.name)
        if tensor.dtype.is_floating:
            self._make(tensor, frozenset([name]))

    def _pass(self, op: tf.Operation, values: _Names, every: _Names) -> None:
        carried = dict.fromkeys(n for t in op.inputs for n in self._first.get(t.name, ()))
        flows = bool(carried) and missing_gradient(op.node_def) is None
        direct = op.type in _DIRECT and all(
            t.name in self._direct or t.dtype == tf.bool for t in op.inputs if t.name in self._any
        )
        looked_up = self._looks_up(op)
        for output in op.outputs:
            feature = feature_of(output)
            if feature is not None:
                self._sizes[feature] = (
                    tf.TensorShape([None, 1]) if is_sparse(output) else output.shape
                )
                self._values[output.name] = self._any[output.name] = frozenset([feature])
                self._direct.add(output.name)
            else:
                self._any[output.name] = every
                # What is compared only says where something is.
                if output.dtype != tf.bool or (direct and op.type != "Cast"):
                    self._values[output.name] = values
            if direct:
                self._direct.add(output.name)
            if not (output.dtype.is_floating or output.dtype == tf.variant):
                continue
            if flows and not looked_up:
                self._first[output.name] = tuple(carried)
            elif output.dtype.is_floating and not is_sparse(output):
                origins = self._values.get(output.name, _NOTHING)
                if origins and (looked_up or not self._all_floats(origins)):
                    self._make(output, origins)

    def _looks_up(self, op: tf.Operation) -> bool:
        """Whether an operation spreads an input's whole numbers over a width."""
        if op.type not in _SPREADING:
            return False
        ids = op.inputs[0 if op.type == "OneHot" else 1]
        table = op.inputs[0] if op.type != "OneHot" else None
        own = table is None or not self._values.get(table.name)
        return own and ids.name in self._direct and bool(self._values.get(ids.name))

    def _all_floats(self, origins: _Names) -> bool:
        dtypes = {spec.name: spec.dtype for spec in self._inputs}
        return all(name in dtypes and dtypes[name].is_floating for name in origins)

    def _make(self, tensor: tf.Tensor, origins: _Names) -> None:
        self._first[tensor.name] = (tensor.name,)
        self._made[tensor.name] = First(tensor, origins)


def spreads(serve: Concrete) -> bool:
    """Whether a model looks anything up in tables, or makes one-hot tensors."""
    body, _ = body_of(serve)
    return any(op.type in _SPREADING for op in body.get_operations())


def _count(shape: tf.TensorShape) -> int | None:
    """How many values one example has; None if that is open."""
    return shape[1:].num_elements() if shape.rank is not None else None
