"""One request over REST: its body as a request to the core, and the core's answer as a body."""

from __future__ import annotations

import time
import zlib

from tfgig.exported.signatures import SERVING_DEFAULT
from tfgig.serving.devserver.core import Core, refuse_method
from tfgig.serving.protocol.errors import InvalidRequest, Overloaded
from tfgig.serving.protocol.explanation import predict_request
from tfgig.serving.protocol.json_answers import encode_outputs
from tfgig.serving.protocol.json_body import parse, shown, signature_name
from tfgig.serving.protocol.json_requests import decode_inputs
from tfgig.serving.protocol.records import Model

EXPLAIN, PREDICT = "explain", "predict"
_GZIP = 16 + zlib.MAX_WBITS


class TooLarge(Overloaded):
    """A body beyond the bound: with a status of its own, as waiting does not help."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"A body has at most {max_bytes} bytes.")


class Call:
    """One request with a body.

    Args:
        core: What answers.
        model: Which model is asked.
        method: "predict", "explain", "classify" or "regress".
        deadline: When it must be answered, on the monotonic clock.

    Attributes:
        signature: What is asked for, once that is known.
    """

    def __init__(self, core: Core, model: Model, method: str, deadline: float) -> None:
        self._core = core
        self._model = model
        self._method = method
        self._deadline = deadline
        self.signature = ""

    @property
    def seconds(self) -> float:
        """How long is left."""
        return max(0.0, self._deadline - time.monotonic())

    def answer(self, received: bytes) -> bytes:
        """The body of the answer to a body.

        Raises:
            ServingError: the request is wrong, the queue is full, or the graph failed.
        """
        body = parse(received)
        name = signature_name(body)
        with self._core.lease(self._model) as servable:
            signatures = servable.model.signatures
            if self._method == EXPLAIN:
                body = predict_request(body, signatures)
                name = signature_name(body)
            elif self._method != PREDICT:
                if not body.values.get("examples"):
                    raise InvalidRequest(
                        f"JSON Value: {shown(body.values)} When method is classify, key "
                        "'examples' is expected and was not found"
                    )
                refuse_method(servable.model, name, self._method)
            name = name or SERVING_DEFAULT
            known = signatures | servable.model.internal
            if name not in known:
                raise InvalidRequest(f'Serving signature name: "{name}" not found in signature def')
            self.signature = name
            inputs, layout = decode_inputs(body, known[name], name)
            outputs = self._core.run(servable, name, inputs, seconds=self.seconds)
        return encode_outputs(outputs, layout, "explanations" if self._method == EXPLAIN else "")


def unzipped(body: bytes, max_bytes: int) -> bytes:
    """A body that came in gzip; nothing if it is none, as TensorFlow Serving takes it.

    Raises:
        TooLarge: it is larger than that when it is unpacked.
    """
    unpack = zlib.decompressobj(_GZIP)
    try:
        found = unpack.decompress(body, max_bytes + 1)
    except zlib.error:
        return b""
    if len(found) > max_bytes:
        raise TooLarge(max_bytes)
    return found if unpack.eof else b""
