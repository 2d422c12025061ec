"""Contrasts, margins, thresholds, regressions, positions: by hand, and through models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.cases import image_model, images, objective, quadratic, run
from tfgig import Endpoint, Explainer, PathIntegral, export_saved_model, load_model
from tfgig.methods import Gradient
from tfgig.serving import SessionModel
from tfgig.targets import (
    ClassScore,
    Contrast,
    Evenness,
    Margin,
    ModelOutputs,
    OutputValue,
    RegionScore,
    Threshold,
)

VALUES = np.float32([[1, 5, 3], [9, 2, 4]])
LOGITS = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32) * 3
TOP = tf.constant([-1, -1], tf.int64)


def outputs(values):
    return ModelOutputs({"scores": tf.constant(values, tf.float32)}, {})


def resolve(target, values, requested=(-1, -1)):
    found = target.resolve(outputs(values), tf.constant(requested, tf.int64))
    return found.target.numpy().tolist(), found.valid.numpy().tolist()


# Forms of an output


def softmax(values):
    exponential = np.exp(np.float64(values))
    return exponential / exponential.sum(-1, keepdims=True)


def test_a_model_that_ends_in_logits_is_read_as_probabilities():
    for form, expected in (
        ("probabilities", softmax(LOGITS)),
        ("log_probabilities", np.log(softmax(LOGITS))),
    ):
        found = ClassScore(form).select(outputs(LOGITS), tf.constant([2, 0], tf.int64))
        np.testing.assert_allclose(found, expected[[0, 1], [2, 0]], rtol=1e-5)
    single = ClassScore("probabilities").select(outputs([0.5, -2.0]), tf.zeros([2], tf.int64))
    np.testing.assert_allclose(single, 1 / (1 + np.exp([-0.5, 2.0])), rtol=1e-6)


@pytest.mark.parametrize("last", ["softmax", "sigmoid"])
def test_log_probabilities_of_a_model_do_not_round_to_nothing(last):
    model = image_model(last)
    sharp = keras.Model(
        model.inputs,
        keras.layers.Activation(last)(50 * load_logits(model)),
    )
    inputs = images(2)
    found = Explainer(sharp, Gradient(), ClassScore("log_probabilities"))(inputs, target=3)
    logits = 50 * np.float64(image_model(None).predict(inputs, verbose=0))
    expected = {
        "softmax": logits - np.logaddexp.reduce(logits, 1, keepdims=True),
        "sigmoid": -np.logaddexp(0, -logits),
    }[last][:, 3]
    np.testing.assert_allclose(found["score"], expected, rtol=1e-4)
    assert np.isfinite(found["attributions"]).all()
    assert found["ok"].numpy().all()
    as_is = Explainer(sharp, Gradient(), ClassScore("probabilities"))(inputs, target=3)
    np.testing.assert_allclose(as_is["score"], sharp.predict(inputs, verbose=0)[:, 3], rtol=1e-5)


def load_logits(model):
    """The pre-activation values of a model's last layer, as a Keras tensor."""
    clone = image_model(None)
    return keras.Model(clone.inputs, clone.output)(model.inputs[0])


# Contrasts and margins


def test_a_contrast_by_hand():
    np.testing.assert_array_equal(Contrast(1, 2).select(outputs(VALUES), TOP), [2, -2])
    assert resolve(Contrast(1, 2), VALUES, (-1, 1)) == ([1, 1], [True, True])
    assert resolve(Contrast(1, 2), VALUES, (2, 0))[1] == [False, False]


@pytest.mark.parametrize("method", [Gradient(), PathIntegral(steps=5)], ids=["gradient", "ig"])
def test_a_contrast_is_the_difference_of_two_runs(method):
    inputs, forward = images(2), quadratic((12, 10, 3))
    found = run(objective(forward, inputs.shape[1:], Contrast(3, 1)), method, inputs, -1)
    a, b = (run(objective(forward, inputs.shape[1:]), method, inputs, i) for i in (3, 1))
    for key in ("attributions", "score", "baseline_score", "delta"):
        scale = np.abs(a["attributions"]).max() + np.abs(a["score"]).max()
        np.testing.assert_allclose(found[key], a[key] - b[key], rtol=0, atol=1e-5 * scale)


