"""The client against the server, over both protocols."""

import http.server
import io
import json
import socket
import threading
import types
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.cases import SHAPE, images
from tests.serving.conftest import connect, options, save
from tfgig.serving import (
    Client,
    Code,
    InvalidRequest,
    LocalServer,
    NotFound,
    ServingError,
    Unavailable,
)
from tfgig.serving.protocol.records import Answer

IMAGES = images(5)


def assert_close(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert found[name].shape == value.shape, name
        if value.dtype.kind == "f":
            # Batches of other sizes sum in another order; JSON keeps nine digits.
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_predictions_are_the_models(client, direct):
    assert_close(client.predict(IMAGES), direct.run("serving_default", image=IMAGES))
    assert_close(client.predict({"image": IMAGES}), direct.run("serving_default", image=IMAGES))


def test_an_answer_over_rest_is_that_over_grpc_to_the_last_bit(server):
    with connect(server, "grpc") as one, connect(server, "rest") as other:
        left, right = (found.explain(IMAGES, "ig") for found in (one, other))
    for name, value in left.items():
        np.testing.assert_array_equal(value, right[name])


@pytest.mark.parametrize("target", [-1, 2, [0, 4, -1, 1, 2]])
def test_explanations_are_the_models(client, direct, target):
    wanted = np.broadcast_to(target, [5]).astype(np.int64)
    expected = direct.run("explain_ig", image=IMAGES, target=wanted)
    assert_close(client.explain(IMAGES, method="ig", target=target), expected)


def test_heatmaps_are_pictures(client, direct):
    found = client.heatmap(IMAGES[:2], method="ig")
    expected = direct.run("heatmap_ig", image=IMAGES[:2])
    assert found["heatmap_bytes"].tolist() == expected["heatmap_bytes"].tolist()
    picture = Image.open(io.BytesIO(found["heatmap_bytes"][0]))
    assert picture.size == (SHAPE[1], SHAPE[0])


def test_a_filter_on_the_outputs(client):
    assert set(client.explain(IMAGES, "ig", outputs=["delta", "score"])) == {"delta", "score"}
    assert set(client.predict(IMAGES, "explain_gradient", ["ok"])) == {"ok"}  # target: default
    with pytest.raises(InvalidRequest, match="Did you mean 'score'"):
        client.explain(IMAGES, "ig", outputs=["scores"])


def test_large_batches_are_split(server, protocol, direct):
    with connect(server, protocol, max_rows=2) as client:
        many = images(5, seed=3)
        found = client.explain(many, "ig", target=[0, 1, 2, 3, 4])
    expected = direct.run("explain_ig", image=many, target=np.arange(5))
    assert_close(found, expected)


def test_the_version_and_the_label(server, protocol, direct):
    expected = direct.run("serving_default", image=IMAGES)
    for choice in ({"version": 1}, {"label": "stable"}):
        with connect(server, protocol, **choice) as client:
            assert_close(client.predict(IMAGES), expected)
    for choice, error, message in (
        ({"version": 9}, NotFound, r"Specific\(tiny, 9\)"),
        ({"label": "new"}, InvalidRequest, "version label: new"),
        ({"model": "other"}, NotFound, r"Latest\(other\)"),
    ):
        with connect(server, protocol, **choice) as client, pytest.raises(error, match=message):
            client.predict(IMAGES)


def test_the_statuses(client):
    (status,) = client.statuses()
    assert (status.number, status.state, status.code) == (1, "AVAILABLE", Code.OK)


def test_a_method_must_be_clear(client):
    with pytest.raises(InvalidRequest, match="one of: gradient, ig"):
        client.explain(IMAGES)
    with pytest.raises(InvalidRequest, match=r"Unknown method 'igg'.*Did you mean 'ig'"):
        client.explain(IMAGES, "igg")
    np.testing.assert_array_equal(
        client.explain(IMAGES, "explain_ig")["score"], client.explain(IMAGES, "ig")["score"]
    )


def test_bad_rows_are_named(client):
    bad = IMAGES.copy()
    bad[3, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="Received: such rows, 3"):
        client.explain(bad, "ig")
    with pytest.raises(ValueError, match="Received: such rows, 0, 4"):
        client.explain(IMAGES, "ig", target=[99, 0, 0, 0, -2])


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (images(0), ValueError, "at least one row"),
        ({"pixels": IMAGES}, InvalidRequest, r"inputs are \['image'\]. Received: \['pixels'\]"),
        (IMAGES[0], InvalidRequest, "shape"),
        (IMAGES.astype(str), InvalidRequest, "must be float32"),
        (IMAGES[:, :4], InvalidRequest, "shape"),
    ],
)
def test_wrong_inputs(client, inputs, error, message):
    with pytest.raises(error, match=message) as caught:
        client.predict(inputs)
    if error is InvalidRequest:
        assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("target", [1.5, [0, 1], [[0]] * 5, "cat"])
