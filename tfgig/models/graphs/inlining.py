"""Bodies of loaded functions, laid out in the graph that calls them.

A signature of a loaded SavedModel is a call of a call of the graph that computes. Laid out, its
last softmax can be seen, and variables of TensorFlow 1 exchanged for ones that can be saved.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from tfgig.models.graphs.branches import settle
from tfgig.models.graphs.definitions import drop_colocations, drop_waiting, whole_name
from tfgig.models.graphs.tensorflow_private import add_function, function_graph, registered_gradient

SCOPE = "loaded"  # what the names of operations laid out start with
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
GUARD = "unless_empty"  # what the branch is named that an export has around a signature's body
_BRANCHES = ("If", "StatelessIf")
_WRAPPING = ("Placeholder", "Const", "Identity", "NoOp")


def inline(
    function: tf.types.experimental.ConcreteFunction,
    inputs: Sequence[tf.Tensor],
    replaced: Mapping[str, tf.Variable],
    instead: Mapping[str, tf.Tensor] = MappingProxyType({}),
    wanted: Sequence[str] | None = None,
) -> Any:
    """What `function(*inputs)` returns, without the calls around its body.

    To be called while a `tf.function` is traced.

    Args:
        function: A concrete function whose first inputs are `inputs`.
        inputs: Symbolic tensors.
        replaced: By the name of an operation that is a TensorFlow 1 reference variable: the
            variable to read in its place.
        instead: By the name of a tensor of the body: the tensor to take in its place.
        wanted: The names of tensors of the body to return; None for the function's outputs.

    Returns:
        Tensors in the structure of the function's outputs, or the list of those wanted.
    """
    graph = tf.compat.v1.get_default_graph()
    for variable in function.graph.variables:
        graph.watch_variable(variable)  # as a call would
    arguments = [*inputs, *(graph.capture(tensor) for tensor in function.captured_inputs)]
    own = outputs_of(function)
    outputs = _inline(function.graph, own, arguments, replaced, instead, wanted)
    if wanted is not None:
        return outputs
    return tf.nest.pack_sequence_as(function.structured_outputs, outputs)


def outputs_of(function: tf.types.experimental.ConcreteFunction) -> list[tf.Tensor]:
    """The tensors of a function's graph that it returns.

    Others follow them in `graph.outputs` once a gradient was taken: what the gradient needs.
    """
    return list(function.graph.outputs[: len(tf.nest.flatten(function.structured_outputs))])


def body_of(function: tf.types.experimental.ConcreteFunction) -> tuple[tf.Graph, list[tf.Tensor]]:
    """The innermost of the functions that only wrap one another: its graph, and its outputs."""
    graph, outputs = function.graph, outputs_of(function)
    while (call := _only_call(graph, outputs)) is not None:
        graph = called(graph, call)
        outputs = list(graph.outputs)
    return graph, outputs


def called(graph: tf.Graph, call: tf.Operation) -> tf.Graph:
    """The graph of the function that an operation calls."""
    # The only way to the function with the gradients that the loader registered.
    attribute = "f" if call.type in CALLS else "then_branch"
    return function_graph(graph, call.get_attr(attribute).name)


def _inline(
    graph: tf.Graph,
    own: Sequence[tf.Tensor],
    arguments: Sequence[tf.Tensor],
    replaced: Mapping[str, tf.Variable],
    instead: Mapping[str, tf.Tensor],
    wanted: Sequence[str] | None,
) -> list[tf.Tensor]:
    call = _only_call(graph, own)
    if call is None:
        fetches = list(own)
        if wanted is not None:
            fetches = [graph.get_tensor_by_name(name) for name in wanted]
        return _import(graph, arguments, fetches, replaced, instead)
    taken = call.inputs if call.type in CALLS else call.inputs[1:]
    passed = _import(graph, arguments, list(taken), replaced)
    body = called(graph, call)
    results = _inline(body, list(body.outputs), passed, replaced, instead, wanted)
    if wanted is not None:
        return results
    return [results[_origin(output).value_index] for output in own]


def _only_call(graph: tf.Graph, outputs: Sequence[tf.Tensor]) -> tf.Operation | None:
    """The call that a graph's outputs come from, if the graph does nothing else.

    Or the branch that calls it unless there are no rows, behind the guard of an export.
    """
    guards = [op for op in graph.get_operations() if op.name == GUARD and op.type in _BRANCHES]
    if guards and all(_origin(output).op is guards[0] for output in outputs):
        return guards[0]
    working = [op for op in graph.get_operations() if op.type not in _WRAPPING]
    if len(working) != 1 or working[0].type not in CALLS:
        return None
    sources = [_origin(output).op for output in outputs]
    return working[0] if all(op is working[0] for op in sources) else None


def _origin(tensor: tf.Tensor) -> tf.Tensor:
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor


def _import(
    graph: tf.Graph,
    arguments: Sequence[tf.Tensor],
    fetches: list[tf.Tensor],
    replaced: Mapping[str, tf.Variable],
    instead: Mapping[str, tf.Tensor] = MappingProxyType({}),
) -> list[tf.Tensor]:
    """The tensors `fetches` of a function's graph, computed from its arguments."""
    given = {
        placeholder.name: argument
        for placeholder, argument in zip(graph.inputs, arguments, strict=True)
    } | dict(instead)
    wanted = [tensor for tensor in fetches if tensor.name not in given]
    definition = graph.as_graph_def()
    settle(definition, _known(graph, arguments))
    # A wrapper: only what the call takes. A cut: nothing of what it leaves behind.
    if instead or [item.name for item in wanted] != [item.name for item in graph.outputs]:
        needed = needed_for(wanted, given)
        kept = [node for node in definition.node if node.name in needed]
        del definition.node[:]
        definition.node.extend(kept)
    present = {node.name for node in definition.node}
    drop_colocations(definition, present)
    used = {whole_name(name) for node in definition.node for name in node.input} | {
        tensor.name for tensor in wanted
    }
    mapped = {name: value for name, value in given.items() if name in used}
    mapped.update(_replace_variables(definition, replaced))
    drop_waiting(definition, {name.partition(":")[0] for name in mapped})
    special = [op for op in graph.get_operations() if op.name in present and _gradient(op)]
    gradients = _rename_custom_gradients(definition)
    _move_functions(graph, definition)
    names = [item.name for item in (*wanted, *special)]
    found = tf.graph_util.import_graph_def(definition, mapped, return_elements=names, name=SCOPE)
    for op, copy in zip(special, found[len(wanted) :], strict=True):
        if op.type in CALLS:
            copy._gradient_function = _gradient(op)
        else:
            tf.RegisterGradient(gradients[op.name])(_gradient_of_copy(op, copy, given))
    if names:
        _keep_shapes(graph, definition, found[0].name.removesuffix(names[0]))
    computed = given | dict(zip(names, found[: len(wanted)], strict=False))
    return [computed[tensor.name] for tensor in fetches]


