"""Outputs that can be explained, and names that last."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.models import sources
from tfgig.exported.description import read_description
from tfgig.exported.directory import signatures_in
from tfgig.targets import ClassScore


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A classifier that returns names of classes before the scores."""
    path = tmp_path_factory.mktemp("named")
    last = tf.constant(sources.LAST[: sources.FEATURES])

    def serve(x):
        scores = tf.nn.softmax(x @ last)
        names = tf.gather(tf.constant(sources.LABELS), tf.argmax(scores, 1))
        return {"classes": names, "number": tf.argmax(scores, 1), "scores": scores}

    sources.save_function(path, serve, tf.TensorSpec([None, sources.FEATURES], tf.float32, "x"))
    return tfgig.load_model(path)


def test_scores_are_explained_without_being_named(named, tmp_path):
    found = tfgig.Explainer(named, "gradient")(sources.X)
    again = tfgig.Explainer(named, "gradient", ClassScore(output_name="scores"))(sources.X)
    np.testing.assert_array_equal(found["attributions"], again["attributions"])
    version = tfgig.export_saved_model(named, tmp_path, ("gradient",), warmup=())
    assert read_description(version).endpoints["explain_gradient"].output == "scores"


def test_names_of_classes_are_no_scores(named):
    with pytest.raises(ValueError, match=r"'classes' is string.*float outputs are scores"):
        tfgig.Explainer(named, "gradient", ClassScore(output_name="classes"))


def test_a_name_that_counts_is_warned_of(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(inputs))
    with pytest.warns(UserWarning, match=r"called keras_tensor.*keras\.Input\(shape, name="):
        tfgig.export_saved_model(model, tmp_path, ("gradient",), warmup=())


def test_inputs_are_named_when_they_are_loaded(tmp_path):
    inputs = [keras.Input((4,)), keras.Input((2,))]
    hidden = keras.layers.Concatenate()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(hidden))
    source = tfgig.load_model(model, input_names=("first", "second"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        version = tfgig.export_saved_model(source, tmp_path / "export", ("gradient",), warmup=())
    assert set(signatures_in(version)["serving_default"].inputs) == {"first", "second"}
    rows = {"first": np.ones((1, 4), np.float32), "second": np.ones((1, 2), np.float32)}
    found = tfgig.Explainer(source, "gradient")(rows)
    assert {"attributions_first", "attributions_second"} <= set(found)
    assert tfgig.load_model(model, layer="first", input_names=("first", "x")).view.layer == "first"
    by_name = tfgig.load_model(model, input_names={inputs[1].name: "second"})
    assert [spec.name for spec in by_name.inputs] == [inputs[0].name, "second"]
    for names in (("first",), ("same", "same"), ("first", 2)):
        with pytest.raises(ValueError, match="`input_names` needs one unique name for each input"):
            tfgig.load_model(model, input_names=names)
    with pytest.raises(ValueError, match="no input of this name"):
        tfgig.load_model(model, input_names={"nothing": "first"})
    with pytest.raises(ValueError, match="names its inputs; leave `input_names` out"):
        tfgig.load_model(version, input_names=("first", "second"))


def test_a_gap_larger_than_the_change_is_said():
    inputs = keras.Input((4,), name="x")
    norm = keras.layers.LayerNormalization(epsilon=1e-12)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(norm))
    with pytest.warns(UserWarning, match="before a normalisation"):
        source = tfgig.load_model(model)
    method = tfgig.PathIntegral(quadrature=tfgig.quadratures.Left(), steps=5)
    with pytest.warns(UserWarning, match=r"gap `delta` is larger.*row 0\."):
        tfgig.Explainer(source, method)(np.float32([[1, 2, 3, 5]]))
