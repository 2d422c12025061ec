"""A model with an input of its own called `target`: the class to explain is `explain_target`."""

import json

import keras
import numpy as np
import pytest
import requests

import tfgig
from tfgig.export.warmup import read_warmup
from tfgig.exported.description import read_description
from tfgig.exported.directory import signatures_in
from tfgig.serving import Client, LocalServer, ServerOptions

IMAGE = np.random.default_rng(2).uniform(size=(2, 6, 6, 3)).astype(np.float32)
OWN = np.array([1, 2])


def model():
    """A classifier of an image and a whole number, `target`, of each row."""
    image = keras.Input((6, 6, 3), name="image")
    target = keras.Input((), dtype="int64", name="target")
    hidden = keras.layers.Conv2D(2, 3, activation="tanh")(image)
    hidden = keras.layers.Flatten()(hidden) * keras.ops.cast(target, "float32")[:, None]
    return keras.Model({"image": image, "target": target}, keras.layers.Dense(3)(hidden))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    source = tfgig.load_model(model(), value_range=(0, 1), layer="image")
    path = tmp_path_factory.mktemp("target") / "model"
    return source, tfgig.export_saved_model(source, path, ["gradient"])


def test_the_class_has_another_name(exported):
    _, directory = exported
    found = signatures_in(directory)
    assert set(found["explain_gradient"].inputs) == {"image", "target", "explain_target"}
    assert set(found["heatmap_gradient"].inputs) == {"image", "target"}
    assert read_description(directory).target == "explain_target"
    shapes = {name: inputs["target"].dtype for name, inputs in read_warmup(directory)}
    assert set(shapes) == set(found)


def test_the_layer_and_clients_follow(exported):
    source, directory = exported
    inputs = {"image": IMAGE, "target": OWN}
    expected = tfgig.Explainer(source, "gradient")(inputs, target=2)
    other = tfgig.Explainer(source, "gradient")({**inputs, "target": 2 * OWN}, target=2)
    np.testing.assert_allclose(other["attributions"], 2 * expected["attributions"], rtol=1e-5)
    with LocalServer(directory.parent, ServerOptions(port=0, rest_port=0)) as server:
        for address in (server.grpc_address, server.rest_address):
            with Client(address, server.name) as client:
                found = client.explain(inputs, "gradient", target=2)
                np.testing.assert_allclose(
                    found["attributions"], expected["attributions"], rtol=1e-4, atol=1e-6
                )
                assert len(client.heatmap(inputs, "gradient")["heatmap_bytes"]) == 2
        rows = [
            {"image": image.tolist(), "target": int(own)}
            for image, own in zip(IMAGE, OWN, strict=True)
        ]
        url = f"{server.rest_address}/v1/models/{server.name}:explain"
        for body in (
            {"instances": rows, "target": 2},
            {"instances": [{**row, "explain_target": 2} for row in rows]},
            {"inputs": {name: value.tolist() for name, value in inputs.items()}, "target": 2},
        ):
            answer = requests.post(url, data=json.dumps(body), timeout=60)
            assert answer.status_code == 200, answer.text
            found = answer.json()
            rows_of = next(iter(found.values()))
            attributions = (
                [row["attributions"] for row in rows_of]
                if isinstance(rows_of, list)
                else rows_of["attributions"]
            )
            np.testing.assert_allclose(attributions, expected["attributions"], rtol=1e-4, atol=1e-6)


def test_both_names_are_refused():
    one = keras.Input((2,), name="target")
    two = keras.Input((2,), name="explain_target")
    both = keras.Model([one, two], keras.layers.Add()([one, two]))
    with pytest.raises(ValueError, match="rename the model's input"):
        tfgig.export_saved_model(both, "/nowhere", ["gradient"])