def test_wrong_targets(client, target):
    with pytest.raises(
        ValueError, match="`target` must be one class, or one for each of the 5 rows"
    ):
        client.explain(IMAGES, "ig", target=target)


def test_no_server(protocol):
    address = "127.0.0.1:1" if protocol == "grpc" else "http://127.0.0.1:1"
    with Client(address, retries=1, seconds=5) as client, pytest.raises(Unavailable) as caught:
        client.predict(IMAGES)
    assert caught.value.code is Code.UNAVAILABLE
    assert isinstance(caught.value, ServingError)


def test_an_address_is_checked():
    with pytest.raises(ValueError, match="host:port"):
        Client("ftp://somewhere")
    with pytest.raises(ValueError, match="a version or a label"):
        Client("localhost:1", version=1, label="stable")


def test_strings_and_several_inputs_and_a_single_output(tmp_path, protocol):
    """Nothing is assumed of a signature: names, types and how many come from the metadata."""

    class Joined(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.string, "text_bytes"),
                tf.TensorSpec([None, 2], tf.int32, "numbers"),
                tf.TensorSpec([None], tf.bool, "loud"),
            ]
        )
        def join(self, text_bytes, numbers, loud):
            end = tf.where(loud, b"!\xff", b".")
            total = tf.strings.as_string(tf.reduce_sum(numbers, 1))
            return {"joined_bytes": tf.strings.join([text_bytes, total, end])}

    module = Joined()
    tf.saved_model.save(module, str(tmp_path / "joined" / "1"), signatures=module.join)
    with LocalServer(tmp_path / "joined", options()) as server, connect(server, protocol) as client:
        inputs = {
            "text_bytes": [b"\x00a\x00", "é"],
            "numbers": [[1, 2], [3, 4]],
            "loud": [True, False],
        }
        found = client.predict(inputs)
        assert found["joined_bytes"].tolist() == [b"\x00a\x003!\xff", "é7.".encode()]
        with pytest.raises(InvalidRequest, match="by name: loud, numbers, text_bytes"):
            client.predict(["a"])
        with pytest.raises(InvalidRequest, match="has no signature with attributions"):
            client.explain(inputs)


def test_numbers_out_of_a_types_range(tmp_path):
    """They would wrap, and something else be computed."""
    specs = (tf.TensorSpec([None, 2], tf.uint8, "x"), tf.TensorSpec([None, 2], tf.int32, "y"))
    save(tmp_path / "small" / "1", lambda x, y: {"sum": tf.cast(x, tf.int32) + y}, *specs)
    with LocalServer(tmp_path / "small", options()) as server:
        for protocol in ("grpc", "rest"):
            with connect(server, protocol) as client:
                found = client.predict({"x": [[255, 0]], "y": [[-1, 2**31 - 1]]})
                assert found["sum"].tolist() == [[254, 2**31 - 1]]
                for name, value in (("x", [[300, -1]]), ("y", [[0, 2**31]])):
                    inputs = {"x": [[1, 2]], "y": [[1, 2]], name: value}
                    with pytest.raises(InvalidRequest, match=rf"'{name}'.*must be u?int\d+, from"):
                        client.predict(inputs)


def test_an_address_of_ipv6(slow):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("There is no IPv6 here.")
    with LocalServer(slow, options(host="::1")) as server:
        assert server.grpc_address.startswith("[::1]:")
        for protocol in ("grpc", "rest"):
            with connect(server, protocol) as client:
                assert client.predict(IMAGES)["output_0"].shape == (5, 5)


