"""A model of texts, explained at its embedding: strings in, one number a word out."""

import json

import keras
import numpy as np
import pytest
import requests

import tfgig
from tests.serving.conftest import connect, options
from tfgig.serving import InvalidRequest, LocalServer, SessionModel

TEXTS = ["a good café", "a bad film", ""]
WORDS, CLASSES = 5, 3


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    keras.utils.set_random_seed(0)
    texts = keras.Input((), dtype="string", name="text")
    ids = keras.layers.TextVectorization(
        vocabulary=["a", "good", "bad", "café", "film"], output_sequence_length=WORDS
    )(texts)
    words = keras.layers.Embedding(7, 4, name="embedding")(ids)
    hidden = keras.layers.Conv1D(6, 2, activation="tanh")(words)
    pooled = keras.layers.GlobalMaxPooling1D()(hidden)
    model = keras.Model(texts, keras.layers.Dense(CLASSES, activation="softmax")(pooled))
    methods = {"ig": tfgig.PathIntegral(steps=4), "gradient": tfgig.methods.Gradient()}
    base = tmp_path_factory.mktemp("models") / "texts"
    return tfgig.export_saved_model(tfgig.load_model(model, layer="embedding"), base, methods)


@pytest.fixture(scope="module")
def expected(directory):
    with SessionModel(directory) as model:
        given = {"text": np.array([text.encode() for text in TEXTS], object), "target": [1, 1, 1]}
        return model.run("tokens_ig", **given), model.run("explain_ig", **given)


@pytest.fixture(scope="module")
def server(directory):
    with LocalServer(directory.parent, options()) as server:
        yield server


def test_the_texts_are_those_of_the_positions(expected):
    for found in expected:
        texts = [[text.decode() for text in row] for row in found["token_text"]]
        assert texts == [["a", "good", "café", "", ""], ["a", "bad", "film", "", ""], [""] * 5]


def explain(server, expected=200, **body):
    url = f"{server.rest_address}/v1/models/{server.name}:explain"
    response = requests.post(url, json=body, timeout=60)
    assert response.status_code == expected, response.text
    return json.loads(response.content)


def assert_tokens(found, expected):
    tokens, attributions = expected
    assert np.shape(found["tokens"]) == (len(TEXTS), WORDS)
    np.testing.assert_allclose(found["tokens"], tokens["tokens"], rtol=1e-5, atol=1e-7)
    by_hand = attributions["attributions"].sum(2)
    np.testing.assert_allclose(found["tokens"], by_hand, rtol=1e-5, atol=1e-6)
    assert np.abs(by_hand[0]).max() > 1e-4
    assert list(found["target"]) == [1, 1, 1]
    assert np.all(found["ok"])


def test_the_client_explains_texts(server, protocol, expected):
    with connect(server, protocol) as client:
        found = client.explain(TEXTS, "ig", target=1, kind="tokens")
        assert_tokens(found, expected)
        assert found["tokens"].dtype == np.float32
        assert set(client.explain(TEXTS, "ig", 1, ["tokens"], "tokens")) == {"tokens"}
        named = client.explain({"text": np.array(TEXTS)}, "tokens_ig", 1, kind="tokens")
        np.testing.assert_array_equal(named["tokens"], found["tokens"])
        whole = client.explain(TEXTS, "ig", target=1)["attributions"]
        assert whole.shape == (len(TEXTS), WORDS, 4)


def test_explain_over_rest_serves_texts(server, expected):
    body = {"method": "ig", "kind": "tokens", "target": 1}
    rows = explain(server, instances=TEXTS, **body)["explanations"]
    assert_tokens({key: [row[key] for row in rows] for key in rows[0]}, expected)
    columns = explain(server, inputs=TEXTS, **body)["outputs"]
    assert_tokens(columns, expected)
    named = [{"text": {"b64": "YSBiYWQgZmlsbQ=="}, "target": 1}, {"text": TEXTS[1], "target": 0}]
    (encoded, plain) = explain(server, instances=named, method="ig", kind="tokens")["explanations"]
    np.testing.assert_allclose(encoded["tokens"], expected[0]["tokens"][1], rtol=1e-5, atol=1e-7)
    assert plain["target"] == 0


def test_kinds_are_told_apart(server, protocol):
    with connect(server, protocol) as client:
        with pytest.raises(InvalidRequest, match="Choose a method, one of: gradient, ig"):
            client.explain(TEXTS, kind="tokens")
        with pytest.raises(InvalidRequest, match=r"no signature with heatmap: explain_gradient"):
            client.heatmap(TEXTS, "ig")
        with pytest.raises(InvalidRequest, match=r"'token'.*Did you mean 'tokens'"):
            client.explain(TEXTS, "ig", kind="token")
        with pytest.raises(InvalidRequest, match=r"'text' must be string. Received: int"):
            client.explain([1, 2], "ig", kind="tokens")
    for kind, message in (("token", "Did you mean 'tokens'"), (3, "'kind' must be one of")):
        error = explain(server, 400, instances=TEXTS, method="ig", kind=kind)["error"]
        assert message in error


def test_kinds_of_images(exported, protocol):
    with LocalServer(exported, options()) as server, connect(server, protocol) as client:
        image = np.zeros([1, 12, 10, 3], np.float32)
        assert client.explain(image, "ig", kind="heatmap")["heatmap_bytes"][0][1:4] == b"PNG"
        with pytest.raises(ValueError, match=r"'heatmap_ig' explains the top class. Received: 2"):
            client.explain(image, "ig", target=2, kind="heatmap")
        body = {"instances": image.tolist(), "method": "ig", "kind": "heatmap"}
        assert "heatmap_bytes" in explain(server, **body)["explanations"][0]
        assert "leave 'target' out" in explain(server, 400, target=2, **body)["error"]
