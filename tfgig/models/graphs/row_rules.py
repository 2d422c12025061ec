"""Rules by the type of an operation: what becomes of rows in it (see `row_flow.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, Union

import tensorflow as tf

# Free of the inputs; their sizes; how many rows each example has here; or nothing known.
State: TypeAlias = Union[Literal["free", "sizes"], int, None]  # noqa: UP007 -- an alias
States: TypeAlias = Sequence[State]
FREE: Literal["free"] = "free"
SIZES: Literal["sizes"] = "sizes"

_VALUE_BY_VALUE = """
    Abs Acos Acosh Add AddN AddV2 AsString Asin Asinh Atan Atan2 Atanh Bucketize Cast Ceil
    CheckNumerics ClipByValue Cos Cosh DecodeBase64 Digamma Div DivNoNan Elu EnsureShape Equal
    Erf Erfc Exp Expm1 FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars Floor FloorDiv FloorMod
    Greater GreaterEqual Identity Inv IsFinite IsInf IsNan LeakyRelu Less LessEqual Lgamma Log
    Log1p LogicalAnd LogicalNot LogicalOr Maximum Minimum Mod Mul MulNoNan Neg NotEqual OnesLike
    Pow PreventGradient RealDiv Reciprocal Relu Relu6 Rint Round Rsqrt Select SelectV2 Selu
    Sigmoid Sign Sin Sinh Snapshot Softplus Softsign Sqrt Square SquaredDifference
    StaticRegexReplace StopGradient StringLength StringLower StringStrip StringToHashBucket
    StringToHashBucketFast StringToNumber StringUpper Sub Tan Tanh TruncateDiv TruncateMod Xdivy
    Xlog1py Xlogy ZerosLike
"""
# Of the first input's rows, each by itself; the others are free of the inputs.
_ROW_BY_ROW = """
    AvgPool AvgPool3D BiasAdd Conv2D Conv3D DepthToSpace DepthwiseConv2dNative LRN MaxPool
    MaxPool3D ResizeBicubic ResizeBilinear ResizeNearestNeighbor SpaceToDepth
