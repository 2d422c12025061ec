"""One request over REST: its body as a request to the core, and the core's answer as a body."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.exported.signatures import SERVING_DEFAULT
from tfgig.serving.devserver.core import Core, Pending
from tfgig.serving.protocol.errors import Code, InvalidRequest, ServingError
from tfgig.serving.protocol.explanation import predict_request
from tfgig.serving.protocol.json_codec import (
    decode_inputs,
    dump,
    encode_outputs,
    encode_rows,
    parse,
)
from tfgig.serving.protocol.records import Model


class Call:
    """One request with a body.

    Args:
        core: What answers.
        model: Which model is asked.
        what: ":predict" or ":explain"; others are refused.
        deadline: When it must be answered, on the monotonic clock.
    """

    def __init__(self, core: Core, model: Model, what: str, deadline: float) -> None:
        self._core = core
        self._model = model
        self._what = what
        self._deadline = deadline
        self._layout: Any = None
        self.signature = ""

    @property
    def seconds(self) -> float:
        """How long is left."""
        return max(0.0, self._deadline - time.monotonic())

    def submit(self, body: bytes) -> Pending:
        """Reads the body and starts the request.

        Raises:
            ServingError: the request is wrong, or the queue is full.
        """
        if self._what not in (":predict", ":explain"):
            raise ServingError(f"{self._what} is not offered; :predict is.", Code.UNIMPLEMENTED)
        request: Mapping[str, Any] = parse(body)
        servable = self._core.acquire(self._model)
        try:
            signatures = servable.model.signatures
            if self._what == ":explain":
                request = predict_request(request, signatures)
            name = request.get("signature_name", "") or SERVING_DEFAULT
            definition = _definition(signatures, name)
            self.signature = name
            inputs, self._layout = decode_inputs(request, definition)
        except BaseException:
            self._core.versions.release(servable)
            raise
        return self._core.submit(servable, name, inputs, seconds=self.seconds)

    def encode(self, outputs: Mapping[str, np.ndarray]) -> bytes:
        """The body of the answer."""
        if self._what == ":explain" and self._layout == "row":
            return dump({"explanations": encode_rows(outputs)})
        return encode_outputs(outputs, self._layout)


def _definition(
    signatures: Mapping[str, meta_graph_pb2.SignatureDef], name: Any
) -> meta_graph_pb2.SignatureDef:
    if not isinstance(name, str) or name not in signatures:
        raise InvalidRequest(
            f"No signature of the name {name!r}; these are: {', '.join(sorted(signatures))}."
        )
    return signatures[name]