def test_a_margin_is_the_class_against_the_best_other():
    margin = Margin("as_is")
    assert resolve(margin, VALUES) == ([1, 0], [True, True])
    np.testing.assert_array_equal(
        margin.select(outputs(VALUES), tf.constant([1, 0], tf.int64)), [2, 5]
    )
    np.testing.assert_array_equal(
        margin.select(outputs(VALUES), tf.constant([0, 2], tf.int64)), [-4, -5]
    )
    assert margin.classes(outputs(VALUES)) == 3
    # Of log-probabilities, it is that of the logits.
    found = Margin().select(outputs(LOGITS), tf.constant([0, 0], tf.int64))
    np.testing.assert_allclose(found, LOGITS[:, 0] - LOGITS[:, 1:].max(1), rtol=1e-5)


def test_evenness_is_highest_where_all_classes_are_equally_likely():
    found = Evenness().select(outputs(LOGITS), TOP)
    np.testing.assert_allclose(found, -np.log(softmax(LOGITS)).var(1), rtol=1e-5)
    np.testing.assert_allclose(Evenness().select(outputs(np.full((2, 3), 7.0)), TOP), 0, atol=1e-6)


# Numbers


def test_the_value_of_a_regression():
    assert resolve(OutputValue(), [0.5, 0.7], (-1, 0)) == ([0, 0], [True, True])
    assert resolve(OutputValue(2), VALUES, (-1, 1)) == ([2, 2], [True, False])
    np.testing.assert_array_equal(OutputValue(2).select(outputs(VALUES), TOP), [3, 4])
    np.testing.assert_array_equal(
        OutputValue().select(outputs([0.5, 0.7]), TOP), np.float32([0.5, 0.7])
    )


def test_a_threshold_speaks_for_the_side_that_the_input_is_on():
    values = [[0.9], [0.2]]
    assert resolve(Threshold(0.5), values) == ([1, 0], [True, True])
    assert resolve(Threshold(0.5), values, (0, 2)) == ([0, 0], [True, False])
    for side, expected in (([1, 0], [0.4, 0.3]), ([0, 1], [-0.4, -0.3])):
        found = Threshold(0.5).select(outputs(values), tf.constant(side, tf.int64))
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert Threshold().classes(outputs(values)) == 2


# Positions


