"""Walks to the representations of references, by hand on small functions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.cases import image_model, images, objective, run
from tfgig.baselines import Constant, DatasetSample
from tfgig.methods import PathIntegral
from tfgig.paths import Counterfactual
from tfgig.quadratures import Left
from tfgig.rules import Riemann


def squares(points):
    """Two scores: x0^2 + x1, and x2."""
    return tf.stack([points[:, 0] ** 2 + points[:, 1], points[:, 2]], 1)


def method(steps, references, **options):
    path = Counterfactual(DatasetSample(references), **options)
    return PathIntegral(path, Riemann(), Left(), steps)


def model():
    """Represented by its first two features as they are; the third leads nowhere."""
    return objective(squares, (3,), represent=lambda at: at[:, :2])


def test_steps_of_one_length_towards_the_reference():
    # From (3, 4) the way to (0, 0) is (-.6, -.8), whatever the distance: 1 of it a step, twice.
    recipe = method(2, [[0.0, 0.0, 9.0]], value_range=(-9, 9), step=1 / 18)
    found = run(model(), recipe, [[3, 4, 1]])
    # x0: (3 - 2.4) 2 3 + (2.4 - 1.8) 2 2.4; x1: .8 twice.
    np.testing.assert_allclose(found["attributions"], [[3.6 + 2.88, 1.6, 0]], atol=1e-5)
    assert found["score"] == pytest.approx(13)
    assert found["baseline_score"] == pytest.approx(1.8**2 + 2.4, abs=1e-5)  # where it has ended


def test_points_stay_in_the_range():
    found = run(model(), method(3, [[0.0, 0.0, 0.0]], value_range=(1, 6), step=1.0), [[3, 1, 1]])
    # A step of 5 along (-3, -1) is clipped to (1, 1), where the walk stays but for its steps out.
    np.testing.assert_allclose(found["attributions"], [[12, 0, 0]], atol=1e-5)
    assert found["baseline_score"] == pytest.approx(2, abs=1e-5)


def test_several_references_are_averaged():
    inputs = [[1.0, 2.0, 3.0], [0.5, -1.0, 0.0]]
    one, other = [[0.0, 0.0, 1.0]], [[2.0, -3.0, 1.0]]
    first, second, both = (
        run(model(), method(4, references, step=0.1), inputs)
        for references in (one, other, one + other)
    )
    for key in ("attributions", "baseline_score"):
        np.testing.assert_allclose(both[key], (first[key] + second[key]) / 2, atol=1e-5)


def test_rows_are_explained_apart():
    inputs = np.random.default_rng(0).uniform(-1, 1, (5, 3))
    recipe = method(4, [[0.3, 0.1, 0.0], [-1.0, 0.5, 0.0]], step=0.05)
    together = run(model(), recipe, inputs)
    for row in range(5):
        alone = run(model(), recipe, inputs[row : row + 1])
        for key, value in alone.items():
            np.testing.assert_allclose(together[key][row], value[0], atol=1e-5, err_msg=key)


def test_a_reference_that_is_the_input_leads_nowhere():
    found = run(model(), method(3, [[1.0, 2.0, 3.0]]), [[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(found["attributions"], [[0, 0, 0]])
    assert found["ok"].all()


def test_the_representation_is_what_the_last_dense_layer_is_given():
    """Of a Keras model's graph: as of the same model, told its representation."""
    keras_model = image_model()
    inputs, references = images(2), images(2, seed=7)
    recipe = method(3, references)
    found = tfgig.Explainer(keras_model, recipe)(inputs, target=1)
    hidden = keras.Model(keras_model.input, keras_model.layers[-2].output)
    told = objective(keras_model, inputs.shape[1:], represent=hidden)
    expected = run(told, recipe, inputs, target=1)
    for key in ("attributions", "baseline_score"):
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-4, atol=1e-7, err_msg=key)


def test_a_model_without_a_dense_layer_is_refused():
    inputs = keras.Input((8, 8, 3))
    scores = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    recipe = PathIntegral(Counterfactual(), steps=2)
    explainer = tfgig.Explainer(keras.Model(inputs, scores), recipe)
    with pytest.raises(ValueError, match="last dense layer"):
        explainer(np.ones((1, 8, 8, 3), np.float32))


@pytest.mark.parametrize("options", [{"step": 0}, {"value_range": (1, 0)}, {"baseline": 3}])
def test_refusals(options):
    with pytest.raises((TypeError, ValueError), match="Received"):
        Counterfactual(**options)


def test_by_default_towards_zero():
    assert Counterfactual().baseline == Constant(0.0)
