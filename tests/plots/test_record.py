"""An explanation is a dictionary of tensors to everyone, and a picture to a notebook."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.cases import image_model, images


@pytest.fixture(scope="module")
def explainer():
    return tfgig.Explainer(image_model(), "gradient")


@pytest.fixture
def found(explainer):
    return explainer(images(2))


def test_it_is_a_dictionary(found):
    assert isinstance(found, tfgig.Explanation)
    assert isinstance(found, dict)
    assert {**found}.keys() == found.keys()
    assert repr(found).startswith("Explanation(attributions float32 [2, 12, 10, 3], target int64")
    copied = (found.copy(), copy.copy(found), pickle.loads(pickle.dumps(found)))
    for other in copied:
        assert type(other) is tfgig.Explanation
        assert other.subject.method == "gradient"
        np.testing.assert_array_equal(other["attributions"], found["attributions"])


def test_structures_of_tensors_take_it_apart(found):
    plain = dict(found)
    for flatten in (tf.nest.flatten, keras.tree.flatten):
        for one, other in zip(flatten(found), flatten(plain), strict=True):
            assert one is other
    for tree in (tf.nest, keras.tree):
        arrays = tree.map_structure(lambda tensor: tensor.numpy(), found)
        assert arrays.keys() == found.keys()
        assert isinstance(arrays["score"], np.ndarray)
    double = tf.function(lambda explanation: 2 * explanation["score"])
    np.testing.assert_array_equal(double(found), 2 * found["score"])


def test_in_graphs_there_are_dictionaries(explainer, found):
    traced = tf.function(explainer)(images(2))
    assert type(traced) is dict
    np.testing.assert_allclose(traced["attributions"], found["attributions"], rtol=1e-5, atol=1e-7)
    assert type(explainer(keras.Input((12, 10, 3)))) is dict


def test_a_functional_model_that_is_called_eagerly(explainer, found):
    inputs = keras.Input((12, 10, 3))
    why = explainer(inputs)
    model = keras.Model(inputs, {"double": 2 * why["score"], "why": why})
    for called in (model(images(2)), model.predict(images(2), verbose=0)):
        np.testing.assert_allclose(called["double"], 2 * found["score"], rtol=1e-5)
        np.testing.assert_allclose(
            called["why"]["attributions"], found["attributions"], rtol=1e-5, atol=1e-7
        )
    sequence = keras.Sequential([keras.Input((12, 10, 3)), keras.layers.Identity(), explainer])
    np.testing.assert_allclose(sequence(images(2))["score"], found["score"], rtol=1e-5)


def test_a_notebook_shows_the_picture_and_the_numbers(found):
    shown = found._repr_html_()
    assert 'src="data:image/png;base64,iVBOR' in shown
    assert 'alt="Attributions by gradient' in shown
    assert f"<td>{float(found['score'][1]):.3g}</td>" in shown


def test_a_notebook_without_a_picture_says_why(found, monkeypatch):
    bare = tfgig.Explanation(found)
    assert "pass the explained images" in bare._repr_html_()
    names = tfgig.Explanation(found, tfgig.plots.Subject(class_names=["<b>"] * 5))
    assert "<b>" not in names._repr_html_()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install" in found._repr_html_()
    with pytest.raises(ImportError, match="matplotlib: pip install"):
        tfgig.plot(found)
