"""Which signature explains, and how a request for an explanation becomes one for a prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.serving.errors import InvalidRequest
from tfgig.serving.json_codec import layout_of
from tfgig.spec import nearest
from tfgig.targets import TOP_CLASS

TARGET = "target"
Kind = Literal["attributions", "heatmap"]
Signatures = Mapping[str, meta_graph_pb2.SignatureDef]
_PREFIXES = {"attributions": "explain_", "heatmap": "heatmap_"}


def choose(signatures: Signatures, method: str | None, kind: Kind = "attributions") -> str:
    """The signature of a method: `explain_<method>`, or one of that very name.

    Args:
        signatures: The model's signatures.
        method: The method; None where there is only one.
        kind: What the signature answers: attributions, or heat-maps.

    Raises:
        InvalidRequest: there is none, or it is not clear which.
    """
    known: dict[str, str] = {}
    for name, definition in sorted(signatures.items()):
        if any(output.startswith(kind) for output in definition.outputs):
            known[name.removeprefix(_PREFIXES[kind])] = name
    if not known:
        raise InvalidRequest(
            f"The model has no signature with {kind}: {', '.join(sorted(signatures))}. Write it "
            "out with tfgig-export."
        )
    if method is None:
        if len(known) > 1:
            raise InvalidRequest(f"Say which method, one of: {', '.join(known)}.")
        return next(iter(known.values()))
    if method in known.values():
        return method
    if method not in known:
        raise InvalidRequest(f"No method {method!r}. {nearest(method, known)}")
    return known[method]


def explained_inputs(definition: meta_graph_pb2.SignatureDef) -> list[str]:
    """The inputs of a signature that are the model's own."""
    return sorted(name for name in definition.inputs if name != TARGET)


def predict_request(request: Mapping[str, Any], signatures: Signatures) -> dict[str, Any]:
    """The request for `:predict` that a request for `:explain` stands for.

    Args:
        request: "instances" (or "inputs"), "method", and "target": one class, or one for each
            row; an instance may have its own "target".
        signatures: The model's signatures.

    Raises:
        InvalidRequest: an unknown method or key, not one layout of the rows, or targets that do
            not fit them.
    """
    unknown = set(request) - {"instances", "inputs", "method", TARGET}
    if unknown:
        raise InvalidRequest(
            f"The keys are 'instances', 'method' and 'target'. Received also: {sorted(unknown)}."
        )
    method = request.get("method")
    if method is not None and not isinstance(method, str):
        raise InvalidRequest(f"'method' is the name of a method. Received: {method!r}.")
    name = choose(signatures, method)
    inputs = explained_inputs(signatures[name])
    if layout_of(request) == "column":
        return {"signature_name": name, "inputs": _columns(request, inputs)}
    rows = request["instances"]
    if not isinstance(rows, list):
        raise InvalidRequest("'instances' is a list of at least one instance.")
    targets = request.get(TARGET, TOP_CLASS)
    targets = targets if isinstance(targets, list) else [targets] * len(rows)
    if len(targets) != len(rows):
        raise InvalidRequest(f"There are {len(rows)} instances. Received: {len(targets)} targets.")
    complete = []
    for row, target in zip(rows, targets, strict=True):
        named = isinstance(row, dict) and "b64" not in row
        complete.append({TARGET: target, **(row if named else {inputs[0]: row})})
    return {"signature_name": name, "instances": complete}


def _columns(request: Mapping[str, Any], inputs: list[str]) -> Any:
    columns = request.get("inputs")
    if not isinstance(columns, dict) or "b64" in columns:
        columns = {inputs[0]: columns}
    rows = columns.get(inputs[0])
    target = request.get(TARGET, TOP_CLASS)
    if not isinstance(target, list):
        target = [target] * (len(rows) if isinstance(rows, list) else 1)
    return {TARGET: target, **columns}
