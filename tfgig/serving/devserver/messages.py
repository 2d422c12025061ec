"""The messages of TensorFlow Serving that both protocols answer with."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
)

from tfgig.serving.devserver.core import Core
from tfgig.serving.protocol.errors import InvalidRequest, NotFound
from tfgig.serving.protocol.records import SIGNATURES, Model


def model_of(spec: model_pb2.ModelSpec) -> Model:
    """Which model a `ModelSpec` names."""
    version = spec.version.value if spec.HasField("version") else None
    return Model(spec.name, version, spec.version_label or None)


def status_of(core: Core, model: Model) -> get_model_status_pb2.GetModelStatusResponse:
    """How one version, or every one, is; a label does not count, as in TensorFlow Serving.

    Raises:
        NotFound: there is no such model or version.
    """
    known = core.versions.statuses() if model.name == core.name else []
    statuses = [s for s in known if model.version in (None, s.number)]
    if not statuses:
        which = "any versions" if model.version is None else f"version {model.version}"
        raise NotFound(f"Could not find {which} of model {model.name}")
    response = get_model_status_pb2.GetModelStatusResponse()
    for status in statuses:
        response.model_version_status.add(
            version=status.number,
            state=get_model_status_pb2.ModelVersionStatus.State.Value(status.state),
            status={"error_code": status.code.number, "error_message": status.message},
        )
    return response


def metadata_of(
    core: Core, model: Model, fields: list[str]
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """The signatures of a version, TensorFlow's own included.

    Args:
        core: What knows them.
        model: The version.
        fields: What is asked for.

    Raises:
        ServingError: there is no such version, or nothing else is asked for than there is.
    """
    if not fields:
        raise InvalidRequest("GetModelMetadataRequest must specify at least one metadata_field")
    for field in fields:
        if field != SIGNATURES:
            raise InvalidRequest(f"Metadata field {field} is not supported")
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    found = get_model_metadata_pb2.SignatureDefMap()
    with core.lease(model) as servable:
        response.model_spec.name = model.name
        response.model_spec.version.value = servable.number
        for name, definition in (servable.model.signatures | servable.model.internal).items():
            found.signature_def[name].CopyFrom(definition)
    response.metadata[SIGNATURES].Pack(found)
    return response


def json_of_status(core: Core, model: Model) -> dict[str, Any]:
    """The status as REST answers it."""
    return json_format.MessageToDict(
        status_of(core, model),
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )


def json_of_metadata(core: Core, model: Model) -> dict[str, Any]:
    """The metadata as REST answers them; the map of signatures has its name twice there, too."""
    response = metadata_of(core, model, [SIGNATURES])
    found = get_model_metadata_pb2.SignatureDefMap()
    response.metadata[SIGNATURES].Unpack(found)
    signatures = json_format.MessageToDict(
        found, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    spec = {
        "name": model.name,
        "signature_name": "",
        "version": str(response.model_spec.version.value),
    }
    return {"model_spec": spec, "metadata": {SIGNATURES: signatures}}
