"""The client's side of REST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import requests
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.exported.signatures import has_rows, public
from tfgig.serving.protocol.errors import (
    Code,
    DeadlineExceeded,
    Unavailable,
    error_of,
    error_of_http,
)
from tfgig.serving.protocol.json_answers import decode_output, dump, plain_input
from tfgig.serving.protocol.records import SIGNATURES, Answer, Model, VersionStatus


class RestTransport:
    """One model at one address.

    Args:
        address: "http://host:port".
        model: Which model.
    """

    def __init__(self, address: str, model: Model) -> None:
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy for the internet is none for a model server
        url = f"{address.rstrip('/')}/v1/models/{model.name}"
        if model.version is not None:
            url += f"/versions/{model.version}"
        elif model.label is not None:
            url += f"/labels/{model.label}"
        self._url = url

    def predict(
        self,
        definition: meta_graph_pb2.SignatureDef,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        seconds: float,
    ) -> Answer:
        """The outputs of one request."""
        columns = {name: plain_input(value) for name, value in inputs.items()}
        if not all(has_rows(definition.inputs[name]) for name in columns):
            return self._in_columns(definition, signature, columns, outputs, seconds)
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        body = dump({"signature_name": signature, "instances": rows})
        answer = self._json("POST", ":predict", seconds, body)["predictions"]
        if len(definition.outputs) == 1:  # whose name is left out
            answer = [dict.fromkeys(definition.outputs, row) for row in answer]
        return Answer(
            {
                name: decode_output([row[name] for row in answer], definition.outputs[name])
                for name in outputs or definition.outputs
            }
        )

    def _in_columns(
        self,
        definition: meta_graph_pb2.SignatureDef,
        signature: str,
        columns: Mapping[str, Any],
        outputs: Sequence[str],
        seconds: float,
    ) -> Answer:
        """The same for inputs of which some have no rows; larger on the wire."""
        body = dump({"signature_name": signature, "inputs": columns})
        answer = self._json("POST", ":predict", seconds, body)["outputs"]
        if len(definition.outputs) == 1:  # whose name is left out
            answer = dict.fromkeys(definition.outputs, answer)
        wanted = outputs or definition.outputs
        return Answer({n: decode_output(answer[n], definition.outputs[n]) for n in wanted})

    def signatures(self, seconds: float) -> dict[str, meta_graph_pb2.SignatureDef]:
        """The signatures of the model."""
        found = self._json("GET", "/metadata", seconds)["metadata"][SIGNATURES][SIGNATURES]
        return public(
            {
                name: json_format.ParseDict(
                    definition, meta_graph_pb2.SignatureDef(), ignore_unknown_fields=True
                )
                for name, definition in found.items()
            }
        )

    def statuses(self, seconds: float) -> list[VersionStatus]:
        """The versions of the model."""
        found = self._json("GET", "", seconds)["model_version_status"]
        return [
            VersionStatus(
                int(entry["version"]),
                entry["state"],
                Code[entry["status"]["error_code"]],
                entry["status"]["error_message"],
            )
            for entry in found
        ]

    def close(self) -> None:
        """Closes the connection."""
        self._session.close()

    def _json(self, method: str, path: str, seconds: float, body: bytes = b"") -> Any:
        try:
            response = self._session.request(
                method,
                self._url + path,
                data=body or None,
                headers={"Content-Type": "application/json"},
                timeout=seconds,
            )
        except requests.exceptions.Timeout as error:
            raise DeadlineExceeded(f"No answer within {seconds:.3g} s.") from error
        except requests.exceptions.RequestException as error:
            raise Unavailable(f"The server at {self._url} does not answer: {error}") from error
        if response.status_code == 200:
            try:
                return response.json()
            except ValueError as error:
                raise error_of(Code.INTERNAL, f"The answer is not JSON: {error}.") from error
        raise error_of_http(response.status_code, _message(response))


def _message(response: requests.Response) -> str:
    try:
        return response.json()["error"]
    except (ValueError, KeyError, TypeError):  # of a proxy on the way
        return f"HTTP status {response.status_code} ({response.reason})"
