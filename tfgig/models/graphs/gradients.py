"""Whether a gradient reaches a model's input; if not, where it ends and what to do."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import tensorflow as tf

from tfgig.models.graphs.cut import Cut, concrete
from tfgig.models.graphs.inlining import CALLS, SCOPE, called_by
from tfgig.models.graphs.refusal import CannotExplain
from tfgig.models.graphs.tensorflow_private import registered_gradient

PYTHON_CODE = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
_OLD_LOOPS = ("Enter", "RefEnter")
_OLD_BRANCHES = ("Switch", "RefSwitch")
# They stand in many graphs beside the path of the gradient, and are not what breaks it.
_PASSING_NOTHING = ("Shape", "Size", "Rank", "ShapeN", "ZerosLike", "OnesLike", "Range", "NoOp")
_FLAT = ("Round", "Rint", "Floor", "Ceil")
# What TensorFlow says of a handle whose table it does not know, on the way of a gradient.
_NO_HANDLE = "without handle data"
_NO_HANDLE_WORDS = (
    "it passes a table's handle to a function, as TensorFlow Transform does, which TensorFlow "
    "cannot differentiate"
)
_CUT = "Explain the model behind it, at a layer: load_model(handle, layer=...) (--layer=...)."


def nodes(definition: tf.compat.v1.GraphDef) -> Iterator[tf.compat.v1.NodeDef]:
    """The nodes of a graph and, once each, of the functions that it calls."""
    library = {function.signature.name: function for function in definition.library.function}
    seen: set[str] = set()
    waiting = [definition.node]
    while waiting:
        for node in waiting.pop():
            yield node
            for name in called_by(node):
                if name in library and name not in seen:
                    seen.add(name)
                    waiting.append(library[name].node_def)


def own_name(node: tf.compat.v1.NodeDef) -> str:
    """A node's name in the model, without what the layout put before it."""
    return re.sub(rf"^({SCOPE}(_\d+)?/)+", "", node.name)


def unsaved_gradients(definition: tf.compat.v1.GraphDef) -> set[str]:
    """The names of custom gradients that a saved graph refers to but does not hold.

    TensorFlow looks them up among the gradients of the running process, where another may have
    the same name: a wrong gradient, and no error.
    """
    saved = {gradient.registered_op_type for gradient in definition.library.registered_gradients}
    functions = [function.node_def for function in definition.library.function]
    used = {_custom(node) for group in (definition.node, *functions) for node in group}
    return used - saved - {""}


def _custom(node: tf.compat.v1.NodeDef) -> str:
    """The name of a node's custom gradient; "" if it has none. A call's is never custom."""
    if "_gradient_op_type" not in node.attr or node.op in CALLS:
        return ""
    return node.attr["_gradient_op_type"].s.decode()


def refuse_unservable(graph: tf.Graph, where: str, unsaved: Collection[str] = ()) -> None:
    """Raises `ValueError` for what cannot be saved anew, wherever it is in a model.

    That is Python code, loops of TensorFlow 1, and custom gradients that were not saved.

    Args:
        graph: The traced model.
        where: What was loaded, for the error.
        unsaved: The names of custom gradients that were not saved.
    """
    for node in nodes(graph.as_graph_def()):
        if node.op in PYTHON_CODE:
            raise CannotExplain(
                f"The model calls Python code (the op {node.op} {own_name(node)!r}: tf.py_function "
                "or tf.numpy_function), which a SavedModel does not contain. Replace it with "
                f"TensorFlow operations and save the model again. Received: {where}."
            )
        if node.op in _OLD_LOOPS:
            raise CannotExplain(
                f"The model has a TensorFlow 1 loop (the op {node.op} {own_name(node)!r}), which "
                "TensorFlow 2 cannot differentiate, and which servers do not run in front of a "
                "gradient. Save it again after tf.compat.v1.enable_control_flow_v2(). Received: "
                f"{where}."
            )
        if _custom(node) in unsaved:
            raise CannotExplain(
                f"The op {node.op} {own_name(node)!r} has a custom gradient that was not saved "
                "with the model. Save it again with "
                "tf.saved_model.SaveOptions(experimental_custom_gradients=True). "
                f"Received: {where}."
            )


def _refuse_old_branches(graph: tf.Graph, where: str) -> None:
    """Raises `ValueError` for branches of TensorFlow 1 on the way of a gradient."""
    for node in nodes(graph.as_graph_def()):
        if node.op in _OLD_BRANCHES:
            raise CannotExplain(
                f"The model has a TensorFlow 1 branch (the op {node.op} {own_name(node)!r}), which "
                "cannot be differentiated on a server. Save it again after "
                f"tf.compat.v1.enable_control_flow_v2(). {_CUT} Received: {where}."
            )


def check_gradient(cut: Cut, where: str) -> None:
    """Raises `ValueError` unless a gradient reaches what is explained from some output.

    Args:
        cut: What is explained, and the model behind it.
        where: What was loaded, for the error.
    """
    _refuse_old_branches(cut.forward.graph, where)
    outputs = cut.forward.structured_outputs.values
    reasons = []
    for name, output in outputs.items():
        if not output.dtype.is_floating:
            reasons.append(f"the output {name!r} is {output.dtype.name}")
            continue
        reason = _why_not(cut, name)
        if reason is None:
            return
        reasons.append(reason)
    floating = any(output.dtype.is_floating for output in outputs.values())
    remedy = _CUT if floating else "Save a signature that returns the scores as floats."
    raise CannotExplain(
        f"The model cannot be explained at {cut.points.name!r}: {'; '.join(reasons)}. "
        f"{remedy} Received: {where}."
    )