def test_a_proxy_for_the_internet_is_not_asked(server, protocol, monkeypatch):
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with connect(server, protocol, retries=0) as client:
        assert client.predict(IMAGES)["output_0"].shape == (5, 5)


@pytest.mark.parametrize(
    ("versions", "used"), [([1, 1, 1], 3), ([1, 2, 2, 2, 2, 2], 6), ([None] * 3, 3)]
)
def test_a_batch_is_answered_by_one_version(server, versions, used):
    """Its parts are asked for again where a new version came between them."""
    answers = iter(versions)

    def predict(definition, signature, inputs, outputs, seconds):
        version = next(answers)
        return Answer({"output_0": np.full([len(inputs["image"]), 5], version or 0)}, version)

    with connect(server, "grpc", max_rows=2) as client:
        client.signatures()
        client._transport = types.SimpleNamespace(predict=predict, close=client._transport.close)
        found = client.predict(IMAGES)["output_0"]
    assert (found == (versions[-1] or 0)).all()
    assert len(list(answers)) == len(versions) - used


def test_a_batch_that_meets_two_versions_again_and_again(server):
    answers = iter([1, 2, 3] * 2)

    def predict(definition, signature, inputs, outputs, seconds):
        return Answer({"output_0": np.zeros([len(inputs["image"]), 5])}, next(answers))

    with connect(server, "grpc", max_rows=2, retries=1) as client:
        client.signatures()
        client._transport = types.SimpleNamespace(predict=predict, close=client._transport.close)
        with pytest.raises(ServingError, match="version changed") as caught:
            client.predict(IMAGES)
    assert caught.value.code is Code.ABORTED


def test_a_batch_larger_than_the_server_takes_is_split(merging, protocol, direct):
    """The server takes 8 rows; the client finds out, and remembers."""
    many = images(20, seed=3)
    target = np.arange(20) % 5
    expected = direct.run("explain_ig", image=many, target=target)
    with connect(merging, protocol) as client:
        assert_close(client.explain(many, "ig", target=target), expected)
        sent = []
        predict = client._transport.predict

        def counted(definition, signature, inputs, outputs, seconds):
            sent.append(len(inputs["image"]))
            return predict(definition, signature, inputs, outputs, seconds)

        client._transport.predict = counted
        assert_close(client.explain(many, "ig", target=target), expected)
        assert sent == [8, 8, 4]


class Moody(http.server.BaseHTTPRequestHandler):
    """TensorFlow Serving's REST interface when it has much to do: it doubles numbers.

    It takes three rows, and answers every other request that its queue is full.
    """

    seen: ClassVar[list] = []
    full = '{"error": "The batch scheduling queue to which this task was submitted is full"}'

    def do_GET(self):
        tensor = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}]}, "name": "x:0"}
        signature = {"inputs": {"x": tensor}, "outputs": {"y": tensor}}
        signatures = {"signature_def": {"serving_default": signature}}
        self.reply(200, json.dumps({"metadata": {"signature_def": signatures}}))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        rows = [row["x"] for row in body["instances"]]
        self.seen.append(len(rows))
        if len(self.seen) % 2:
            self.reply(503, self.full)
        elif len(rows) > 3:
            text = f"Task size {len(rows)} is larger than maximum input batch size 3"
            self.reply(400, json.dumps({"error": text}))
        else:
            self.reply(200, json.dumps({"predictions": [2 * row for row in rows]}))

    def reply(self, status, text):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def test_a_full_queue_is_asked_again_and_rows_stay_in_order():
    Moody.seen.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Moody) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            with Client(f"http://127.0.0.1:{server.server_port}", max_rows=5) as client:
                found = client.predict(np.arange(7, dtype=np.float32))["y"]
            assert found.tolist() == [2.0 * i for i in range(7)]
            assert Moody.seen == [5, 5, 3, 3, 3, 3, 1, 1]
            with (
                Client(f"http://127.0.0.1:{server.server_port}", retries=0) as client,
                pytest.raises(Unavailable, match="queue to which this task was submitted"),
            ):
                client.predict(np.arange(2, dtype=np.float32))
        finally:
            server.shutdown()
