import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.cases import CLASSES, SHAPE, deviation, image_model, images
from tfgig.methods import Gradient
from tfgig.spec import to_config
from tfgig.targets import (
    ClassScore,
    Contrast,
    CustomScore,
    Evenness,
    Margin,
    OutputValue,
    RegionScore,
    Threshold,
)

IG = tfgig.PathIntegral(steps=4)


@pytest.fixture(scope="module")
def explainer():
    return tfgig.Explainer(image_model(), IG)


# The front door


def test_the_answer(explainer):
    found = explainer(images(2))
    kinds = {name: (value.dtype.name, tuple(value.shape)) for name, value in found.items()}
    assert kinds == {
        "attributions": ("float32", (2, *SHAPE)),
        "target": ("int64", (2,)),
        "score": ("float32", (2,)),
        "baseline_score": ("float32", (2,)),
        "delta": ("float32", (2,)),
        "error": ("float32", (2,)),
        "ok": ("bool", (2,)),
    }


def test_a_missing_batch_axis_is_named(explainer):
    with pytest.raises(
        ValueError, match=r"\[B, 12, 10, 3\].*batch axis missing.*newaxis.*Received"
    ):
        explainer(images(1)[0])


@pytest.mark.parametrize("shape", [(2, 12, 11, 3), (2, 12, 10, 1), (2, 360), (1, 2, 12, 10, 3)])
def test_other_shapes_are_refused(explainer, shape):
    with pytest.raises(ValueError, match=r"\[B, 12, 10, 3\].*Received: shape") as error:
        explainer(np.zeros(shape, np.float32))
    assert "batch axis" not in str(error.value)


def test_other_shapes_are_refused_in_graphs_too(explainer):
    with pytest.raises(ValueError, match=r"\[B, 12, 10, 3\]"):
        tf.function(explainer)(tf.zeros([2, 5, 5, 3]))
    with pytest.raises(ValueError, match=r"\[B, 12, 10, 3\]"):
        explainer(keras.Input((5, 5, 3)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named_by_row(explainer, value):
    inputs = images(4)
    inputs[2, 0, 0, 0] = value
    with pytest.raises(ValueError, match=r"must be finite.*in row 2\."):
        explainer(inputs)
    inputs[0, 3, 3, 1] = value
    with pytest.raises(ValueError, match=r"in rows 0, 2\."):
        explainer(inputs)


def test_an_empty_batch_is_refused(explainer):
    with pytest.raises(ValueError, match=r"at least one row.*empty batch"):
        explainer(images(0))


@pytest.mark.parametrize(
    ("target", "named"),
    [(5, "5 in row 0"), ([0, 99, 1], "99 in row 1"), ([0, 1, -2], "-2 in row 2")],
)
def test_targets_out_of_range_are_named_by_row(explainer, target, named):
    with pytest.raises(ValueError, match=rf"from 0 to {CLASSES - 1}, or -1.*Received: {named}"):
        explainer(images(3), target=target)


@pytest.mark.parametrize("target", [1.0, [0.0, 1.0, 2.0], [0, 1], [[0], [1], [2]], True, "dog"])
def test_targets_are_whole_numbers_one_a_row(explainer, target):
    with pytest.raises((ValueError, TypeError), match=r"one for each of the 3 rows.*Received"):
        explainer(images(3), target=target)


@pytest.mark.parametrize("target", [2, [2], np.int32(2), np.array([2, 2]), tf.constant([2, 2])])
def test_targets_may_be_given_in_many_ways(explainer, target):
    np.testing.assert_array_equal(explainer(images(2), target=target)["target"], [2, 2])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64, np.float16])
def test_pixels_of_any_type_are_explained(explainer, dtype):
    expected = explainer(images(2))["attributions"]
    found = explainer(images(2).astype(dtype))["attributions"]
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, expected)


def test_tensors_and_lists_are_explained(explainer):
    expected = explainer(images(2))["attributions"]
    np.testing.assert_array_equal(explainer(tf.constant(images(2)))["attributions"], expected)
    listed = explainer(tf.constant(images(2).tolist()))["attributions"]
    np.testing.assert_array_equal(listed, expected)


# Methods, models and targets


