"""Cuts in graphs: behind what parses or decodes the inputs, or at a tensor by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import tensorflow as tf

from tfgig.models.cut import Concrete, Cut, concrete, cut_behind
from tfgig.models.gradients import missing_gradient, own_name
from tfgig.models.inlining import body_of, inline, needed_for, outputs_of
from tfgig.models.places import Survey
from tfgig.models.ways import LOOK_UPS, inputs_of, ways_of, with_rows
from tfgig.spec import nearest

_PASSING_ON = ("Identity", "Reshape", "ExpandDims", "Squeeze", "Cast", "StridedSlice")
_PARSERS = ("ParseExampleV2", "ParseExample")
# A map over rows, such as of images that are decoded, is a loop whose results are stacked.
_DECODERS = (*_PARSERS, "TensorListStack", "StringToNumber")


def cut_behind_decoding(
    serve: Concrete, inputs: Sequence[tf.TensorSpec], where: str, layers: Sequence[str] = ()
) -> Cut:
    """The cut at the first floats that a model without float inputs makes of them.

    That is what comes out of a cast of pixels, of the parsing of tf.Example, of the decoding of
    images. Where ids are looked up in a table, there is nothing to explain before the table, and
    the user names the layer.

    Args:
        serve: The model: its inputs to `ModelOutputs`.
        inputs: What it takes.
        where: What was loaded, for the error.
        layers: The names that the user may choose among; none for those in the graph.

    Raises:
        ValueError: there are no such floats.
    """
    found = _first_floats(*body_of(serve))
    decoded = [tensor for tensor in found if _is_decoded(tensor)]
    looked_up = [tensor for tensor in found if tensor.op.type in LOOK_UPS]
    if looked_up and not any(tensor.op.type in _PARSERS for tensor in decoded):
        decoded = []
    if not decoded:
        names = " and ".join(f"{spec.name!r} ({spec.dtype.name})" for spec in inputs)
        named = (_layer_of(tensor, layers) for tensor in looked_up or found)
        choices = [name for name in named if name is not None]
        known = f", such as layer={choices[0]!r}" if choices else ""
        raise ValueError(
            "A gradient needs floating-point numbers, and the model takes none. Explain it at the "
            f"layer where its first ones come out{known}: load_model(handle, layer=...) "
            f"(--layer=...). Received: the input {names} of {where}."
        )
    return cut_at_tensors(serve, inputs, decoded, where)


def cut_at_tensors(
    serve: Concrete, inputs: Sequence[tf.TensorSpec], tensors: Sequence[tf.Tensor], where: str
) -> Cut:
    """The cut at tensors of the model's graph."""
    names = _names_of(tensors, serve, inputs)
    specs = []
    for tensor, name in zip(tensors, names, strict=True):
        shape = tensor.shape
        if shape.rank is None or shape.rank < 1 or shape[0] is not None:
            raise ValueError(
                "What is explained must have the batch as its first axis, [None, ...], and a known "
                f"rank. Received: {tensor.op.name!r} of shape {shape} in {where}."
            )
        specs.append(tf.TensorSpec(shape, tensor.dtype, name))

    def front(*values):
        return inline(serve, values, {}, wanted=[tensor.name for tensor in tensors])

    def forward(explained, *values):
        instead = {t.name: value for t, value in zip(tensors, explained, strict=True)}
        return inline(serve, values, {}, instead)

    return cut_behind(tuple(specs), front, forward, inputs)


