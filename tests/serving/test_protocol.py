"""What goes over the wire, checked with the official stubs and plain HTTP."""

import base64
import contextlib
import http.client
import json
import socket
import urllib.parse

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from tests.cases import CLASSES, images
from tests.serving.conftest import eventually, options
from tfgig.exported.signatures import public
from tfgig.serving import InvalidRequest, LocalServer
from tfgig.serving.devserver import rest
from tfgig.serving.devserver.grpc_server import _array
from tfgig.serving.protocol import json_answers
from tfgig.serving.protocol.errors import Code
from tfgig.serving.protocol.json_body import Body
from tfgig.serving.protocol.json_requests import decode_inputs

IMAGES = images(2)
ROWS = IMAGES.tolist()


def predict_request(signature="serving_default", **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "tiny"
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def post(server, what, body, expected=200, model="tiny"):
    data = body if isinstance(body, bytes) else json.dumps(body)
    url = f"{server.rest_address}/v1/models/{model}{what}"
    response = requests.post(url, data=data, timeout=30)
    assert response.status_code == expected, response.text
    assert response.headers["Content-Type"] == "application/json"
    if expected != 200:
        assert set(response.json()) == {"error"}
        assert response.json()["error"]
    return response.json()


def get(server, path, expected=200):
    response = requests.get(server.rest_address + path, timeout=30)
    assert response.status_code == expected, response.text
    return response.json()


def refused(call, code):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code().name == code, caught.value.details()
    return caught.value.details()


# gRPC


def test_predict_with_defaults_and_a_filter(stubs, direct):
    request = predict_request("explain_ig", image=IMAGES)
    request.output_filter[:] = ["score", "target"]
    response = stubs.predictions.Predict(request, timeout=30)
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "explain_ig"
    assert set(response.outputs) == {"score", "target"}
    expected = direct.run("explain_ig", image=IMAGES)
    np.testing.assert_allclose(
        tf.make_ndarray(response.outputs["score"]), expected["score"], rtol=1e-5
    )


def test_the_signature_is_serving_default_unless_named(stubs):
    response = stubs.predictions.Predict(predict_request("", image=IMAGES), timeout=30)
    assert response.model_spec.signature_name == "serving_default"


def test_metadata(stubs, direct):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "tiny"
    response = stubs.predictions.GetModelMetadata(request, timeout=30)
    found = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(found)
    assert public(found.signature_def) == direct.signatures
    assert response.model_spec.version.value == 1


def test_status(stubs):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "tiny"
    (status,) = stubs.models.GetModelStatus(request, timeout=30).model_version_status
    assert (status.version, status.state) == (1, get_model_status_pb2.ModelVersionStatus.AVAILABLE)


def test_a_small_message_cannot_announce_a_huge_tensor(stubs):
    request = predict_request()
    request.inputs["image"].CopyFrom(tf.make_tensor_proto(0.5, shape=[10**6, 12, 10, 3]))
    details = refused(lambda: stubs.predictions.Predict(request, timeout=30), "INVALID_ARGUMENT")
    assert "larger than" in details


def test_a_small_message_cannot_announce_many_texts():
    """Neither many short ones, nor one long one many times."""
    for texts, count in (([b"a"], 60_000_000), ([b"a" * 1000], 10_000), ([], 60_000_000)):
        message = tensor_pb2.TensorProto(dtype=tf.string.as_datatype_enum, string_val=texts)
        message.tensor_shape.dim.add(size=count)
        with pytest.raises(InvalidRequest, match="larger than 4194304 bytes"):
            _array("x", message, 4 << 20)
    texts = _array("x", tf.make_tensor_proto([b"a" * 1000] * 4000), 4 << 20)
    assert texts.shape == (4000,)


def test_a_message_beyond_the_bound(stubs):
    request = predict_request(image=images(4000))  # 5.8 MB, where 4 MiB are taken
    refused(lambda: stubs.predictions.Predict(request, timeout=30), "RESOURCE_EXHAUSTED")


def test_garbage(server, stubs):
    raw = stubs.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    refused(lambda: raw(b"\xff\x00garbage", timeout=30), "INTERNAL")
    for address in (server.grpc_address, server.rest_address.removeprefix("http://")):
        place = urllib.parse.urlsplit(f"//{address}")
        with socket.create_connection((place.hostname, place.port), 10) as connection:
            connection.sendall(b"\xff\x00 garbage \r\n\r\n")
            connection.settimeout(10)
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(4096):
                    pass  # the server ends the connection
    assert post(server, ":predict", {"instances": ROWS})


# REST


def test_rows_and_columns(server, direct):
    expected = direct.run("serving_default", image=IMAGES)["output_0"]
    rows = post(server, ":predict", {"instances": ROWS})
    named = post(server, ":predict", {"instances": [{"image": row} for row in ROWS]})
    columns = post(server, ":predict", {"inputs": {"image": ROWS}})
    plain = post(server, ":predict", {"inputs": ROWS})
    assert rows == named
    assert columns == plain
    # A single output has no name.
    for found in (rows["predictions"], columns["outputs"]):
        np.testing.assert_array_equal(np.float32(found), expected)
    assert np.float32(rows["predictions"]).shape == (2, CLASSES)


def test_numbers_that_are_none(server):
    """They are written bare, both ways, as TensorFlow Serving does."""
    bad = IMAGES[:1].copy()
    bad[0, 0, 0, 0] = np.nan
    body = json.dumps({"instances": bad.tolist()}).encode()
    assert b"NaN" in body
    post(server, ":predict", body)  # whatever the model makes of it, it is taken
    assert json_answers.dump([np.nan, np.inf]) == b"[NaN,Infinity]"
    body = {"instances": bad.tolist(), "method": "ig"}
    assert post(server, ":explain", body)["explanations"][0]["ok"] is False


def test_several_outputs_have_names(server):
    body = {"signature_name": "explain_ig", "inputs": {"image": ROWS, "target": [1, -1]}}
    columns = post(server, ":predict", body)["outputs"]
    assert columns["ok"] == [True, True]
    body["instances"] = [{"image": row, "target": t} for row, t in zip(ROWS, [1, -1], strict=True)]
    del body["inputs"]
    rows = post(server, ":predict", body)["predictions"]
    assert [row["score"] for row in rows] == columns["score"]
    assert [row["target"] for row in rows] == columns["target"]


def test_bytes_are_base64(server, direct):
    body = {"signature_name": "heatmap_ig", "instances": ROWS}
    rows = post(server, ":predict", body)["predictions"]
    expected = direct.run("heatmap_ig", image=IMAGES)["heatmap_bytes"]
    for row, file in zip(rows, expected, strict=True):
        assert base64.b64decode(row["heatmap_bytes"]["b64"]) == file


def test_versions_and_labels(server):
    for path in ("/versions/1", "/labels/stable"):
        post(server, f"{path}:predict", {"instances": ROWS})
        assert get(server, f"/v1/models/tiny{path}")["model_version_status"]


def test_status_and_metadata_are_as_tensorflow_serving_writes_them(server):
    assert get(server, "/v1/models/tiny") == {
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    found = get(server, "/v1/models/tiny/metadata")
    assert found["model_spec"] == {"name": "tiny", "signature_name": "", "version": "1"}
    signatures = found["metadata"]["signature_def"]["signature_def"]
    image = signatures["serving_default"]["inputs"]["image"]
    assert image["dtype"] == "DT_FLOAT"
    assert [axis["size"] for axis in image["tensor_shape"]["dim"]] == ["-1", "12", "10", "3"]


@pytest.mark.parametrize("body", [b"\xff\x00garbage", b"[" * 100_000])
def test_garbage_is_no_json(server, body):
    assert "JSON Parse error" in post(server, ":predict", body, 400)["error"]


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_beyond_the_bound(server, announced):
    """100 MB are refused when they are announced, and at the first byte past 4 MiB if not."""
    connection = http.client.HTTPConnection(server.rest_address.removeprefix("http://"), timeout=60)
    with contextlib.closing(connection):
        connection.putrequest("POST", "/v1/models/tiny:predict")
        if announced:
            connection.putheader("Content-Length", "100000000")
            connection.endheaders()
        else:
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders(b"5f5e100\r\n" + b" " * (4 * 2**20 + 1))
        response = connection.getresponse()
        assert response.status == 413
        assert "4194304 bytes" in json.loads(response.read())["error"]
    post(server, ":predict", {"instances": ROWS})


def test_texts_that_are_nested_too_deeply():
    definition = meta_graph_pb2.SignatureDef()
    definition.inputs["x"].dtype = tf.string.as_datatype_enum
    texts = "cat"
    for _ in range(5000):
        texts = [texts]
    with pytest.raises(InvalidRequest, match="Lists may be nested at most 32 deep"):
        decode_inputs(Body({"instances": texts}), definition, "x")


@pytest.mark.parametrize("text", ["?", "A", "\ud800", "ä"])
def test_what_is_not_in_base64(text):
    definition = meta_graph_pb2.SignatureDef()
    definition.inputs["x"].dtype = tf.string.as_datatype_enum
    with pytest.raises(InvalidRequest, match="Unable to base64 decode"):
        decode_inputs(Body({"instances": [{"b64": text}]}), definition, "x")


def test_a_fault_of_the_servers_own_is_json(server, monkeypatch):
    def fail():
        raise RuntimeError("A fault of the server's own.")

    monkeypatch.setattr(server.core.versions, "statuses", fail)
    assert "log" in get(server, "/healthz", 500)["error"]


def beginning(server):
    """A connection with a request of 1000 bytes, of which one has been sent."""
    place = urllib.parse.urlsplit(server.rest_address)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    connection.putrequest("POST", f"/v1/models/{server.name}:predict")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"{")
    return connection


def test_a_body_that_does_not_come(slow):
    with (
        LocalServer(slow, options(rest_seconds=0.3)) as server,
        contextlib.closing(beginning(server)) as connection,
    ):
        response = connection.getresponse()
        assert response.status == 504
        assert "before the deadline" in json.loads(response.read())["error"]


def test_connections_are_not_requests(slow, monkeypatch):
    """Those that say nothing keep nobody out; a body that is still coming does."""
    monkeypatch.setattr(rest, "CALLS", 1)
    with LocalServer(slow, options()) as server, contextlib.ExitStack() as held:
        url = f"{server.rest_address}/v1/models/slow:predict"

        def status():
            return requests.post(url, json={"instances": ROWS}, timeout=60).status_code

        place = urllib.parse.urlsplit(server.rest_address)
        for _ in range(5):
            held.enter_context(socket.create_connection((place.hostname, place.port), 10))
        assert status() == 200
        with contextlib.closing(beginning(server)):
            eventually(lambda: status() == 429, seconds=20)
            assert get(server, "/healthz") == {"ready": True}
        eventually(lambda: status() == 200)


def test_health_and_metrics(server):
    assert get(server, "/healthz") == {"ready": True}
    post(server, ":predict", {"instances": ROWS})
    post(server, ":predict", {"signature_name": "x" * 50, "instances": ROWS}, 400)
    address = f"{server.rest_address}/monitoring/prometheus/metrics"
    text = requests.get(address, timeout=30).text
    line = 'tfgig_serving_requests_total{code="OK",protocol="rest",signature="serving_default"}'
    assert line in text
    assert "xxxx" not in text  # what clients make up does not become a label


def test_codes_match_grpc_and_tensorflow():
    for code in Code:
        assert getattr(grpc.StatusCode, code.name).value[0] == code.number
        if code is not Code.OK:
            assert getattr(tf.errors, code.name) == code.number


# :explain


def test_explain(server, direct):
    expected = direct.run("explain_ig", image=IMAGES, target=[3, 3])
    body = {"instances": ROWS, "method": "ig", "target": 3}
    rows = post(server, ":explain", body)["explanations"]
    assert [row["target"] for row in rows] == [3, 3]
    found = np.float32([row["attributions"] for row in rows])
    np.testing.assert_allclose(found, expected["attributions"], rtol=1e-5, atol=1e-8)
    named = {"instances": [{"image": ROWS[0], "target": 2}, {"image": ROWS[1]}], "method": "ig"}
    rows = post(server, ":explain", named)["explanations"]
    assert rows[0]["target"] == 2
    columns = post(server, ":explain", {"inputs": ROWS, "method": "ig", "target": [3, 1]})
    assert columns["outputs"]["target"] == [3, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "igg"}, "Did you mean 'ig'"),
        ({"method": None}, "one of: gradient, ig"),
        ({"method": 3}, "name of a method"),
        ({"target": [1]}, "2 instances"),
        ({"steps": 3}, "steps"),
        ({"target": "cat"}, "not of expected type: int64"),
        ({"instances": None}, "at least one instance"),
        ({"inputs": ROWS}, "only one of 'inputs' or 'instances'"),
    ],
)
def test_explain_refuses(server, changes, message):
    body = {"instances": ROWS, "method": "ig", **changes}
    assert message in post(server, ":explain", body, 400)["error"]


def test_explain_needs_something_to_explain(server):
    assert "Missing 'inputs'" in post(server, ":explain", {"method": "ig"}, 400)["error"]


def test_answers_are_sent_at_once(server):
    """Without Nagle's algorithm, which costs each answer 40 ms."""
    with requests.Session() as session:
        session.get(f"{server.rest_address}/healthz", timeout=30)
        connections = list(server._rest._server.server_state.connections)
        sockets = [connection.transport.get_extra_info("socket") for connection in connections]
        assert sockets
        assert all(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for s in sockets)
