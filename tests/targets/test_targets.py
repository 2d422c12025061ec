import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.cases import CLASSES, SHAPE, image_model, images
from tfgig import Explainer, PathIntegral, load_model
from tfgig.methods import Gradient
from tfgig.targets import (
    ClassScore,
    Contrast,
    CustomScore,
    ModelOutputs,
    OutputValue,
    RegionScore,
    Target,
    Threshold,
)

VALUES = np.float32([[1, 5, 3], [9, 2, 4]])
ONE = ModelOutputs({"scores": tf.constant(VALUES)}, {})
TWO = ModelOutputs({"scores": tf.constant(VALUES), "other": tf.constant(-VALUES)}, {})


def explain(model, target, inputs, requested=None):
    explanation = Explainer(model, Gradient(), target)(inputs, target=requested)
    return {key: value.numpy() for key, value in explanation.items()}


def test_the_top_class_or_the_one_that_is_asked_for():
    target, valid = ClassScore().resolve(ONE, tf.constant([-1, -1], tf.int64))
    np.testing.assert_array_equal(target, [1, 0])
    assert valid.numpy().all()
    target, valid = ClassScore().resolve(ONE, tf.constant([2, -1], tf.int64))
    np.testing.assert_array_equal(target, [2, 0])
    np.testing.assert_array_equal(ClassScore().select(ONE, target), [3, 9])
    assert ClassScore().classes(ONE) == 3


def test_targets_out_of_range_are_marked_row_by_row():
    for bad in (-2, 3, 10**12):
        target, valid = ClassScore().resolve(ONE, tf.constant([bad, 2], tf.int64))
        np.testing.assert_array_equal(valid, [False, True])
        assert 0 <= target[0] < 3  # so that it can be computed with


def test_an_output_without_classes_is_one_class():
    outputs = ModelOutputs({"scores": tf.constant([0.5, 0.7])}, {})
    target, valid = ClassScore().resolve(outputs, tf.constant([-1, 1], tf.int64))
    np.testing.assert_array_equal(valid, [True, False])
    np.testing.assert_array_equal(ClassScore().select(outputs, target), np.float32([0.5, 0.7]))


@pytest.mark.parametrize("shape", [(2, 3, 4), ()])
def test_outputs_of_other_ranks_are_refused(shape):
    outputs = ModelOutputs({"scores": tf.zeros(shape)}, {})
    with pytest.raises(ValueError, match=r"\[N, classes\].*CustomScore.*Received"):
        ClassScore().select(outputs, tf.constant([0, 0], tf.int64))


def test_several_outputs_need_a_name():
    requested = tf.constant([-1, -1], tf.int64)
    with pytest.raises(ValueError, match=r"2 outputs.*output_name.*\['scores', 'other'\]"):
        ClassScore().resolve(TWO, requested)
    np.testing.assert_array_equal(
        ClassScore(output_name="other").resolve(TWO, requested)[0], [0, 1]
    )
    with pytest.raises(ValueError, match=r"Did you mean 'scores'\?.*output_name='scoers'"):
        ClassScore(output_name="scoers").resolve(TWO, requested)


def test_output_is_one_of_four():
    with pytest.raises(ValueError, match=r'"as_is", "logits", "probabilities", .*Received: .odds.'):
        ClassScore("odds")


# On models


def softmax_layer():
    model = image_model(None)
    return keras.Model(model.inputs, keras.layers.Softmax()(model.output))


def sigmoid():
    return image_model("sigmoid")


def nested():
    inputs = keras.Input(SHAPE, name="image")
    return keras.Model(inputs, image_model()(inputs))


def mixed():
    model = image_model(None)
    return keras.Model(
        model.inputs, keras.layers.Activation("softmax", dtype="mixed_float16")(model.output)
    )


@pytest.mark.parametrize("make", [image_model, softmax_layer, sigmoid, nested, mixed])
def test_logits_are_what_went_into_the_last_activation(make):
    inputs = images(2)
    found = explain(make(), ClassScore("logits"), inputs, 3)
    logits = image_model(None).predict(inputs, verbose=0)
    rounding = 1e-2 if make is mixed else 1e-5  # float16 has 10 bits
    np.testing.assert_allclose(found["score"], logits[:, 3], rtol=rounding, atol=rounding)
    as_is = explain(make(), ClassScore(), inputs, 3)
    probability = make().predict(inputs, verbose=0)[:, 3]
    np.testing.assert_allclose(as_is["score"], probability, rtol=rounding, atol=1e-6)
    assert np.abs(as_is["attributions"] - found["attributions"]).max() > 0


def test_logits_are_refused_where_there_are_none():
    with pytest.raises(ValueError, match=r'ends in a softmax or sigmoid; use output="as_is"'):
        explain(image_model(None), ClassScore("logits"), images(1))