def _known(graph: tf.Graph, arguments: Sequence[tf.Tensor]) -> dict[str, bool]:
    """The arguments that are one truth value, and constant, by their placeholders."""
    found = {}
    for placeholder, argument in zip(graph.inputs, arguments, strict=True):
        if argument.dtype == tf.bool and argument.shape.rank == 0:
            value = tf.get_static_value(argument)
            if value is not None:
                found[placeholder.op.name] = bool(value)
    return found


def _keep_shapes(graph: tf.Graph, definition: tf.compat.v1.GraphDef, scope: str) -> None:
    """Gives copies the shapes that are known of the originals alone, as that of a lookup."""
    here = tf.compat.v1.get_default_graph()
    for node in definition.node:
        original = graph.get_operation_by_name(node.name)
        copy = here.get_operation_by_name(scope + node.name)
        # A branch that is settled has fewer outputs.
        for known, unknown in zip(original.outputs, copy.outputs, strict=False):
            if unknown.shape.rank is None and known.shape.rank is not None:
                unknown.set_shape(known.shape)


def _move_functions(graph: tf.Graph, definition: tf.compat.v1.GraphDef) -> None:
    """Hands the functions that a definition calls over to the graph that is being built.

    Imported with the definition, they would be strangers whose gradients cannot be saved.
    """
    here = tf.compat.v1.get_default_graph()
    called_names = {name for node in definition.node for name in called_by(node)}
    for name in called_names:
        add_function(here, graph, name)
    definition.ClearField("library")


