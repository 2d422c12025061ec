"""TensorFlow Serving's gRPC services, by the stubs of tensorflow-serving-api."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from tfgig.exported.signatures import SERVING_DEFAULT
from tfgig.serving.devserver.core import Core
from tfgig.serving.devserver.heads import SECONDS
from tfgig.serving.devserver.messages import metadata_of, model_of, status_of
from tfgig.serving.protocol.errors import Code, InvalidRequest, ServingError, needed
from tfgig.serving.protocol.records import APIS, SIGNATURES

# Threads only wait here, for the lanes do the work; more calls than that are refused.
_CALLS = 128
_HANDLES = (types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT)
_POINTER = 8  # bytes: what a text takes beside its own


class GrpcServer:
    """The gRPC front of a server.

    Args:
        core: What answers.
        host: The address to listen at.
        port: The port; 0 for a free one.
        max_bytes: The largest message that is taken.
    """

    def __init__(self, core: Core, host: str, port: int, max_bytes: int) -> None:
        grpc = needed("grpc")
        predictions = needed(f"{APIS}prediction_service_pb2_grpc")
        models = needed(f"{APIS}model_service_pb2_grpc")
        self._server = grpc.server(
            futures.ThreadPoolExecutor(_CALLS, thread_name_prefix="grpc"),
            maximum_concurrent_rpcs=_CALLS,
            options=[
                ("grpc.max_receive_message_length", max_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),  # a port that is taken is an error
                ("grpc.server_handshake_timeout_ms", int(SECONDS * 1000)),
            ],
        )
        self._started = False
        services = _services(core, max_bytes, predictions, models)
        predictions.add_PredictionServiceServicer_to_server(services[0], self._server)
        models.add_ModelServiceServicer_to_server(services[1], self._server)
        try:
            self.port = self._server.add_insecure_port(authority(host, port))
        except RuntimeError as error:
            raise OSError(f"The port {port} of {host} is taken. Received: {error}") from error

    def start(self) -> None:
        """Answers from now on."""
        self._started = True
        self._server.start()

    def stop(self, grace: float) -> threading.Event:
        """Takes no more calls; the event comes when those under way have ended, or been ended."""
        if not self._started:
            self.start()  # gRPC gives back only the port of a server that has started
        return self._server.stop(grace + 1.0)


def authority(host: str, port: int) -> str:
    """ "host:port", as gRPC and URLs write it: an address of IPv6 stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _services(core: Core, max_bytes: int, predictions: Any, models: Any) -> tuple[Any, Any]:
    """The two servicers; their classes exist where the stubs are installed."""
    predict_pb2 = needed(f"{APIS}predict_pb2")

    class Predictions(predictions.PredictionServiceServicer):
        def Predict(self, request: Any, context: Any) -> Any:
            return _answered(core, context, request.model_spec, lambda: predict(request, context))

        def GetModelMetadata(self, request: Any, context: Any) -> Any:
            return _answered(core, context, None, lambda: metadata(request))

    class Models(models.ModelServiceServicer):
        def GetModelStatus(self, request: Any, context: Any) -> Any:
            return _answered(core, context, None, lambda: status(request))

    def predict(request: Any, context: Any) -> Any:
        spec = request.model_spec
        signature = spec.signature_name or SERVING_DEFAULT
        inputs = {name: _array(name, value, max_bytes) for name, value in request.inputs.items()}
        pending = core.submit(
            core.acquire(model_of(spec)),
            signature,
            inputs,
            tuple(request.output_filter),
            context.time_remaining(),
        )
        context.add_callback(pending.cancel)
        outputs = pending.result()
        response = predict_pb2.PredictResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = pending.version
        response.model_spec.signature_name = signature
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def status(request: Any) -> Any:
        return status_of(core, model_of(request.model_spec))

    def metadata(request: Any) -> Any:
        if list(request.metadata_field) != [SIGNATURES]:
            raise InvalidRequest(f"metadata_field is [{SIGNATURES!r}].")
        return metadata_of(core, model_of(request.model_spec))

    return Predictions(), Models()


def _array(name: str, value: tensor_pb2.TensorProto, max_bytes: int) -> np.ndarray:
    try:
        if value.dtype in _HANDLES:
            raise TypeError("handles of resources are a process's own")
        if _size(value) > max_bytes:
            shape = tf.TensorShape(value.tensor_shape)
            raise ValueError(f"its shape {shape} is larger than {max_bytes} bytes")
        return tf.make_ndarray(value)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise InvalidRequest(f"The input {name!r} is not a tensor: {error}.") from error


def _size(value: tensor_pb2.TensorProto) -> int:
    """The bytes of a tensor: a few can announce one of any size, whose last value is repeated."""
    count = tf.TensorShape(value.tensor_shape).num_elements() or 0
    dtype = tf.dtypes.as_dtype(value.dtype)
    if dtype != tf.string:
        return count * dtype.size
    lengths = [len(text) for text in value.string_val]
    repeated = max(0, count - len(lengths)) * (lengths[-1] if lengths else 0)
    return count * _POINTER + sum(lengths) + repeated


def _answered(core: Core, context: Any, spec: Any, answer: Callable[[], Any]) -> Any:
    """Runs the answer, counts predictions, and turns errors into statuses."""
    started, code = time.monotonic(), Code.OK
    try:
        return answer()
    except ServingError as error:
        code = error.code
        context.abort(_status_code(code), str(error))
    except Exception:
        code = Code.INTERNAL
        raise
    finally:
        if spec is not None:
            core.count("grpc", spec.signature_name or SERVING_DEFAULT, code, started)


def _status_code(code: Code) -> Any:
    return next(found for found in needed("grpc").StatusCode if found.value[0] == code.number)
