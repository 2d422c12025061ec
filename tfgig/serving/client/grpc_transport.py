"""The client's side of gRPC."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfgig.exported.signatures import public
from tfgig.serving.protocol.errors import ServingError, error_of_number
from tfgig.serving.protocol.records import SIGNATURES, Answer, Model, VersionStatus


class GrpcTransport:
    """One model at one address.

    Args:
        address: "host:port".
        model: Which model.
        secure: Whether the connection is encrypted.
    """

    def __init__(self, address: str, model: Model, secure: bool = False) -> None:
        # 4 MiB, gRPC's own limit for answers, is seven attribution maps of 224 x 224 pixels.
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_http_proxy", 0),  # one for the internet is none for a model server
        ]
        if secure:
            credentials = grpc.ssl_channel_credentials()
            self._channel = grpc.secure_channel(address, credentials, options)
        else:
            self._channel = grpc.insecure_channel(address, options)
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._model = model

    def predict(
        self,
        definition: meta_graph_pb2.SignatureDef,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        seconds: float,
    ) -> Answer:
        """The outputs of one request."""
        request = predict_pb2.PredictRequest(output_filter=outputs)
        self._fill(request.model_spec)
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(
                tf.make_tensor_proto(value, definition.inputs[name].dtype)
            )
        response = self._call(self._predictions.Predict, request, seconds)
        found = {name: tf.make_ndarray(value) for name, value in response.outputs.items()}
        return Answer(found, response.model_spec.version.value)

    def signatures(self, seconds: float) -> dict[str, meta_graph_pb2.SignatureDef]:
        """The signatures of the model."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=[SIGNATURES])
        self._fill(request.model_spec)
        response = self._call(self._predictions.GetModelMetadata, request, seconds)
        found = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[SIGNATURES].Unpack(found)
        return public(found.signature_def)

    def statuses(self, seconds: float) -> list[VersionStatus]:
        """The versions of the model."""
        request = get_model_status_pb2.GetModelStatusRequest()
        self._fill(request.model_spec)
        response = self._call(self._models.GetModelStatus, request, seconds)
        states = get_model_status_pb2.ModelVersionStatus.State
        return [
            VersionStatus(
                found.version,
                states.Name(found.state),
                error_of_number(found.status.error_code, "").code,
                found.status.error_message,
            )
            for found in response.model_version_status
        ]

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def _fill(self, spec: model_pb2.ModelSpec) -> None:
        spec.name = self._model.name
        if self._model.version is not None:
            spec.version.value = self._model.version
        if self._model.label is not None:
            spec.version_label = self._model.label

    def _call(self, method: Callable[..., Any], request: Any, seconds: float) -> Any:
        try:
            return method(request, timeout=seconds)
        except grpc.RpcError as error:
            raise _typed(error) from error


def _typed(error: Any) -> ServingError:
    number = error.code().value[0]
    return error_of_number(number, error.details() or error.code().name)
