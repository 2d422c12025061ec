"""The messages of TensorFlow Serving that both protocols answer with."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format

from tfgig.serving.devserver.core import Core
from tfgig.serving.protocol.errors import NotFound, needed
from tfgig.serving.protocol.records import APIS, SIGNATURES, Model


def model_of(spec: Any) -> Model:
    """Which model a `ModelSpec` names."""
    version = spec.version.value if spec.HasField("version") else None
    return Model(spec.name, version, spec.version_label or None)


def status_of(core: Core, model: Model) -> Any:
    """A `GetModelStatusResponse`: how one version, or every one, is.

    Raises:
        NotFound: there is no such model or version.
    """
    core.check_name(model.name)
    messages = needed(f"{APIS}get_model_status_pb2")
    number = model.version
    if model.label is not None:
        number = core.signatures(model)[0]
    statuses = [s for s in core.versions.statuses() if number in (None, s.number)]
    if not statuses:
        raise NotFound(f"No version of {model.name!r} is known. Received: {number}.")
    response = messages.GetModelStatusResponse()
    for status in statuses:
        response.model_version_status.add(
            version=status.number,
            state=messages.ModelVersionStatus.State.Value(status.state),
            status={"error_code": status.code.number, "error_message": status.message},
        )
    return response


def metadata_of(core: Core, model: Model) -> Any:
    """A `GetModelMetadataResponse` with the signatures of a version.

    Raises:
        ServingError: there is no such version.
    """
    messages = needed(f"{APIS}get_model_metadata_pb2")
    number, signatures = core.signatures(model)
    response = messages.GetModelMetadataResponse()
    response.model_spec.name = model.name
    response.model_spec.version.value = number
    found = messages.SignatureDefMap()
    for name, definition in signatures.items():
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
    response = metadata_of(core, model)
    found = needed(f"{APIS}get_model_metadata_pb2").SignatureDefMap()
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