def cut_at_layer(
    serve: Concrete, inputs: Sequence[tf.TensorSpec], where: str, layer: str | None
) -> Cut:
    """The cut at the output of a layer, an operation or a name scope of the model's graph.

    Args:
        serve, inputs, where: As for `cut_behind_decoding`.
        layer: The name; None for the last tensor [B, height, width, channels].

    Raises:
        ValueError: there is no such layer, or it has not one output of floats.
    """
    passed = list(_on_the_way(*body_of(serve)))
    if layer is None:
        found = [t for t in passed if t.shape.rank == 4 and 1 not in t.shape[1:3]][-1:]
    else:
        found = [t for t in passed if layer in (own_name(t.op.node_def), t.op.name)]
        scopes = [] if found else _scopes_of(passed, layer)
        if len(scopes) > 1:
            raise ValueError(
                f"Several scopes of the graph have this name, which Keras numbers anew when it "
                f"saves: {', '.join(scopes)}. Name one of them whole. Received: layer={layer!r} "
                f"for {where}."
            )
        found = found or [t for scope in scopes for t in _leaving(passed, scope)]
    if len(found) != 1:
        among = "it has several outputs" if found else "there is none such"
        raise ValueError(
            f"`layer` names one layer, scope or operation of floats; {among}. "
            f"{nearest(layer or '', _nameable(found or passed))} Received: layer={layer!r} for "
            f"{where}."
        )
    return cut_at_tensors(serve, inputs, found, where)


def survey(serve: Concrete, inputs: Sequence[tf.TensorSpec], output: str | None) -> Survey:
    """The places of a model: its name scopes with one output, and its operations.

    Args:
        serve, inputs: As for `cut_behind_decoding`.
        output: The name of the explained output; None for the first.
    """
    traced = concrete(lambda *values: inline(serve, values, {}), *with_rows(inputs))
    passed = list(_on_the_way(traced.graph, outputs_of(traced)))

    def tensor_of(name):
        found = _named(passed, name)
        return found[0] if len(found) == 1 else None

    def name_of(tensor):
        whole = own_name(tensor.op.node_def)
        scope = whole.rpartition("/")[0]
        short = re.sub(r"_\d+$", "", scope.rpartition("/")[2])
        for name in (short, scope) if scope else ():
            leaving = [other.name for other in _leaving(passed, scope)]
            if leaving == [tensor.name] and _scopes_of(passed, name) == [scope]:
                return name
        return whole

    given = inputs_of(traced, inputs)
    return Survey(ways_of(traced, list(given.values()), output), given, name_of, tensor_of)


def _named(passed: Sequence[tf.Tensor], name: str) -> list[tf.Tensor]:
    """The tensors that a name may mean: of operations, or of what leaves a scope."""
    found = [t for t in passed if name in (own_name(t.op.node_def), t.op.name)]
    return found or [t for scope in _scopes_of(passed, name) for t in _leaving(passed, scope)]


def _arguments(body: tf.Graph) -> list[tf.Tensor]:
    """The body's inputs without the variables and tables that it captures."""
    return [tensor for tensor in body.inputs if tensor.dtype not in (tf.resource, tf.variant)]


def _carries(tensor: tf.Tensor) -> bool:
    """Whether a gradient may flow through a tensor: floats, and lists of them."""
    return tensor.dtype.is_floating or tensor.dtype in (tf.variant, tf.resource)


def _in_order(body: tf.Graph, outputs: Sequence[tf.Tensor]) -> Iterator[tf.Operation]:
    """The operations that the inputs reach and the outputs need, in an order of computation."""
    needed = needed_for([tensor for tensor in outputs if tensor.dtype.is_floating])
    reached = {tensor.op.name for tensor in _arguments(body)}
    for op in body.get_operations():  # they are listed as they were made, inputs first
        if op.name in reached or any(tensor.op.name in reached for tensor in op.inputs):
            reached.add(op.name)
            if op.name in needed:
                yield op


