"""TensorFlow Serving's gRPC services, by the stubs of tensorflow-serving-api."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent import futures
from typing import Any, TypeVar

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfgig.exported.signatures import SERVING_DEFAULT
from tfgig.serving.deployment.options import ServerOptions
from tfgig.serving.devserver.core import Core, refuse_method
from tfgig.serving.devserver.front import authority
from tfgig.serving.devserver.heads import SECONDS
from tfgig.serving.devserver.messages import metadata_of, model_of, status_of
from tfgig.serving.protocol.errors import Code, InvalidRequest, ServingError

_HANDLES = (types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT)
_POINTER = 8  # bytes: what a text takes beside its own
_Answer = TypeVar("_Answer")


class GrpcServer:
    """The gRPC front of a server.

    Args:
        core: What answers.
        options: Where and how it listens.
        max_bytes: The largest message that is taken.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, core: Core, options: ServerOptions, max_bytes: int) -> None:
        threads = options.grpc_max_threads
        self._server = grpc.server(
            futures.ThreadPoolExecutor(threads, thread_name_prefix="grpc"),
            maximum_concurrent_rpcs=threads,
            options=[
                ("grpc.max_receive_message_length", max_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),  # a port that is taken is an error
                ("grpc.server_handshake_timeout_ms", int(SECONDS * 1000)),
            ],
        )
        self._started = False
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            _Predictions(core, max_bytes), self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(core), self._server)
        host, port = options.host, options.port
        try:
            self.port = self._server.add_insecure_port(authority(host, port))
        except RuntimeError as error:
            raise OSError(f"Port {port} of {host} is in use. Received: {error}") from error
        self.address = authority(host, self.port)

    def start(self) -> None:
        """Answers from now on."""
        self._started = True
        self._server.start()

    def stop(self, grace: float) -> None:
        """Takes no more calls; those under way end by themselves, or are ended."""
        if not self._started:
            self.start()  # gRPC gives back only the port of a server that has started
        self._server.stop(grace + 1.0).wait()


class _Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predictions, and what is known of signatures."""

    def __init__(self, core: Core, max_bytes: int) -> None:
        self._core = core
        self._max_bytes = max_bytes

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        signature = request.model_spec.signature_name or SERVING_DEFAULT
        started, code = time.monotonic(), Code.OK
        try:
            return self._predict(request, signature, context)
        except ServingError as error:
            code = error.code
            context.abort(_status_code(code), str(error))
        except Exception:
            code = Code.INTERNAL
            raise
        finally:
            self._core.count("grpc", signature, code, started)

    def _predict(self, request: Any, signature: str, context: grpc.ServicerContext) -> Any:
        if not request.HasField("model_spec"):
            raise InvalidRequest("Missing ModelSpec")
        response = predict_pb2.PredictResponse()
        with self._core.lease(model_of(request.model_spec)) as servable:
            inputs = {
                name: _array(name, value, self._max_bytes) for name, value in request.inputs.items()
            }
            filtered = tuple(request.output_filter)
            left = context.time_remaining()
            outputs = self._core.run(servable, signature, inputs, filtered, left)
            response.model_spec.version.value = servable.number
        response.model_spec.name = request.model_spec.name
        response.model_spec.signature_name = signature
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        return _answered(context, lambda: self._refuse(request, "classify"))

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        return _answered(context, lambda: self._refuse(request, "regress"))

    def _refuse(self, request: Any, method: str) -> Any:
        spec = request.model_spec
        with self._core.lease(model_of(spec)) as servable:
            refuse_method(servable.model, spec.signature_name, method)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer() -> Any:
            if not request.HasField("model_spec"):
                raise InvalidRequest("Missing ModelSpec")
            return metadata_of(
                self._core, model_of(request.model_spec), list(request.metadata_field)
            )

        return _answered(context, answer)


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    """The states of versions."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer() -> Any:
            if not request.HasField("model_spec"):
                raise InvalidRequest("Missing ModelSpec")
            return status_of(self._core, model_of(request.model_spec))

        return _answered(context, answer)


def _array(name: str, value: tensor_pb2.TensorProto, max_bytes: int) -> np.ndarray:
    try:
        if value.dtype in _HANDLES:
            raise TypeError("handles of resources are a process's own")
        if any(axis.size < 0 for axis in value.tensor_shape.dim):
            raise ValueError("its shape has a negative size")
        if _size(value) > max_bytes:
            shape = tf.TensorShape(value.tensor_shape)
            raise ValueError(f"its shape {shape} is larger than {max_bytes} bytes")
        return tf.make_ndarray(value)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise InvalidRequest(f"tensor parsing error: {name}: {error}") from error


def _size(value: tensor_pb2.TensorProto) -> int:
    """The bytes of a tensor: a few can announce one of any size, whose last value is repeated."""
    count = tf.TensorShape(value.tensor_shape).num_elements() or 0
    dtype = tf.dtypes.as_dtype(value.dtype)
    if dtype != tf.string:
        return count * dtype.size
    lengths = [len(text) for text in value.string_val]
    repeated = max(0, count - len(lengths)) * (lengths[-1] if lengths else 0)
    return count * _POINTER + sum(lengths) + repeated


def _answered(context: grpc.ServicerContext, answer: Callable[[], _Answer]) -> _Answer:
    """The answer; an error becomes a status."""
    try:
        return answer()
    except ServingError as error:
        context.abort(_status_code(error.code), str(error))
        raise  # `abort` has raised already


def _status_code(code: Code) -> grpc.StatusCode:
    return next(found for found in grpc.StatusCode if found.value[0] == code.number)
