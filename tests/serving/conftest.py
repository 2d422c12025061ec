"""One export and one server in this process for the whole suite."""

import time
import types

import pytest
import tensorflow as tf

import tfgig
from tests import cases
from tfgig.export.warmup import WARMUP_FILE
from tfgig.serving import (
    Batching,
    Client,
    DeadlineExceeded,
    LocalServer,
    ServerOptions,
    SessionModel,
)

# Ports that are free, and threads for calls whose answers have not left yet.
FREE = {"port": 0, "rest_port": 0, "poll_seconds": 0.1, "grpc_max_threads": 64}
METHODS = {"ig": tfgig.PathIntegral(steps=4), "gradient": tfgig.methods.Gradient()}


def options(**changes):
    return ServerOptions(**{**FREE, **changes})


def eventually(condition, seconds=60.0):
    """Waits until a condition holds; one that never does fails the test."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            pytest.fail(f"It did not come to pass within {seconds} s.")
        time.sleep(0.005)


def save(path, call, *specs, name="serving_default"):
    """A SavedModel of one function."""
    module = tf.Module()
    module.call = tf.function(call, input_signature=specs)
    tf.saved_model.save(module, str(path), signatures={name: module.call})
    return path


def write_records(directory, *records):
    """Warm-up records of predictions: signatures with their inputs."""
    from tensorflow_serving.apis import prediction_log_pb2

    with tf.io.TFRecordWriter(str(directory / WARMUP_FILE)) as writer:
        for signature, inputs in records:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The directory of a model with one version."""
    base = tmp_path_factory.mktemp("models") / "tiny"
    tfgig.export_saved_model(cases.image_model(), base, METHODS, warmup=(1, 2))
    return base


@pytest.fixture(scope="session")
def slow(tmp_path_factory):
    """A model with an explanation of many seconds, and a quick one."""
    base = tmp_path_factory.mktemp("models") / "slow"
    endless = tfgig.PathIntegral(steps=1_000_000, internal_batch_size=1)
    tfgig.export_saved_model(
        cases.image_model(), base, {"endless": endless, "gradient": METHODS["gradient"]}, warmup=()
    )
    return base


@pytest.fixture(scope="session")
def direct(exported):
    """The model without a server."""
    with SessionModel(exported / "1") as model:
        yield model


@pytest.fixture(scope="session")
def server(exported):
    with LocalServer(exported, options(labels={"stable": 1}, max_request_mebibytes=4)) as server:
        yield server


@pytest.fixture(scope="session")
def merging(exported):
    """A server that merges requests, and waits long enough for them to meet."""
    batching = Batching(
        enabled=True,
        max_batch_size=8,
        batch_timeout_micros=100_000,
        allowed_batch_sizes=(4, 8),
        num_batch_threads=1,
    )
    with LocalServer(exported, options(batching=batching)) as server:
        yield server


@pytest.fixture(scope="session")
def slow_server(slow):
    """A server of that model, whose graphs have been optimised."""
    with LocalServer(slow, options(rest_seconds=2.0)) as server:
        with connect(server, "grpc", seconds=30) as client:
            client.predict(cases.images(1))
            client.explain(cases.images(1), "gradient")
        with connect(server, "rest") as client, pytest.raises(DeadlineExceeded):
            client.explain(cases.images(1), "endless")
        yield server


@pytest.fixture(params=["grpc", "rest"])
def protocol(request):
    return request.param


def connect(server, protocol, **arguments):
    address = server.grpc_address if protocol == "grpc" else server.rest_address
    return Client(address, **{"model": server.name, **arguments})


@pytest.fixture
def client(server, protocol):
    with connect(server, protocol) as client:
        yield client


@pytest.fixture(scope="session")
def stubs(server):
    """What a client of TensorFlow Serving uses, without ours."""
    import grpc
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

    channel = grpc.insecure_channel(server.grpc_address)
    yield types.SimpleNamespace(
        predictions=prediction_service_pb2_grpc.PredictionServiceStub(channel),
        models=model_service_pb2_grpc.ModelServiceStub(channel),
        channel=channel,
    )
    channel.close()