def pixel_model(last):
    """A model of images that ends in a convolution, a class at every pixel, or in one number."""
    inputs = keras.Input(SHAPE, name="image")
    hidden = keras.layers.Rescaling(1 / 255)(inputs)
    if last == "number":
        hidden = keras.layers.Dense(1)(keras.layers.Flatten()(hidden))
        return keras.Model(inputs, keras.layers.Reshape(())(hidden))
    return keras.Model(inputs, keras.layers.Conv2D(CLASSES, 3, activation=last)(hidden))


OF_CLASSES = [
    *(ClassScore(form) for form in ("as_is", "probabilities", "log_probabilities")),
    *(Margin(form) for form in ("as_is", "log_probabilities")),
    Contrast(3, 1),
    Evenness(),
    OutputValue(2),
    Threshold(0.2, unit=1),
    CustomScore(lambda output, target: output[:, 0]),
]
OF_NUMBERS = [ClassScore("as_is"), ClassScore("probabilities"), OutputValue(), Threshold()]
OF_PIXELS = [
    RegionScore(),
    RegionScore(((0, 2), (3, 5))),
    RegionScore(output="log_probabilities"),
    CustomScore(lambda output, target: output[:, 0, 0, 0]),
]


@pytest.mark.parametrize(
    ("model", "targets"),
    [
        (image_model(), [*OF_CLASSES, ClassScore("logits")]),
        (image_model(None), OF_CLASSES),
        (pixel_model("number"), OF_NUMBERS),
        (pixel_model("softmax"), [*OF_PIXELS, RegionScore(output="logits")]),
        (pixel_model(None), OF_PIXELS),
    ],
    ids=["softmax", "logits", "number", "segmentation", "segmentation_logits"],
)
def test_every_target_explains_the_models_that_have_it(model, targets):
    for target in targets:
        explainer = tfgig.Explainer(model, Gradient(), target)
        found = explainer(images(2))
        assert found["ok"].numpy().all(), target
        assert np.abs(found["attributions"]).max() > 0, target
        if target.of_classes and not isinstance(target, Contrast):
            last = model.output.shape[-1] if len(model.output.shape) > 1 else 1
            with pytest.raises(ValueError, match=rf"from 0 to {last - 1}, or -1.*Received: {last}"):
                explainer(images(2), target=last)


def test_a_target_that_the_model_does_not_have_is_refused_at_once():
    with pytest.raises(ValueError, match=r"ClassScore explains outputs.*use RegionScore\(\)"):
        tfgig.Explainer(pixel_model("softmax"), Gradient())
    with pytest.raises(ValueError, match=r"Margin compares classes.*Threshold\(level\)"):
        tfgig.Explainer(pixel_model("number"), Gradient(), Margin())


def test_methods_go_by_name():
    explainer = tfgig.Explainer(image_model(), "ig")
    assert explainer.method == tfgig.presets.get("ig")
    with pytest.raises(ValueError, match=r"'guided'.*Did you mean 'guided_ig'\?"):
        tfgig.Explainer(image_model(), "guided")
    with pytest.raises(TypeError, match=r"`method` must be one of.*Received: 3"):
        tfgig.Explainer(image_model(), 3)
    with pytest.raises(TypeError, match="`target` must be one of ClassScore"):
        tfgig.Explainer(image_model(), "ig", target=3)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_model_of_mixed_precision_gives_float32(policy):
    expected = tfgig.Explainer(image_model(), IG)(images(2), target=1)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = image_model()
        explainer = tfgig.Explainer(model, IG)
        inside = keras.Model(model.inputs, explainer(model.inputs[0]))
    finally:
        keras.config.set_dtype_policy(before)
    assert model.layers[-1].compute_dtype != "float32"
    found = explainer(images(2), target=1)
    assert {value.dtype for value in found.values()} == {tf.float32, tf.int64, tf.bool}
    assert found["ok"].numpy().all()
    # bfloat16 has 8 bits; over a few layers, of the largest attribution.
    assert deviation(found["attributions"].numpy(), expected["attributions"].numpy()) < 0.1
    assert inside.predict(images(2), verbose=0)["attributions"].dtype == np.float32


def test_gradients_are_those_of_the_model():
    model, inputs = image_model(), tf.constant(images(2))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        score = model(inputs)[:, 3]
    found = tfgig.Explainer(model, Gradient())(inputs, target=3)
    expected = tape.gradient(score, inputs)
    assert deviation(found["attributions"].numpy(), expected.numpy()) < 1e-5