SEQUENCE = np.random.default_rng(1).normal(size=(2, 6, 3)).astype(np.float32)
SEGMENTATION = np.random.default_rng(2).normal(size=(2, 4, 5, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("region", "values", "inside"),
    [
        (None, SEQUENCE, SEQUENCE),
        (((2, 5),), SEQUENCE, SEQUENCE[:, 2:5]),
        (((1, 3), (0, 2)), SEGMENTATION, SEGMENTATION[:, 1:3, :2]),
        (None, SEGMENTATION, SEGMENTATION),
    ],
)
def test_a_region_is_the_sum_over_its_positions(region, values, inside):
    sums = inside.reshape(2, -1, 3).sum(1)
    target = RegionScore(region)
    assert resolve(target, values)[0] == sums.argmax(1).tolist()
    found = target.select(outputs(values), tf.constant([2, 0], tf.int64))
    np.testing.assert_allclose(found, sums[[0, 1], [2, 0]], rtol=1e-5)
    assert target.classes(outputs(values)) == 3


def test_probabilities_of_a_region_are_those_of_its_positions():
    found = RegionScore(((0, 2),), "probabilities").select(
        outputs(SEQUENCE), tf.constant([1, 1], tf.int64)
    )
    np.testing.assert_allclose(found, softmax(SEQUENCE)[:, :2, 1].sum(1), rtol=1e-5)


def segmenter():
    inputs = keras.Input((12, 10, 3), name="image")
    hidden = keras.layers.Rescaling(1 / 255)(inputs)
    return keras.Model(
        inputs, keras.layers.Conv2D(4, 3, padding="same", activation="softmax")(hidden)
    )


TARGETS = (
    Contrast(3, 1),
    Margin(),
    Evenness(),
    OutputValue(2),
    Threshold(0.2, unit=1),
    ClassScore("log_probabilities"),
)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Models with one endpoint a target, as a server loads them."""
    place = tmp_path_factory.mktemp("targets")
    method = PathIntegral(steps=4)
    endpoints = [Endpoint(f"explain_{i}", method, target) for i, target in enumerate(TARGETS)]
    classes = export_saved_model(image_model(), place / "classes", endpoints)
    region = RegionScore(((2, 7), (3, 9)), "logits")
    endpoint = Endpoint("explain_region", method, region)
    pixels = export_saved_model(segmenter(), place / "pixels", [endpoint])
    return {"classes": classes, "pixels": pixels}


def test_every_target_is_exported(exports):
    inputs = images(2)
    with SessionModel(exports["classes"]) as model:
        for i, target in enumerate(TARGETS):
            found = model.run(f"explain_{i}", image=inputs, target=np.array([-1, -1]))
            expected = Explainer(image_model(), PathIntegral(steps=4), target)(inputs)
            assert found["ok"].all(), target
            for key, value in found.items():
                of = "score" if key == "delta" else key  # a small difference of the others
                scale = np.abs(expected[of]).max()
                np.testing.assert_allclose(value, expected[key], rtol=0, atol=1e-4 * scale)


def test_a_region_of_a_segmentation_is_exported(exports):
    inputs = images(2)
    with SessionModel(exports["pixels"]) as model:
        found = model.run("explain_region", image=inputs, target=np.array([-1, 2]))
    assert found["ok"].all()
    assert found["target"][1] == 2
    # A 3x3 convolution: nothing beyond one pixel around the region has a part in it.
    attributions = np.abs(found["attributions"]).sum((0, 3))
    outside = np.ones((12, 10), bool)
    outside[1:8, 2:10] = False
    assert attributions[outside].max() == 0
    assert attributions[~outside].min() > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Contrast(2, 2), r"with itself is 0.*choose two.*Margin\(\).*Received: \(2, 2\)"),
        (lambda: Contrast(-1, 2), r"Contrast\(a=\.\.\.\).*Received: -1"),
        (lambda: Contrast(0, 1, "odds"), r"Contrast\(output=.*'odds'"),
        (lambda: OutputValue(-1), r"OutputValue\(unit=.*Received: -1"),
        (lambda: Threshold(np.nan), r"Threshold\(level=.*Received: nan"),
        (lambda: RegionScore((3, 7)), r"one \(first, one past the last\).*\(3, 7\)"),
        (lambda: RegionScore(((7, 3),)), r"RegionScore\(region=.*\(\(7, 3\),\)"),
        (lambda: RegionScore(()), r"RegionScore\(region="),
        (lambda: Contrast(0, 3).select(outputs(VALUES), TOP), r"exist, 0 to 2.*\(0, 3\)"),
        (lambda: OutputValue(3).select(outputs(VALUES), TOP), r"OutputValue\(unit=3\).*\(2, 3\)"),
        (lambda: Margin().select(outputs([0.1, 0.2]), TOP), r"Margin compares.*Threshold\(level\)"),
        (lambda: RegionScore().select(outputs(VALUES), TOP), r"use ClassScore\(\)"),
        (lambda: ClassScore().select(outputs(SEQUENCE), TOP), r"use RegionScore\(\)"),
        (
            lambda: RegionScore(((0, 9),)).select(outputs(SEQUENCE), TOP),
            r"of sizes \(6,\).*\(\(0, 9\),\)",
        ),
        (lambda: Margin("logits").select(outputs(VALUES), TOP), r"Margin\(output=\"logits\"\)"),
    ],
)
def test_mistakes_name_the_fix(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_model_knows_its_classes_under_every_target():
    structured = load_model(image_model()).cut.forward.structured_outputs
    assert [target.classes(structured) for target in TARGETS] == [None, 5, None, None, 2, 5]