"""
_ALONG_THE_LAST = ("Softmax", "LogSoftmax", "TopKV2")
_REDUCTIONS = ("Mean", "Sum", "Max", "Min", "Prod", "Any", "All", "ArgMax", "ArgMin")
_ALONG_AN_AXIS = (*_REDUCTIONS, "Cumsum", "Cumprod", "ReverseV2")
_NORMALISATIONS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


def of_rows(op: tf.Operation, states: States) -> State | list[State]:
    """What the outputs of an operation are, of whose inputs some hold rows and all are known."""
    if op.type in ("Shape", "ShapeN", "Size", "Rank"):
        return SIZES
    if op.type in _VALUE_BY_VALUE.split():
        return _aligned(op.inputs, states)
    if op.type in _ROW_BY_ROW.split():
        return _first(states)
    rule = _RULES.get(op.type)
    return None if rule is None else rule(op, states)


def _first(states: States) -> State:
    """The state of the first input, where the others are free of the inputs."""
    return states[0] if all(state == FREE for state in states[1:]) else None


def _group(states: States) -> State:
    """How many rows an example has in all of these alike."""
    found = {state for state in states if isinstance(state, int)}
    return found.pop() if len(found) == 1 else None


def _aligned(tensors: Sequence[tf.Tensor], states: States) -> State:
    """Of what is computed value by value, broadcast against each other."""
    ranks = [tensor.shape.rank for tensor in tensors]
    if None in ranks or SIZES in states:
        return None
    rank = max(ranks)
    for tensor, state in zip(tensors, states, strict=True):
        own = tensor.shape.rank
        if own != rank and state != FREE:
            return None
        if own == rank and state == FREE and tensor.shape[0] != 1:
            return None
    return _group(states)


def _constant(tensor: tf.Tensor) -> Any:
    return tf.get_static_value(tensor)


def _beside_the_batch(axes: Any, rank: int | None) -> bool:
    """Whether axes are known, and none of them is the first."""
    if axes is None or rank is None:
        return False
    flat = axes.reshape(-1).tolist()
    return all(axis % rank != 0 for axis in flat)


def _along_an_axis(op: tf.Operation, states: States) -> State:
    axes = _constant(op.inputs[1])
    return _first(states) if _beside_the_batch(axes, op.inputs[0].shape.rank) else None


def _along_the_last(op: tf.Operation, states: States) -> State:
    rank = op.inputs[0].shape.rank
    return _first(states) if rank is not None and rank >= 2 else None


def _normalised(op: tf.Operation, states: States) -> State | list[State]:
    if op.get_attr("is_training") or _first(states) is None:
        return None
    return [states[0], *[FREE] * (len(op.outputs) - 1)]


def _reshaped(op: tf.Operation, states: States) -> State:
    before, after = op.inputs[0].shape, op.outputs[0].shape
    rows = states[0]
    if not isinstance(rows, int) or not before.rank or not after.rank:
        return None
    sizes = [shape[1:].num_elements() for shape in (before, after)]
    if None in sizes or 0 in sizes or after[0] is not None:
        return None
    values, left = divmod(rows * sizes[0], sizes[1])
    return values if left == 0 else None


def _transposed(op: tf.Operation, states: States) -> State:
    order = _constant(op.inputs[1])
    return states[0] if order is not None and len(order) and order[0] == 0 else None


def _padded(op: tf.Operation, states: States) -> State:
    paddings = _constant(op.inputs[1])
    return _first(states) if paddings is not None and not paddings[0].any() else None


def _tiled(op: tf.Operation, states: States) -> State:
    multiples = _constant(op.inputs[1])
    return states[0] if multiples is not None and multiples[0] == 1 else None


def _joined(op: tf.Operation, states: States) -> State:
    if any(not isinstance(state, int) for state in states[:-1]):
        return None
    axis = _constant(op.inputs[-1])
    return _group(states) if _beside_the_batch(axis, op.inputs[0].shape.rank) else None


def _packed(op: tf.Operation, states: States) -> State:
    rank = op.outputs[0].shape.rank
    if rank is None or op.get_attr("axis") % rank == 0 or FREE in states or SIZES in states:
        return None
    return _group(states)


def _unpacked(op: tf.Operation, states: States) -> State:
    rank = op.inputs[0].shape.rank
    return states[0] if rank and op.get_attr("axis") % rank != 0 else None


def _split(op: tf.Operation, states: States) -> State:
    place = {"Split": 1, "SplitV": 0}[op.type]
    axis = _constant(op.inputs[0 if op.type == "Split" else 2])
    return states[place] if _beside_the_batch(axis, op.inputs[place].shape.rank) else None


def _expanded(op: tf.Operation, states: States) -> State:
    return (
        states[0] if _beside_the_batch(_constant(op.inputs[1]), op.outputs[0].shape.rank) else None
    )


def _squeezed(op: tf.Operation, states: States) -> State:
    axes, rank = op.get_attr("squeeze_dims"), op.inputs[0].shape.rank
    return states[0] if axes and rank and all(axis % rank for axis in axes) else None


def _sliced(op: tf.Operation, states: States) -> State:
    if any(state not in (FREE, SIZES) for state in states[1:]):
        return None
    if op.get_attr("ellipsis_mask") & 1:
        entries = _constant(op.inputs[1])
        rank = op.inputs[0].shape.rank
        return states[0] if entries is not None and rank and len(entries) <= rank else None
    strides = _constant(op.inputs[3])
    masks = [op.get_attr(name) & 1 for name in ("begin_mask", "end_mask")]
    others = [op.get_attr(name) & 1 for name in ("new_axis_mask", "shrink_axis_mask")]
    whole = all(masks) and not any(others) and strides is not None and strides[0] == 1
    return states[0] if whole else None


def _gathered(op: tf.Operation, states: States) -> State:
    table, rows, axis = op.inputs[0], states[1], _constant(op.inputs[2])
    batched = op.get_attr("batch_dims")
    if axis is None or SIZES in states:
        return None
    if states[0] == FREE and axis == 0 and not batched:
        return rows
    if rows == FREE and not batched and _beside_the_batch(axis, table.shape.rank):
        return states[0]
    return _group(states) if batched and FREE not in states[:2] else None


def _looked_up(op: tf.Operation, states: States) -> State:
    if op.type == "ResourceGather" and op.get_attr("batch_dims"):
        return None
    if op.type == "GatherNd" and (op.inputs[1].shape.rank or 0) < 2:
        return None  # one place, and not one for each row
    return states[1] if states[0] == FREE and SIZES not in states else None


def _one_hot(op: tf.Operation, states: States) -> State:
    axis = op.get_attr("axis")
    return _first(states) if axis != 0 and op.inputs[0].shape.rank else None


def _multiplied(op: tf.Operation, states: States) -> State:
    if op.type == "MatMul":
        return _first(states) if not op.get_attr("transpose_a") else None
    first, second = (tensor.shape for tensor in op.inputs)
    if first.rank is None or first.rank < 3 or second.rank is None or SIZES in states:
        return None
    if states[1] == FREE:
        return states[0] if second.rank < first.rank or second[0] == 1 else None
    return _group(states) if FREE not in states and first.rank == second.rank else None


def _summed(op: tf.Operation, states: States) -> State:
    """An einsum: one letter stands for the batch, first wherever there are rows."""
    equation = op.get_attr("equation").decode()
    taken, _, made = equation.partition("->")
    terms = taken.split(",")
    batch = made[:1]
    if SIZES in states or not batch.isalpha():
        return None
    for term, state in zip(terms, states, strict=True):
        if term[:1] != batch if isinstance(state, int) else batch in term:
            return None
    return _group(states)


def _parsed(op: tf.Operation, states: States) -> list[State]:
    dense, found = len(op.get_attr("Tdense")), len(op.outputs)
    sparse = 3 * op.get_attr("num_sparse")  # after these, the dense ones; then what is ragged
    if _first(states) != 1:
        return [None] * found
    return [1 if sparse <= place < sparse + dense else None for place in range(found)]


_RULES: dict[str, Callable[[tf.Operation, States], State | list[State]]] = {
    **dict.fromkeys(_ALONG_AN_AXIS, _along_an_axis),
    **dict.fromkeys(_ALONG_THE_LAST, _along_the_last),
    **dict.fromkeys(_NORMALISATIONS, _normalised),
    **dict.fromkeys(("Pad", "PadV2", "MirrorPad"), _padded),
    **dict.fromkeys(("Split", "SplitV"), _split),
    **dict.fromkeys(("ResourceGather", "LookupTableFindV2", "GatherNd"), _looked_up),
    **dict.fromkeys(("MatMul", "BatchMatMulV2", "BatchMatMulV3"), _multiplied),
    "ConcatV2": _joined,
    "Einsum": _summed,
    "ExpandDims": _expanded,
    "GatherV2": _gathered,
    "OneHot": _one_hot,
    "Pack": _packed,
    "ParseExampleV2": _parsed,
    "Reshape": _reshaped,
    "Squeeze": _squeezed,
    "StridedSlice": _sliced,
    "Tile": _tiled,
    "Transpose": _transposed,
    "Unpack": _unpacked,
}
