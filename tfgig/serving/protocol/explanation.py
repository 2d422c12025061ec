"""Which signature explains, and how a request for an explanation becomes one for a prediction."""

from __future__ import annotations

from typing import Any

from tfgig.exported import kinds
from tfgig.exported.signatures import TARGET, Signatures, model_inputs, target_of
from tfgig.serving.protocol.errors import InvalidRequest
from tfgig.serving.protocol.json_body import Body
from tfgig.serving.protocol.json_requests import COLUMNS, ROWS, is_named, layout_of
from tfgig.spec import nearest
from tfgig.targets import TOP_CLASS

_KEYS = (ROWS, COLUMNS, "method", "kind", TARGET)


def choose(signatures: Signatures, method: str | None, kind: str = kinds.ATTRIBUTIONS) -> str:
    """The signature of a method: that of the kind's prefix and the method, or one of that name.

    Args:
        signatures: The model's signatures.
        method: The method, or a signature that explains; None where there is only one.
        kind: What the signature answers with, a kind of `tfgig.exported.kinds`.

    Raises:
        InvalidRequest: there is none, or it is not clear which.
    """
    try:
        wanted = kinds.get(kind)
    except ValueError as error:
        raise InvalidRequest(str(error)) from error
    known = {
        name.removeprefix(wanted.prefix): name
        for name, definition in sorted(signatures.items())
        if wanted.answers(definition.outputs)
    }
    if not known:
        raise InvalidRequest(
            f"The model has no signature with {kind}: {', '.join(sorted(signatures))}. Export it "
            "with tfgig-export."
        )
    if method is None:
        if len(known) > 1:
            raise InvalidRequest(f"Choose a method, one of: {', '.join(known)}.")
        return next(iter(known.values()))
    if method in known.values():
        return method
    if method not in known:
        raise InvalidRequest(f"Unknown method {method!r}. {nearest(method, known)}")
    return known[method]


def predict_request(body: Body, signatures: Signatures) -> Body:
    """The request for `:predict` that a request for `:explain` stands for.

    Args:
        body: "instances" (or "inputs"), "method", "kind", and "target": one class, or one for
            each row; an instance may have its own "target", or "explain_target" if the model has
            an input "target".
        signatures: The model's signatures.

    Raises:
        InvalidRequest: an unknown method, kind or key, not one layout of the rows, or targets that
            do not fit them.
    """
    request = body.values
    unknown = set(request) - set(_KEYS)
    if unknown:
        raise InvalidRequest(
            "The keys are 'instances', 'method', 'kind' and 'target'. Also received: "
            f"{sorted(unknown)}."
        )
    method, kind = request.get("method"), request.get("kind", kinds.ATTRIBUTIONS)
    if method is not None and not isinstance(method, str):
        raise InvalidRequest(f"'method' must be the name of a method. Received: {method!r}.")
    if not isinstance(kind, str):
        raise InvalidRequest(f"'kind' must be one of {list(kinds.KINDS)}. Received: {kind!r}.")
    name = choose(signatures, method, kind)
    inputs = model_inputs(signatures[name])
    called = target_of(signatures[name])
    targets = None if called is None else request.get(TARGET, TOP_CLASS)
    if targets is None and TARGET in request:
        raise InvalidRequest(f"{name!r} explains the top class; leave 'target' out.")
    found: dict[str, Any] = {"signature_name": name}
    if layout_of(request) == "column":
        found[COLUMNS] = _columns(request[COLUMNS], inputs, called, targets)
    else:
        found[ROWS] = _rows(request[ROWS], inputs, called, targets)
    return Body(found, body.words)


def _rows(rows: Any, inputs: list[str], called: str | None, targets: Any) -> list[Any]:
    if not isinstance(rows, list):
        raise InvalidRequest("'instances' must be a list of at least one instance.")
    if targets is None:
        return rows
    targets = targets if isinstance(targets, list) else [targets] * len(rows)
    if len(targets) != len(rows):
        raise InvalidRequest(
            f"There must be one target for each of the {len(rows)} instances. "
            f"Received: {len(targets)} targets."
        )
    return [
        {called: target, **(row if is_named(row) else {inputs[0]: row})}
        for row, target in zip(rows, targets, strict=True)
    ]


def _columns(columns: Any, inputs: list[str], called: str | None, targets: Any) -> Any:
    if targets is None:
        return columns
    columns = columns if is_named(columns) else {inputs[0]: columns}
    rows = columns.get(inputs[0])
    if not isinstance(targets, list):
        targets = [targets] * (len(rows) if isinstance(rows, list) else 1)
    return {called: targets, **columns}