def test_dropout_and_normalisation_stand_still():
    inputs = keras.Input((8,))
    hidden = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(hidden))
    explainer = tfgig.Explainer(model, IG)
    batch = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    first, again = (explainer(batch, target=0)["attributions"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    alone = explainer(batch[:1], target=0)["attributions"]
    np.testing.assert_allclose(first[:1], alone, rtol=1e-5, atol=1e-6)  # sums of 8


def test_a_model_that_learns_on_is_explained_as_it_is_now():
    model = image_model()
    explainer = tfgig.Explainer(model, IG)
    before = explainer(images(1), target=0)["attributions"].numpy()
    model.layers[-1].kernel.assign(-model.layers[-1].kernel)
    after = explainer(images(1), target=0)
    np.testing.assert_allclose(after["score"], model(images(1))[:, 0], rtol=1e-5)
    assert deviation(after["attributions"].numpy(), before) > 0.1


# Inside Keras


def test_inside_a_functional_model_beside_the_prediction(tmp_path):
    model = image_model()
    inputs = keras.Input(SHAPE)
    explanation = tfgig.Explainer(model, IG, name="why")(inputs)
    both = keras.Model(inputs, {"scores": model(inputs), "why": explanation["attributions"]})
    found = both.predict(images(3), verbose=0)
    np.testing.assert_allclose(found["scores"], model.predict(images(3), verbose=0), rtol=1e-5)
    both.save(tmp_path / "both.keras")
    again = keras.saving.load_model(tmp_path / "both.keras")
    assert again.get_layer("why").method == IG
    # The same float32 graph, once more.
    np.testing.assert_allclose(
        again.predict(images(3), verbose=0)["why"], found["why"], rtol=1e-4, atol=1e-6
    )
    assert again.count_params() == model.count_params()  # shared, not twice


@pytest.mark.parametrize("order", ["two", "after the model", "before the model"])
def test_explainers_that_share_a_model_survive_a_file(tmp_path, order):
    model, inputs = image_model(), keras.Input(SHAPE)
    first, second = (
        tfgig.Explainer(model, tfgig.PathIntegral(steps=steps))(inputs) for steps in (2, 3)
    )
    outputs = {
        "two": [first["score"], second["score"]],
        "after the model": [model(inputs), first["score"]],
        "before the model": [first["score"], model(inputs)],
    }[order]
    keras.Model(inputs, outputs).save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    score = model.predict(images(2), verbose=0).max(1)
    for found in again.predict(images(2), verbose=0):
        found = found.max(1) if found.ndim == 2 else found
        np.testing.assert_allclose(found, score, rtol=1e-5)  # other graphs of one model
    assert again.count_params() == model.count_params()


def test_the_serialized_layer_is_json():
    explainer = tfgig.Explainer(image_model(), IG, tfgig.targets.ClassScore("logits"), name="why")
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(explainer)))
    assert config["config"]["method"] == to_config(IG)
    again = keras.saving.deserialize_keras_object(config)
    assert (again.name, again.method, again.target) == ("why", IG, explainer.target)
    copy = tfgig.Explainer.from_config(explainer.get_config())
    assert (copy.name, copy.method, copy.target) == ("why", IG, explainer.target)


def test_what_is_not_a_keras_model_is_not_saved_as_one(explainer):
    source = tfgig.load_model(image_model())
    assert tfgig.Explainer(source, IG).get_config()["method"] == to_config(IG)
    model = dataclasses.replace(source.model, name="other", origin=None)
    from_file = dataclasses.replace(source, model=model)
    with pytest.raises(ValueError, match=r"export_saved_model.*Received: 'other'"):
        tfgig.Explainer(from_file, IG).get_config()


def test_a_compiled_model_that_holds_one_is_not_handed_to_xla():
    """XLA cannot compile loops of unknown length; Keras's "auto" asks each layer."""
    explainer = tfgig.Explainer(image_model(), "ig")
    assert not explainer.supports_jit
    model = keras.Model(explainer.model.inputs, explainer(explainer.model.inputs[0]))
    model.compile()
    assert not model.jit_compile


def test_a_score_that_is_infinite_on_the_way_is_an_error_that_names_the_row():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.ops.log(inputs))  # minus infinity at the baseline
    explainer = tfgig.Explainer(model, "ig")
    with pytest.raises(ValueError, match=r"another baseline.*Received: such a path in rows 0, 1\."):
        explainer(np.ones((2, 2), np.float32))