def called_by(node: tf.compat.v1.NodeDef) -> Iterator[str]:
    """The names of the functions that a node calls: a call's body, a loop's, branches."""
    for attribute in node.attr.values():
        if attribute.HasField("func"):
            yield attribute.func.name
        for function in attribute.list.func:
            yield function.name


def _rename_custom_gradients(definition: tf.compat.v1.GraphDef) -> dict[str, str]:
    """Gives the custom gradients that can be found names of their own; these, by operation."""
    renamed = {}
    for node in definition.node:
        if node.op in CALLS or "_gradient_op_type" not in node.attr:
            continue
        if _registered(node.attr["_gradient_op_type"].s):
            renamed[node.name] = f"{SCOPE}-{uuid.uuid4().hex}"
            node.attr["_gradient_op_type"].s = renamed[node.name].encode()
    return renamed


def needed_for(tensors: Sequence[tf.Tensor], given: Collection[str] = ()) -> set[str]:
    """The names of the operations that tensors are computed from, where some are given."""
    needed: set[str] = set()
    waiting = [tensor.op for tensor in tensors]
    while waiting:
        op = waiting.pop()
        if op.name not in needed:
            needed.add(op.name)
            waiting += [tensor.op for tensor in op.inputs if tensor.name not in given]
            waiting += op.control_inputs
    return needed


def _gradient(op: tf.Operation) -> Callable[..., Any] | None:
    """The gradient that belongs to one operation, not to its type: of a call, or a custom one."""
    if op.type in CALLS:
        # The loader notes on each call how its gradient is computed. Without the note, TensorFlow
        # would ask the runtime for a symbolic gradient, and that of a loop is silently zero.
        return getattr(op, "_gradient_function", None)
    if "_gradient_op_type" not in op.node_def.attr:
        return None
    return _registered(op.get_attr("_gradient_op_type"))


def _registered(name: bytes) -> Callable[..., Any] | None:
    try:
        return registered_gradient(name)
    except LookupError:
        return None  # it was not saved; whoever asks for the gradient is told


def _gradient_of_copy(
    op: tf.Operation, copy: tf.Operation, given: Mapping[str, tf.Tensor]
) -> Callable[..., Any]:
    """The custom gradient of an operation, for its copy in another graph.

    It may use any tensor of the graph that it was defined in; here, that tensor's copy.
    """
    gradient = _gradient(op)
    scope = copy.name.removesuffix(op.name)

    def counterpart(tensor: tf.Tensor) -> tf.Tensor:
        if not tf.is_symbolic_tensor(tensor) or tensor.graph is not op.graph:
            return tensor
        if tensor.name in given:
            return given[tensor.name]
        return copy.graph.get_tensor_by_name(scope + tensor.name)

    def gradient_of_copy(_, *upstream):
        values = [
            tf.zeros_like(output) if value is None and output.dtype.is_floating else value
            for value, output in zip(upstream, copy.outputs, strict=True)
        ]
        specs = [v if v is None else tf.TensorSpec(v.shape, v.dtype) for v in values]
        traced = tf.function(gradient, autograph=False).get_concrete_function(None, *specs)
        graph = tf.compat.v1.get_default_graph()
        captured = [graph.capture(counterpart(tensor)) for tensor in traced.captured_inputs]
        arguments = [value for value in values if value is not None]
        own = outputs_of(traced)
        results = iter(_inline(traced.graph, own, [*arguments, *captured], {}, {}, None))
        structure = tf.nest.flatten(traced.structured_outputs)
        return [None if value is None else next(results) for value in structure]

    return gradient_of_copy


def _replace_variables(
    definition: tf.compat.v1.GraphDef, replaced: Mapping[str, tf.Variable]
) -> dict[str, tf.Tensor]:
    mapped = {}
    for node in definition.node:
        if node.name in replaced:
            dtype = node.attr["dtype"]
            node.op = "Placeholder"
            node.attr.clear()
            node.attr["dtype"].CopyFrom(dtype)
            mapped[f"{node.name}:0"] = replaced[node.name].read_value()
    return mapped