def _why_not(cut: Cut, output: str) -> str | None:
    """Why the gradient of an output is not to be had; None if it is.

    It is traced, which takes time, only if it is not plain from the graph.
    """
    value = cut.forward.structured_outputs.values[output]
    arrives, ends = _way_back(cut.forward.graph, value)
    if arrives and not ends and not _is_special(cut.forward.graph):
        return None

    def gradient(at, *context):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(at)
            value = cut.forward(at, *context).values[output]
        return tape.gradient(value, at)

    unknown = f"the output {output!r} does not depend on it"
    try:
        traced = concrete(gradient, cut.points, *cut.context)
        if traced.structured_outputs is not None:
            return _not_to_be_saved(traced)
    except (LookupError, AttributeError, NotImplementedError, TypeError) as error:
        unknown = f"TensorFlow has no gradient for it ({error})"
    except ValueError as error:
        if _NO_HANDLE not in str(error):
            raise
        return _NO_HANDLE_WORDS
    return "; ".join(ends) or unknown


def _is_special(graph: tf.Graph) -> bool:
    """Whether a gradient is more than those of the types of a graph's operations."""
    definition = graph.as_graph_def()
    return any(any(called_by(node)) or _custom(node) for node in definition.node)


def _not_to_be_saved(traced: tf.types.experimental.ConcreteFunction) -> str | None:
    """What is wrong with a gradient that was traced and yet is none."""
    # What TensorFlow asks of the runtime where it does not know a function's gradient. Servers
    # answer with an error, or with zeros.
    if any(node.op == "SymbolicGradient" for node in nodes(traced.graph.as_graph_def())):
        return "TensorFlow does not know the gradient of a function that it calls"
    # Of another function, that is: in a graph that is only looked at, variables are symbolic too.
    captured = filter(tf.is_symbolic_tensor, traced.captured_inputs)
    if any(tensor.graph.building_function for tensor in captured):
        return "a custom gradient in a loop or a branch uses values from outside"
    return None


def _way_back(graph: tf.Graph, output: tf.Tensor) -> tuple[bool, list[str]]:
    """Whether a gradient gets from an output to the graph's input, and where it ends before."""
    definition = graph.as_graph_def()
    start = graph.inputs[0].op
    reached = reached_from(graph.inputs[0])
    arrives, ends, waiting, seen = output.op is start, [], [output.op], set()
    while waiting:
        op = waiting.pop()
        if op in seen or op not in reached or op.type == "Placeholder":
            continue
        seen.add(op)
        reason = _missing_in_functions(op, definition) or missing_gradient(op.node_def)
        if reason is not None:
            ends.append(reason)
        elif op.type not in _PASSING_NOTHING:
            waiting.extend(tensor.op for tensor in op.inputs)
            arrives = arrives or any(tensor.op is start for tensor in op.inputs)
    return arrives, ends


def _missing_in_functions(op: tf.Operation, definition: tf.compat.v1.GraphDef) -> str | None:
    names = list(called_by(op.node_def))
    if not names:
        return None
    inside = tf.compat.v1.GraphDef(library=definition.library)
    inside.node.append(op.node_def)
    found = [missing_gradient(node) for node in nodes(inside)]
    return next((reason for reason in found if reason is not None), None)


def reached_from(source: tf.Tensor) -> set[tf.Operation]:
    """The operations that a tensor's value goes into, its own among them."""
    reached, waiting = {source.op}, [source.op]
    while waiting:
        for output in waiting.pop().outputs:
            for op in output.consumers():
                if op not in reached:
                    reached.add(op)
                    waiting.append(op)
    return reached


def missing_gradient(node: tf.compat.v1.NodeDef) -> str | None:
    """What is wrong with a node that should pass a gradient on; None if nothing is."""
    if any(called_by(node)) or node.op in _PASSING_NOTHING or not node.input:
        return None
    name = f"{node.op} {own_name(node)!r}"
    try:
        gradient = registered_gradient(_custom(node) or node.op)
    except LookupError:
        return f"TensorFlow has no gradient for the op {name}"
    if node.op == "Cast":
        for end, verb in (("SrcT", "from"), ("DstT", "to")):
            dtype = tf.dtypes.as_dtype(node.attr[end].type)
            if not dtype.is_floating:
                return f"the op {name} casts {verb} {dtype.name}, which has no gradient"
    if gradient is None or node.op in _FLAT:
        return f"the op {name} does not propagate gradients"
    return None


def has_gradient(node: tf.compat.v1.NodeDef) -> bool:
    """Whether TensorFlow knows what to do at a node: pass a gradient on, or none."""
    try:
        registered_gradient(node.op)
    except LookupError:
        return any(called_by(node)) or all(name.startswith("^") for name in node.input)
    return True
