"""SavedModels of every kind: loaded, explained, exported, and run where nothing else is known."""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.models import sources
from tfgig.serving import SessionModel
from tfgig.targets import ClassScore

ROOT = pathlib.Path(__file__).resolve().parents[2]
every_kind = pytest.mark.parametrize("kind", sources.WRITERS)
TABLES = [kind for kind in sources.WRITERS if kind.endswith("table") or kind == "module"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The directories by kind, each in one of its own."""
    place = tmp_path_factory.mktemp("written")
    directories = {}
    for kind, (write, _) in sources.WRITERS.items():
        (place / kind).mkdir()
        directories[kind] = place / kind / "model"
        write(directories[kind], place / kind)
    return directories


@pytest.fixture(scope="module")
def loaded(written):
    return {kind: tfgig.load_model(directory) for kind, directory in written.items()}


@pytest.fixture(scope="module")
def exported(loaded, written, tmp_path_factory):
    """The exports by kind; the originals are gone afterwards."""
    place = tmp_path_factory.mktemp("exported")
    exports = {}
    for kind, (_, output) in sources.WRITERS.items():
        endpoints = [
            tfgig.Endpoint(
                f"explain_{score}", "gradient", ClassScore(output=score, output_name=output)
            )
            for score in (("as_is", "logits") if kind == "module" else ("as_is",))
        ]
        exports[kind] = tfgig.export_saved_model(loaded[kind], place / kind, endpoints)
    for directory in written.values():
        shutil.rmtree(directory.parent)
    return exports


@pytest.fixture(scope="module")
def served(exported, tmp_path_factory):
    """What a fresh process computes with the exports."""
    place = tmp_path_factory.mktemp("served")
    np.save(place / "x.npy", sources.X)
    script = pathlib.Path(__file__).with_name("run_exports.py")
    named = [f"{kind}={directory}" for kind, directory in exported.items()]
    done = subprocess.run(
        [sys.executable, str(script), str(place / "x.npy"), str(place / "found.npz"), *named],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr
    with np.load(place / "found.npz") as file:
        return dict(file)


@every_kind
def test_it_loads_with_its_own_names(loaded, kind):
    source = loaded[kind]
    output = sources.WRITERS[kind][1]
    assert source.cut.points.name == "features"
    assert source.cut.points.shape.as_list() == [None, sources.FEATURES]
    assert output in source.model.served.output_names
    found = source.cut.forward(tf.constant(sources.X))
    np.testing.assert_allclose(found.values[output], sources.scores_of(sources.X), rtol=1e-5)


@every_kind
def test_the_logits_are_found_through_the_calls(loaded, kind):
    output = sources.WRITERS[kind][1]
    found = loaded[kind].cut.forward(tf.constant(sources.X))
    logits = np.tanh(sources.X @ sources.FIRST) @ sources.LAST
    np.testing.assert_allclose(found.logits[output], logits, rtol=1e-4, atol=1e-5)


@every_kind
def test_the_export_serves_the_same_where_the_original_is_gone(served, kind):
    output = sources.WRITERS[kind][1]
    found = served[f"{kind}/serving_default/{output}"]
    np.testing.assert_allclose(found, sources.scores_of(sources.X), rtol=1e-5)


@every_kind
def test_the_export_explains(served, kind):
    assert served[f"{kind}/explain_as_is/ok"].all()
    x = sources.X
    found = served[f"{kind}/explain_as_is/attributions"]
    np.testing.assert_allclose(found, sources.gradient_of(x, 0), rtol=1e-3, atol=1e-5)


def test_the_logits_are_explained(served):
    found = served["module/explain_logits/attributions"]
    slope = 1 - np.tanh(sources.X @ sources.FIRST) ** 2
    expected = (sources.LAST[:, 0] * slope) @ sources.FIRST.T
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", TABLES)
def test_tables_and_their_files_go_along(served, kind):
    top = sources.scores_of(sources.X).argmax(1)
    expected = [sources.LABELS[index].encode() for index in top]
    assert served[f"{kind}/serving_default/label"].tolist() == expected


def test_other_signatures_keep_their_names_and_numbers(exported):
    decode = tf.saved_model.load(str(exported["module"])).signatures["decode"]
    assert set(decode.structured_input_signature[1]) == {"hidden", "temperature"}
    hidden = np.tanh(sources.X @ sources.FIRST)
    found = decode(hidden=tf.constant(hidden), temperature=tf.constant(1.0))
    np.testing.assert_allclose(found["scores"], sources.scores_of(sources.X), rtol=1e-5)


@every_kind
def test_weights_are_stored_once_and_no_others(exported, kind):
    stored = tf.train.list_variables(str(exported[kind] / "variables" / "variables"))
    shapes = sorted(tuple(shape) for name, shape in stored if name.endswith("VARIABLE_VALUE"))
    expected = [sources.FIRST.shape, sources.LAST.shape]
    assert shapes == ([] if kind == "tf1_frozen" else sorted(expected))


def test_an_export_can_be_exported_again(exported, tmp_path):
    source = tfgig.load_model(exported["module"])
    assert set(source.model.served.signatures) == {"decode"}  # not the old explanations
    target = ClassScore(output_name="scores")
    again = tfgig.export_saved_model(source, tmp_path / "again", ["gradient"], target)
    found = tf.saved_model.load(str(again))
    assert set(found.signatures) == {"serving_default", "decode", "explain_gradient"}
    scores = found.signatures["serving_default"](features=tf.constant(sources.X))["scores"]
    np.testing.assert_allclose(scores, sources.scores_of(sources.X), rtol=1e-5)


def test_the_layer_explains_a_saved_model(loaded):
    explainer = tfgig.Explainer(loaded["tf1_reference"], "gradient")
    found = explainer(sources.X, target=2)["attributions"]
    np.testing.assert_allclose(found, sources.gradient_of(sources.X, 2), rtol=1e-3, atol=1e-5)
    with pytest.raises(
        ValueError, match=r"Only an Explainer of an unmodified Keras model can be saved"
    ):
        explainer.get_config()


def test_the_latest_version_is_taken(tmp_path):
    spec = tf.TensorSpec([None, 2], tf.float32, "x")
    for version, factor in (("2", 2.0), ("10", 10.0), ("9", 9.0)):
        sources.save_function(tmp_path / "many" / version, lambda x, f=factor: f * x, spec)
    source = tfgig.load_model(tmp_path / "many")
    assert source.name == "many"
    (value,) = source.cut.forward(tf.ones([1, 2])).values.values()
    np.testing.assert_array_equal(value, [[10, 10]])


@pytest.fixture(scope="module")
def two_signatures(tmp_path_factory):
    path = tmp_path_factory.mktemp("two") / "model"
    made = tf.Module()
    spec = tf.TensorSpec([None, 2], tf.float32, "x")
    made.double = tf.function(lambda x: {"y": 2 * x}, input_signature=[spec])
    made.triple = tf.function(lambda x: {"y": 3 * x, "z": 4 * x}, input_signature=[spec])
    tf.saved_model.save(made, str(path), {"double": made.double, "triple": made.triple})
    return path


def test_a_signature_is_chosen_by_name(two_signatures, tmp_path):
    source = tfgig.load_model(two_signatures, signature="triple")
    np.testing.assert_array_equal(source.cut.forward(tf.ones([1, 2])).values["y"], [[3, 3]])
    with pytest.raises(ValueError, match=r"2 outputs; choose one with ClassScore\(output_name="):
        tfgig.export_saved_model(source, tmp_path / "export", ["gradient"])
    target = ClassScore(output_name="z")
    export = tfgig.export_saved_model(source, tmp_path / "export", ["gradient"], target)
    served = tf.saved_model.load(str(export)).signatures
    assert set(served) == {"serving_default", "double", "triple", "explain_gradient"}
    np.testing.assert_array_equal(served["serving_default"](x=tf.ones([1, 2]))["z"], [[4, 4]])
    np.testing.assert_array_equal(served["double"](x=tf.ones([1, 2]))["y"], [[2, 2]])


@pytest.mark.parametrize(
    ("signature", "error"),
    [
        (None, r"several signatures; choose one .*double, triple"),
        ("tripel", r"Unknown signature. Did you mean 'triple'\?.*Received: 'tripel'"),
    ],
)
def test_an_unclear_signature_is_refused(two_signatures, signature, error):
    with pytest.raises(ValueError, match=error):
        tfgig.load_model(two_signatures, signature=signature)


def test_an_endpoint_does_not_replace_a_signature(two_signatures, tmp_path):
    source = tfgig.load_model(two_signatures, signature="double")
    with pytest.raises(ValueError, match=r"a signature with this name.*'triple'"):
        tfgig.export_saved_model(source, tmp_path, [tfgig.Endpoint("triple", "gradient")])


def test_the_gradient_of_a_loop_survives(tmp_path):
    import tf_keras

    inputs = tf_keras.Input((6, 4), name="features")
    outputs = tf_keras.layers.Dense(3, activation="softmax")(tf_keras.layers.LSTM(5)(inputs))
    tf_keras.Model(inputs, outputs).save(tmp_path / "lstm")
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 6, 4)), tf.float32)
    original = tf.saved_model.load(str(tmp_path / "lstm"))
    function = original.signatures["serving_default"]
    with tf.GradientTape() as tape:
        tape.watch(x)
        (scores,) = function(features=x).values()
        score = scores[:, 1]
    expected = tape.gradient(score, x)
    source = tfgig.load_model(tmp_path / "lstm")
    export = tfgig.export_saved_model(source, tmp_path / "export", ["gradient"])
    with SessionModel(export) as model:
        found = model.run("explain_gradient", features=x.numpy(), target=[1, 1])
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found["attributions"], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_custom_gradients_survive_an_export_of_an_export(tmp_path, library):
    import keras
    import tf_keras

    library = {"keras": keras, "tf_keras": tf_keras}[library]
    inputs = library.Input((4,), name="features")
    hidden = library.layers.Dense(5)(inputs)
    hidden = library.layers.Activation("swish")(hidden)  # TensorFlow's has a custom gradient
    model = library.Model(inputs, library.layers.Dense(3)(hidden))
    model.export(tmp_path / "a", **({"verbose": False} if library is keras else {}))
    x = tf.constant(sources.X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = model(x)[:, 1]
    expected = tape.gradient(score, x)
    for name, following in (("a", "b"), ("b", "c")):
        source = tfgig.load_model(tmp_path / name)
        export = tfgig.export_saved_model(source, tmp_path / following, ["gradient"])
        with SessionModel(export) as session:
            found = session.run("explain_gradient", features=sources.X, target=[1, 1, 1])
        np.testing.assert_allclose(found["attributions"], expected, rtol=1e-5, atol=1e-6)


def test_a_body_that_waits_for_its_input(tmp_path):
    def wait(x):
        with tf.control_dependencies([x]):
            return tf.constant(2.0) * x

    sources.save_function(tmp_path / "model", wait, tf.TensorSpec([None, 4], tf.float32, "x"))
    export = tfgig.export_saved_model(tmp_path / "model", tmp_path / "export", ["gradient"])
    with SessionModel(export) as session:
        found = session.run("explain_gradient", x=sources.X, target=[1, 1, 1])
    np.testing.assert_array_equal(found["attributions"][:, 1], 2)