def two_outputs(structure):
    model = image_model()
    other = keras.layers.Dense(2, name="other")(model.layers[-2].output)
    return keras.Model(model.inputs, structure(model.output, other))


@pytest.mark.parametrize(
    "structure", [lambda a, b: [a, b], lambda a, b: {"scores": a, "other": b}], ids=["list", "dict"]
)
def test_one_of_several_outputs_of_a_model(structure):
    model, inputs = two_outputs(structure), images(2)
    values = dict(zip(["scores", "other"], model.predict(inputs, verbose=0), strict=True))
    if isinstance(model.predict(inputs, verbose=0), dict):
        values = model.predict(inputs, verbose=0)
    for name, expected in values.items():
        found = explain(model, ClassScore(output_name=name), inputs)
        np.testing.assert_allclose(found["score"], expected.max(1), rtol=1e-5)
    logits = explain(model, ClassScore("logits", output_name="scores"), inputs)
    assert logits["ok"].all()
    with pytest.raises(ValueError, match="2 outputs; choose one"):
        explain(model, ClassScore(), inputs)
    with pytest.raises(ValueError, match="softmax or sigmoid"):
        explain(model, ClassScore("logits", output_name="other"), inputs)


def margin(outputs, target):
    return outputs[:, 0] - outputs[:, 1] + 0 * tf.cast(target, tf.float32)


def test_a_score_of_ones_own():
    inputs = images(2)
    method = PathIntegral(steps=30)
    found = Explainer(image_model(), method, CustomScore(margin))(inputs)
    values = image_model().predict(inputs, verbose=0)
    np.testing.assert_allclose(found["score"], values[:, 0] - values[:, 1], rtol=1e-5)
    assert np.abs(found["delta"]).max() < 0.05 * np.abs(found["score"]).max()  # 30 steps
    np.testing.assert_array_equal(found["target"], [-1, -1])


def test_a_custom_score_is_one_number_a_row():
    with pytest.raises(ValueError, match=r"shape \[N\].*Received"):
        explain(image_model(), CustomScore(lambda outputs, target: outputs), images(1))
    with pytest.raises(ValueError, match=r"needs a function.*Received: 3"):
        CustomScore(3)


def test_a_score_without_a_gradient_is_refused():
    def rounded(outputs, target):
        return tf.cast(tf.argmax(outputs, 1), tf.float32)

    with pytest.raises(ValueError, match=r"No gradient flows.*Explain it at a layer"):
        explain(image_model(), CustomScore(rounded), images(1))


def test_classes_of_a_model_are_known():
    outputs = load_model(image_model()).cut.forward.structured_outputs
    assert ClassScore().classes(outputs) == CLASSES
    assert CustomScore(margin).classes(outputs) is None


def test_targets_are_a_family():
    assert {kind.family for kind in Target.__subclasses__()} == {"target"}


def explained_at_an_open_axis(target, values, axis):
    """Whether each row can be, and its score; an axis' size is not known when it is traced."""
    shape = [None if place == axis else size for place, size in enumerate(values.shape)]

    @tf.function(autograph=False, input_signature=[tf.TensorSpec(shape, tf.float32)])
    def resolve_and_select(values):
        outputs = ModelOutputs({"scores": values}, {})
        found = target.resolve(outputs, tf.fill([2], tf.constant(-1, tf.int64)))
        return found.valid, target.select(outputs, found.target)

    valid, score = resolve_and_select(values)
    return valid.numpy().tolist(), score.numpy().tolist()


@pytest.mark.parametrize(
    "target", [OutputValue(7), Contrast(0, 7), Contrast(7, 0), Threshold(0.5, unit=7)]
)
def test_a_unit_that_an_open_axis_lacks_marks_the_rows(target):
    valid, _ = explained_at_an_open_axis(target, VALUES, 1)
    assert valid == [False, False]


def test_a_unit_that_an_open_axis_has_is_explained():
    found = [
        explained_at_an_open_axis(target, VALUES, 1)
        for target in (OutputValue(1), Contrast(2, 0), Threshold(0.5, unit=0))
    ]
    assert found == [([True] * 2, scores) for scores in ([5, 2], [2, -5], [0.5, 8.5])]


@pytest.mark.parametrize(
    ("region", "inside"),
    [(((7, 8),), False), (((3, 8),), False), (((3, 5),), True), (None, True)],
)
def test_a_region_outside_an_open_axis_marks_the_rows(region, inside):
    valid, _ = explained_at_an_open_axis(RegionScore(region), np.ones([2, 5, 3], np.float32), 1)
    assert valid == [inside, inside]
