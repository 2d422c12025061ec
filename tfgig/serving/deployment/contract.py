"""The endpoint contract: what TensorFlow Serving needs of an exported version, checked.

It holds for SavedModels of any origin; what only tfgig promises is checked where tfgig wrote it.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.export.warmup import WARMUP_FILE, read_warmup
from tfgig.exported.description import SPEC_FILE, read_description
from tfgig.exported.directory import meta_graph_of
from tfgig.exported.kinds import KINDS
from tfgig.exported.signatures import SERVING_DEFAULT, defaults_of, public
from tfgig.models.graphs.inlining import called_by
from tfgig.models.sources.opening import unknown_operations
from tfgig.serving.deployment.agreement import check_batching, warmup_rows
from tfgig.serving.deployment.findings import Finding
from tfgig.serving.deployment.options import Batching
from tfgig.serving.deployment.sizes import GRPC_LIMIT, row_bytes
from tfgig.serving.protocol.arguments import check_inputs
from tfgig.serving.protocol.errors import InvalidRequest

_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
_BYTES = "_bytes"
_ADDED_LATER = {"error"}  # outputs that exports of older versions do not have
_UNWRITABLE = (types_pb2.DT_HALF, types_pb2.DT_BFLOAT16)


def check_contract(directory: str | os.PathLike, batching: Batching | None = None) -> list[Finding]:
    """Checks a version's directory; returns what breaks the contract, nothing if all is well.

    Args:
        directory: The version's directory.
        batching: The parameters with which it is to be served; None if they are not known.

    Raises:
        OSError: there is no SavedModel.
        ValueError: it is damaged.
    """
    directory = pathlib.Path(directory)
    meta_graph = meta_graph_of(directory)
    signatures = public(meta_graph.signature_def)
    found: list[Finding] = []
    if SERVING_DEFAULT not in signatures:
        found.append(
            Finding(
                SERVING_DEFAULT,
                "there is no such signature, so requests must name one.",
                "save the prediction under that name; the signatures are: "
                f"{', '.join(signatures) or 'none'}.",
            )
        )
    description = read_description(directory)
    endpoints = description.endpoints
    for name, definition in signatures.items():
        found += _check_tensors(name, definition)
        if name in endpoints:
            found += _check_endpoint(name, definition, endpoints[name].kind)
            doubt = endpoints[name].doubt
            if doubt is not None:
                found.append(Finding(name, doubt, "load the model with two or three rows."))
        if endpoints:
            found += _check_protection(name, _operations_behind(definition, meta_graph), endpoints)
    for name in sorted(set(endpoints) - set(signatures)):
        found.append(
            Finding(name, f"{SPEC_FILE.name} describes it, but it does not exist.", "export again.")
        )
    found += _check_operations(meta_graph)
    found += _check_variables(directory, meta_graph)
    found += _check_warmup(directory, signatures)
    if batching is not None:
        found += check_batching(batching, signatures, _rows(directory), description.lane)
    return found


def _rows(directory: pathlib.Path) -> dict[str, int]:
    try:
        return warmup_rows(directory)
    except ValueError:  # which `_check_warmup` has found
        return {}


def _check_tensors(name: str, definition: meta_graph_pb2.SignatureDef) -> Iterator[Finding]:
    tensors = [("input", *pair) for pair in sorted(definition.inputs.items())]
    tensors += [("output", *pair) for pair in sorted(definition.outputs.items())]
    for role, key, info in tensors:
        subject = f"{name}, {role} {key!r}"
        shape = tf.TensorShape(info.tensor_shape)
        if shape.rank is None:
            continue  # whatever comes
        if shape.rank == 0:
            yield Finding(
                subject,
                "is a scalar, and requests are merged along dimension 0.",
                "give it the shape [B].",
            )
        elif shape[0] is not None:
            yield Finding(
                subject,
                f"has a fixed batch of {shape[0]} rows, so other batch sizes and merging fail.",
                "leave its first dimension open.",
            )
        dtype = tf.dtypes.as_dtype(info.dtype)
        if role == "output" and info.dtype in _UNWRITABLE:
            yield Finding(
                subject,
                f"is {dtype.name}, which REST cannot encode.",
                "cast it to float32.",
            )
        size = row_bytes(info)
        if role == "output" and size is not None and size > GRPC_LIMIT:
            yield Finding(
                subject,
                f"takes {size:,} bytes per row; a gRPC client accepts {GRPC_LIMIT:,} by default.",
                "serve a smaller input, or raise grpc.max_receive_message_length in every client.",
            )


def _check_endpoint(
    name: str, definition: meta_graph_pb2.SignatureDef, kind: str
) -> Iterator[Finding]:
    again = "export again with this version of tfgig."
    if len(definition.outputs) < 2:
        yield Finding(name, "has one output, which loses its name over REST.", again)
    if kind not in KINDS:
        yield Finding(name, f"is of kind {kind!r}, which this tfgig does not know.", again)
    elif KINDS[kind].missing(definition.outputs):
        missing = KINDS[kind].missing(definition.outputs)
        older = set(missing) <= _ADDED_LATER
        yield Finding(name, f"lacks the outputs {sorted(missing)}.", again, note=older)
    for key, info in sorted(definition.outputs.items()):
        dtype = tf.dtypes.as_dtype(info.dtype)
        if dtype == tf.string and not key.endswith(_BYTES):
            yield Finding(
                f"{name}, output {key!r}",
                "is bytes, and REST encodes only names that end in _bytes as base64.",
                again,
            )
        if dtype.is_floating and dtype != tf.float32:
            yield Finding(f"{name}, output {key!r}", f"is {dtype.name}, not float32.", again)


def _check_protection(
    name: str, operations: Collection[str], endpoints: Collection[str]
) -> Iterator[Finding]:
    if "EnsureShape" not in operations:
        yield Finding(
            name,
            "has no guard: a request with a wrong shape may crash the server.",
            "export again with this version of tfgig.",
            note=True,
        )
    if name in endpoints and "BatchFunction" not in operations:
        yield Finding(
            name,
            "has no lane: explanations can hold all threads of the server and delay predictions.",
            "export again, with lane=tfgig.Lane(), or serve it separately (tfgig-config "
            "--separate).",
            note=True,
        )


def _operations_behind(
    definition: meta_graph_pb2.SignatureDef, meta_graph: meta_graph_pb2.MetaGraphDef
) -> set[str]:
    """The types of the operations that a signature may run, in functions that it calls, too."""
    functions = {f.signature.name: f.node_def for f in meta_graph.graph_def.library.function}
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    found: set[str] = set()
    waiting = [
        nodes[n] for i in definition.outputs.values() if (n := i.name.split(":")[0]) in nodes
    ]
    seen: set[str] = set()
    while waiting:
        node = waiting.pop()
        found.add(node.op)
        for name in called_by(node):
            if name not in seen:
                seen.add(name)
                waiting += functions.get(name, ())
    return found


def _check_operations(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[Finding]:
    definition = meta_graph.graph_def
    functions = definition.library.function
    nodes = [*definition.node, *(node for function in functions for node in function.node_def)]
    python = sorted({node.op for node in nodes} & _PYTHON)
    if python:
        yield Finding(
            ", ".join(python),
            "calls Python, which loads and then fails at every request.",
            "replace tf.py_function and tf.numpy_function with TensorFlow operations.",
        )
    unknown = [name for name in unknown_operations(definition) if name not in _PYTHON]
    if unknown:
        yield Finding(
            ", ".join(unknown),
            "is not a TensorFlow operation; the version fails to load.",
            "use TensorFlow operations, or build the server with that library.",
        )
    compiled = [f.signature.name for f in functions if f.attr["_XlaMustCompile"].b]
    compiled += [
        n.name for n in nodes if "_XlaMustCompile" in n.attr and n.attr["_XlaMustCompile"].b
    ]
    if compiled:
        yield Finding(
            compiled[0],
            "needs XLA compilation, which TensorFlow Serving disables; every call fails.",
            "export without jit_compile.",
        )


def _check_variables(
    directory: pathlib.Path, meta_graph: meta_graph_pb2.MetaGraphDef
) -> Iterator[Finding]:
    variables = {"VarHandleOp", "VariableV2"} & {node.op for node in meta_graph.graph_def.node}
    if variables and not (directory / "variables" / "variables.index").is_file():
        yield Finding(
            "variables",
            "there are none on disk; the version loads, but every call fails.",
            "copy the complete directory again.",
        )


def _check_warmup(
    directory: pathlib.Path, signatures: Mapping[str, meta_graph_pb2.SignatureDef]
) -> Iterator[Finding]:
    remedy = "tfgig.export.write_warmup(directory), or export with warmup=(1,)."
    if not (directory / WARMUP_FILE).is_file():
        yield Finding(
            str(WARMUP_FILE),
            "there is none: a broken endpoint is not detected, and first requests are slow.",
            remedy,
        )
        return
    wrong: dict[str, str] = {}
    try:
        for name, inputs in read_warmup(directory):
            wrong[name] = wrong.get(name) or _misfit(name, inputs, signatures)
    except (tf.errors.OpError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        yield Finding(str(WARMUP_FILE), f"is damaged ({reason}); the load fails.", remedy)
        return
    for name, problem in sorted(wrong.items()):
        if problem:
            yield Finding(f"{WARMUP_FILE}, {name}", f"{problem}; the load fails.", remedy)
    for name in sorted(set(signatures) - set(wrong)):
        yield Finding(f"{WARMUP_FILE}, {name}", "has no record.", remedy)


def _misfit(
    name: str,
    inputs: Mapping[str, np.ndarray],
    signatures: Mapping[str, meta_graph_pb2.SignatureDef],
) -> str:
    """What makes a record fail; nothing if it fits its signature."""
    if name not in signatures:
        return "is a record for a signature that does not exist"
    try:
        check_inputs(name, signatures[name], {**defaults_of(signatures[name]), **inputs})
    except InvalidRequest as error:
        return f"has a record that does not fit ({error})"
    return ""
