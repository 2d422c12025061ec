"""What clients may send that none should: each has its refusal, and costs the others nothing."""

import contextlib
import gc
import json
import resource
import socket
import threading
import time
import urllib.parse

import grpc
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from tests.cases import images
from tests.serving.conftest import options
from tfgig.serving import LocalServer
from tfgig.serving.devserver import grpc_server, heads
from tfgig.serving.protocol import json_body
from tfgig.serving.protocol.errors import InvalidRequest, ServingError

ROWS = images(2).tolist()


@pytest.mark.parametrize("port", [-1, 65536, 99999, 1.5])
@pytest.mark.parametrize("field", ["port", "rest_port"])
def test_ports_are_ports(field, port):
    with pytest.raises(ValueError, match=rf"`{field}` must be from 0 to 65535\. Received: {port}"):
        options(**{field: port})


@pytest.mark.parametrize(
    ("dtype", "more"),
    [
        (tf.resource.as_datatype_enum, {"resource_handle_val": [{"name": "x"}]}),
        (tf.variant.as_datatype_enum, {}),
        (tf.float32.as_datatype_enum + 100, {"float_val": [1.0]}),  # a reference
        (tf.qint8.as_datatype_enum, {"int_val": [1]}),
        (0, {}),
        (12345, {}),
    ],
)
def test_tensors_that_no_model_takes(stubs, dtype, more):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "tiny"
    value = request.inputs["image"]
    value.MergeFrom(type(value)(dtype=dtype, **more))
    value.tensor_shape.dim.add(size=1)
    with pytest.raises(grpc.RpcError) as caught:
        stubs.predictions.Predict(request, timeout=30)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT, caught.value.details()


@pytest.mark.parametrize("name", ["a", "ä\n", "%\x00", "猫"])
def test_what_is_wrong_is_said_in_few_words(server, stubs, name):
    """However long it is: more than 8 KiB of it would break the connection."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "tiny"
    for i in range(20_000):
        request.inputs[f"{name * 5}{i}"].CopyFrom(tf.make_tensor_proto(1.0))
    with pytest.raises(grpc.RpcError) as caught:
        stubs.predictions.Predict(request, timeout=60)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT, caught.value.details()
    assert caught.value.details().endswith("characters)")
    body = {"instances": [{f"{name}{i}": 1 for i in range(20_000)}]}
    answer = requests.post(f"{server.rest_address}/v1/models/tiny:predict", json=body, timeout=60)
    assert answer.status_code == 400
    assert len(answer.content) < 5000


def test_half_a_letter_is_no_fault_of_the_servers():
    assert str(ServingError("\ud800")) == "\ud800"
    assert len(str(ServingError("\ud800" * 5000))) < 1000


def head(host, path="/v1/models/tiny", method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()


def said(server, sent):
    """The status and the body that a connection is answered with."""
    place = urllib.parse.urlsplit(server.rest_address)
    with socket.create_connection((place.hostname, place.port), 30) as connection:
        connection.sendall(sent)
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
    return int(answer.split(None, 2)[1]), json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("host", ["localhost/v1/models/tiny?", "[::1", "a b", "", "x" * 3000])
def test_the_path_alone_says_which_model(server, host):
    assert said(server, head(host))[0] == 200
    status, body = said(server, head(host, "/v1/models/other"))
    assert (status, body["error"]) == (404, "Could not find any versions of model other")


@pytest.mark.parametrize(
    ("unit", "count"), [(b"[]", 5_000_000), (b"{}", 5_000_000), (b"0", 13_000_000)]
)
def test_a_body_of_too_many_values_is_not_read(unit, count):
    body = b'{"instances":[' + b",".join([unit] * count) + b"]}"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InvalidRequest, match=r"at most 12,000,000 values in 4,000,000 lists"):
        json_body.parse(body)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10  # KiB


def test_reading_many_lists_looks_for_no_garbage_among_them():
    """It took nine tenths of the time, in which the server answered nobody."""
    body = b'{"instances":[' + b",".join([b"[]"] * 500_000) + b"]}"
    collections = []

    def count(phase, _):
        collections.append(phase)

    gc.callbacks.append(count)
    try:
        json_body.parse(body)
    finally:
        gc.callbacks.remove(count)
    assert len(collections) <= 2
    assert gc.isenabled()


def test_health_is_answered_while_bodies_are_read(server):
    lists = b",".join([b"[]"] * 1_200_000)  # within the 4 MiB that this server takes
    body = b'{"instances":[' + lists + b"]}"
    slowest = []

    def ask():
        with requests.Session() as session:
            for _ in range(20):
                started = time.perf_counter()
                assert session.get(f"{server.rest_address}/healthz", timeout=30).ok
                slowest.append(time.perf_counter() - started)

    asking = threading.Thread(target=ask)
    asking.start()
    answer = requests.post(f"{server.rest_address}/v1/models/tiny:predict", data=body, timeout=60)
    asking.join()
    assert answer.status_code == 400
    assert max(slowest) < 5


def answered(connection):
    """Reads one answer of the health check."""
    answer = b""
    while b'"ready":true' not in answer:
        part = connection.recv(1 << 16)
        assert part, answer
        answer += part


def trickle(connection, seconds):
    """Sends letter by letter until the other side has had enough; how long that took."""
    started = time.monotonic()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while time.monotonic() - started < seconds:
            connection.sendall(b"a")
            time.sleep(0.1)
    return time.monotonic() - started


def test_a_head_that_does_not_end_is_not_waited_for(slow, monkeypatch):
    """Neither the first one, nor one after a request that was answered."""
    monkeypatch.setattr(heads, "SECONDS", 1.5)
    whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with LocalServer(slow, options()) as server:
        parts = urllib.parse.urlsplit(server.rest_address)
        place = (parts.hostname, parts.port)
        for before, sent in ((b"", b""), (b"", whole[:-2]), (whole, whole[:-2])):
            with socket.create_connection(place, 30) as connection:
                if before:
                    connection.sendall(before)
                    answered(connection)
                connection.sendall(sent)
                assert trickle(connection, 30) < 15
        with socket.create_connection(place, 30) as connection:
            for _ in range(3):  # each request has a time of its own
                connection.sendall(whole)
                answered(connection)
                time.sleep(0.8)


def test_a_grpc_connection_that_says_nothing_is_not_waited_for(slow, monkeypatch):
    monkeypatch.setattr(grpc_server, "SECONDS", 1.0)
    with LocalServer(slow, options()) as server:
        host, _, port = server.grpc_address.rpartition(":")
        began = time.monotonic()
        with (
            socket.create_connection((host, int(port)), 20) as connection,
            contextlib.suppress(ConnectionResetError),
        ):
            while connection.recv(1 << 16):
                pass  # the server's settings; then it ends the connection
        assert 0.5 < time.monotonic() - began < 15
