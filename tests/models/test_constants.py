"""Inputs of one value for the whole batch: fixed where a model is explained, inputs elsewhere."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from absl.testing import flagsaver
from tfgig_tools import model_flags

import tfgig
from tests.models import sources
from tfgig.export.warmup import read_warmup
from tfgig.exported.directory import signatures_in
from tfgig.exported.signatures import defaults_of
from tfgig.serving import Client, LocalServer, ServerOptions, SessionModel

v1 = tf.compat.v1
CONSTANTS = {"is_training": False, "keep_prob": 0.5}
X = sources.X


def module():
    """The classifier with dropout where `is_training`, its logits times `keep_prob`."""
    made = tf.Module()
    made.first, made.last = tf.Variable(sources.FIRST), tf.Variable(sources.LAST)

    def call(features, is_training, keep_prob):
        hidden = tf.tanh(features @ made.first)
        hidden = tf.cond(is_training, lambda: tf.nn.dropout(hidden, 0.5), lambda: hidden)
        return {"scores": tf.nn.softmax(hidden @ made.last * keep_prob)}

    made.call = tf.function(
        call,
        input_signature=[
            tf.TensorSpec([None, sources.FEATURES], tf.float32, "features"),
            tf.TensorSpec([], tf.bool, "is_training"),
            tf.TensorSpec([], tf.float32, "keep_prob"),
        ],
    )
    return made


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    made, path = module(), tmp_path_factory.mktemp("constants") / "model"
    tf.saved_model.save(made, str(path), {"serving_default": made.call, "other": made.call})
    return path


@pytest.fixture(scope="module")
def exported(saved, tmp_path_factory):
    source = tfgig.load_model(saved, constants=CONSTANTS)
    path = tmp_path_factory.mktemp("constants") / "export"
    return tfgig.export_saved_model(source, path, ["gradient"])


def test_what_has_no_rows_is_refused_with_what_to_say(saved):
    fix = "constants={'is_training': False, 'keep_prob': 1} (--constants=is_training=false,keep_p"
    with pytest.raises(ValueError, match=re.escape(fix)):
        tfgig.load_model(saved)
    with pytest.raises(
        ValueError, match=re.escape("'keep_prob' has one value for the whole batch")
    ):
        tfgig.load_model(saved, constants={"is_training": False})


@pytest.mark.parametrize(
    ("constants", "words"),
    [
        ({"training": False}, "Did you mean 'is_training'"),
        ({"features": X}, "'features' has rows"),
        ({"is_training": 1}, "'is_training' must be bool. Received: int64"),
        ({"keep_prob": [1.0, 2.0]}, "'keep_prob' must have shape []"),
    ],
)
def test_what_is_no_constant_is_refused(saved, constants, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        tfgig.load_model(saved, constants=constants)


def test_constants_are_fixed_in_explanations_alone(saved, exported):
    found = signatures_in(exported)
    assert set(found["explain_gradient"].inputs) == {"features", "target"}
    loaded = tf.saved_model.load(str(saved))  # it owns the variables
    given = loaded.signatures["serving_default"]
    with SessionModel(exported) as model:
        for name in ("serving_default", "other"):
            assert set(found[name].inputs) == {"features", *CONSTANTS}
            defaults = defaults_of(found[name])
            assert {key: value.item() for key, value in defaults.items()} == CONSTANTS
            for keep in (0.5, 2.0):
                values = {"is_training": np.array(False), "keep_prob": np.float32(keep)}
                answer = model.run(name, features=X, **values)["scores"]
                inputs = {key: tf.constant(value) for key, value in values.items()}
                expected = given(features=tf.constant(X), **inputs)
                np.testing.assert_array_equal(answer, expected["scores"])
        explained = model.run("explain_gradient", features=X, target=np.array([1]))
    with tf.GradientTape() as tape:
        x = tf.constant(X)
        tape.watch(x)
        value = given(features=x, is_training=tf.constant(False), keep_prob=tf.constant(0.5))
        score = value["scores"][:, 1]
    np.testing.assert_allclose(explained["attributions"], tape.gradient(score, x), rtol=1e-5)


def test_warm_up_gives_what_has_no_rows_once(exported):
    for name, inputs in read_warmup(exported):
        shapes = {key: value.shape for key, value in inputs.items()}
        if name != "explain_gradient":
            assert shapes == {"features": (1, 4), "is_training": (), "keep_prob": ()}


def test_clients_give_them_or_leave_them_out(saved, exported):
    loaded = tf.saved_model.load(str(saved))  # it owns the variables
    given = loaded.signatures["serving_default"]
    with LocalServer(exported.parent, ServerOptions(port=0, rest_port=0)) as server:
        for address in (server.grpc_address, server.rest_address):
            with Client(address, server.name, max_rows=2) as client:
                for keep in (None, 2.0):
                    values = {} if keep is None else {"keep_prob": keep}
                    answer = client.predict({"features": X, **values})
                    expected = given(
                        features=tf.constant(X),
                        is_training=tf.constant(False),
                        keep_prob=tf.constant(keep or 0.5),
                    )
                    np.testing.assert_allclose(answer["scores"], expected["scores"], rtol=1e-5)
                assert client.explain(X, target=1)["ok"].all()


def test_an_export_keeps_its_constants_when_it_is_exported_again(exported, tmp_path):
    again = tfgig.load_model(exported)
    assert [spec.name for spec in again.inputs] == ["features"]
    twice = signatures_in(tfgig.export_saved_model(again, tmp_path / "again", ["gradient"]))
    assert set(defaults_of(twice["serving_default"])) == set(CONSTANTS)


def test_a_placeholder_with_a_default_needs_nothing(tmp_path):
    with (
        sources.old_control_flow(),
        tf.Graph().as_default() as graph,
        v1.Session(graph=graph) as session,
    ):
        x = v1.placeholder(tf.float32, [None, 4], "x")
        training = v1.placeholder_with_default(False, [], "is_training")
        hidden = tf.tanh(x @ sources.FIRST)
        hidden = v1.cond(training, lambda: v1.nn.dropout(hidden, rate=0.5), lambda: hidden)
        scores = tf.nn.softmax(hidden @ sources.LAST)
        inputs = {"x": x, "is_training": training}
        v1.saved_model.simple_save(session, str(tmp_path / "model"), inputs, {"scores": scores})
    source = tfgig.load_model(tmp_path / "model")
    found = tfgig.Explainer(source, "gradient")(X, target=2)
    expected = sources.gradient_of(X, 2)
    np.testing.assert_allclose(found["attributions"], expected, rtol=1e-4, atol=1e-6)
    exported = tfgig.export_saved_model(source, tmp_path / "export", ["gradient"])
    assert set(signatures_in(exported)["serving_default"].inputs) == {"x", "is_training"}


def test_a_branch_of_tensorflow_1_is_settled_by_a_constant(tmp_path):
    with (
        sources.old_control_flow(),
        tf.Graph().as_default() as graph,
        v1.Session(graph=graph) as session,
    ):
        x = v1.placeholder(tf.float32, [None, 4], "x")
        training = v1.placeholder(tf.bool, [], "is_training")
        scores = v1.cond(training, lambda: tf.cos(x), lambda: tf.sin(x))
        inputs = {"x": x, "is_training": training}
        v1.saved_model.simple_save(session, str(tmp_path / "model"), inputs, {"scores": scores})
    source = tfgig.load_model(tmp_path / "model", constants={"is_training": False})
    found = tfgig.Explainer(source, "gradient")(X, target=0)
    np.testing.assert_allclose(found["attributions"][:, 0], np.cos(X[:, 0]), rtol=1e-6)


def test_a_keras_model_has_constants_too(tmp_path):
    features = keras.Input((4,), name="features")
    temperature = keras.Input(batch_shape=(), name="temperature")
    logits = keras.layers.Dense(3)(features) / temperature
    model = keras.Model([features, temperature], keras.layers.Softmax()(logits))
    with pytest.raises(ValueError, match=r"constants=\{'temperature': 1\}"):
        tfgig.load_model(model)
    source = tfgig.load_model(model, constants={"temperature": 2})
    found = tfgig.Explainer(source, "gradient")(X, target=1)
    np.testing.assert_allclose(found["score"], model([X, np.float32(2)])[:, 1], rtol=1e-6)
    exported = tfgig.export_saved_model(source, tmp_path / "export", ["gradient"])
    assert set(signatures_in(exported)["serving_default"].inputs) == {"features", "temperature"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("is_training=false,keep_prob=1", {"is_training": False, "keep_prob": 1}),
        ('{"weights": [1, 2]}', {"weights": [1, 2]}),
        ("mode=False,name=a b", {"mode": False, "name": "a b"}),
    ],
)
def test_programs_take_constants(text, expected):
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(constants=text):
        assert model_flags.options().constants == expected
    with flagsaver.flagsaver(constants="is_training"), pytest.raises(ValueError, match="--const"):
        model_flags.options()