def _first_floats(body: tf.Graph, outputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The floats behind which the outputs are differentiable, and before which they are not."""
    first: dict[str, tuple[tf.Tensor, ...]] = {}  # by tensor: those that it is computed from
    for op in _in_order(body, outputs):
        carried = [source for t in op.inputs if _carries(t) for source in first.get(t.name, ())]
        open_to_gradients = carried and missing_gradient(op.node_def) is None
        for output in op.outputs:
            if open_to_gradients and _carries(output):
                first[output.name] = tuple(dict.fromkeys(source.ref() for source in carried))
                first[output.name] = tuple(ref.deref() for ref in first[output.name])
            elif output.dtype.is_floating and op.type != "Placeholder":
                first[output.name] = (output,)
    unique = {t.name: t for output in outputs for t in first.get(output.name, ())}
    return list(unique.values())


def _is_decoded(tensor: tf.Tensor) -> bool:
    """Whether a tensor holds the numbers of an input, and nothing computed from them."""
    if tensor.op.type == "Cast" and not tensor.op.inputs[0].dtype.is_integer:
        return False  # a mask
    op = _before_passing_on(tensor).op
    return op.type in ("Placeholder", *_DECODERS) or op.type.startswith("Decode")


def _before_passing_on(tensor: tf.Tensor) -> tf.Tensor:
    while tensor.op.type in _PASSING_ON:
        tensor = tensor.op.inputs[0]
    return tensor


def _layer_of(tensor: tf.Tensor, layers: Sequence[str]) -> str | None:
    """The innermost of the layers that a tensor is computed in; of none, its operation's name."""
    name = own_name(tensor.op.node_def)
    for part in reversed(name.split("/")):
        for layer in layers:
            if re.fullmatch(rf"{re.escape(layer)}(_\d+)?", part):
                return layer
    return None if layers else name


def _on_the_way(body: tf.Graph, outputs: Sequence[tf.Tensor]) -> Iterator[tf.Tensor]:
    """The floats between the inputs and the outputs, in order."""
    for op in _in_order(body, outputs):
        yield from (t for t in op.outputs if t.dtype.is_floating and op.type != "Placeholder")


def _scopes_of(tensors: Sequence[tf.Tensor], layer: str) -> list[str]:
    """The name scopes that a name may mean: itself, or what Keras made of it when it saved."""
    paths = [own_name(tensor.op.node_def).split("/")[:-1] for tensor in tensors]
    every = {"/".join(path[: depth + 1]) for path in paths for depth in range(len(path))}
    if "/" in layer:
        return [layer] if layer in every else []
    pattern = re.compile(rf"{re.escape(layer)}(_\d+)?")
    return sorted(scope for scope in every if pattern.fullmatch(scope.rpartition("/")[2]))


def _leaving(tensors: Sequence[tf.Tensor], scope: str) -> list[tf.Tensor]:
    """What is computed in a name scope and used outside of it."""

    def inside(op: tf.Operation) -> bool:
        return own_name(op.node_def).startswith(f"{scope}/")

    return [
        tensor
        for tensor in tensors
        if inside(tensor.op)
        and any(not inside(op) and op.type not in ("Shape", "NoOp") for op in tensor.consumers())
    ]


def _nameable(tensors: Sequence[tf.Tensor]) -> list[str]:
    """Scopes, outer ones first, and operations that are in none."""
    paths = [own_name(tensor.op.node_def).split("/") for tensor in tensors]
    names = [name for depth in range(8) for path in paths for name in path[:-1][depth : depth + 1]]
    names += [path[0] for path in paths if len(path) == 1]
    return list(dict.fromkeys(names))[:40]


def _names_of(
    tensors: Sequence[tf.Tensor], serve: Concrete, inputs: Sequence[tf.TensorSpec]
) -> list[str]:
    """Words for tensors: the feature that was parsed, or the input that was cast or decoded."""
    placeholders = [tensor.op for tensor in serve.graph.inputs[: len(inputs)]]
    names: list[str] = []
    for tensor in tensors:
        name = _feature_of(tensor)
        origin = _before_passing_on(tensor).op
        if origin in placeholders:
            name = inputs[placeholders.index(origin)].name
        elif name is None and _is_decoded(tensor) and len(inputs) == 1:
            name = f"decoded_{inputs[0].name}"
        name = re.sub(r"\W+", "_", name or own_name(tensor.op.node_def)).strip("_")
        names.append(name if name not in names else f"{name}_{len(names)}")
    return names


def _feature_of(tensor: tf.Tensor) -> str | None:
    """The key of a feature of tf.Example."""
    op = tensor.op
    if op.type != "ParseExampleV2":
        return None
    keys, index = op.inputs[3].op, tensor.value_index - 3 * op.get_attr("num_sparse")
    if keys.type != "Const" or not 0 <= index < len(op.get_attr("Tdense")):
        return None
    return tf.make_ndarray(keys.get_attr("value")).reshape(-1)[index].decode()
