"""Grad-CAM against its formula, written out; and where it looks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tfgig.methods import At, GradCAM

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 16, 12, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    image = keras.Input((16, 12, 3), name="image")
    hidden = keras.layers.Rescaling(1 / 255)(image)
    hidden = keras.layers.Conv2D(5, 3, strides=2, activation="tanh", name="early")(hidden)
    hidden = keras.layers.Conv2D(4, 3, activation="tanh", name="late")(hidden)
    hidden = keras.layers.Flatten()(hidden)
    scores = keras.layers.Dense(3, activation="softmax", name="scores")(hidden)
    return keras.Model(image, scores)


def written_out(model, layer, target):
    """The map of the paper's equations 1 and 2, [B, h, w], before it is laid over the image."""
    both = keras.Model(model.input, [model.get_layer(layer).output, model.output])
    with tf.GradientTape() as tape:
        activations, scores = both(IMAGES)
        score = scores[:, target]
    gradient = tape.gradient(score, activations).numpy()
    weights = gradient.mean((1, 2))
    return np.maximum(np.einsum("bk,bhwk->bhw", weights, activations.numpy()), 0)


@pytest.mark.parametrize(
    ("method", "options", "layer"),
    [
        (GradCAM(), {}, "late"),
        (At("early", GradCAM()), {}, "early"),
        (GradCAM(), {"layer": "early"}, "early"),
    ],
)
def test_the_map_is_the_papers_laid_over_the_image(model, method, options, layer):
    # Softmax gradients add up to 0 over classes, so some class has a map that is not empty.
    target, expected = max(
        ((target, written_out(model, layer, target)) for target in range(3)),
        key=lambda pair: pair[1].max(),
    )
    assert expected.max() > 0
    found = tfgig.Explainer(model, method, **options)(IMAGES, target=target)["attributions"].numpy()
    assert found.shape == IMAGES.shape
    np.testing.assert_allclose(found.sum((1, 2, 3)), expected.sum((1, 2)), rtol=1e-5)
    laid = tf.image.resize(expected[..., None], (16, 12)).numpy()[..., 0]
    total, whole = expected.sum((1, 2)), laid.sum((1, 2))  # nothing may speak for the score
    laid *= np.divide(total, whole, out=np.zeros_like(total), where=whole > 0)[:, None, None]
    np.testing.assert_allclose(found.sum(-1), laid, atol=1e-5 * laid.max())
    np.testing.assert_array_equal(found[..., 0], found[..., 2])


def test_a_saved_model_is_looked_at_in_its_last_spatial_layer(model, tmp_path):
    model.export(tmp_path / "saved", verbose=False)
    saved = tfgig.load_model(tmp_path / "saved")
    found, expected = (
        tfgig.Explainer(m, "grad_cam")(IMAGES)["attributions"].numpy() for m in (saved, model)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())


def test_a_model_without_places_is_refused():
    inputs = keras.Input((4,), name="features")
    dense = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    with pytest.raises(ValueError, match=r"is not one image.*features"):
        tfgig.Explainer(dense, "grad_cam")
    with pytest.raises(ValueError, match=r"is not one image.*'features'"):
        tfgig.Explainer(dense, "grad_cam", layer="features")


def test_a_name_is_checked():
    with pytest.raises(ValueError, match="name of a layer"):
        At("", GradCAM())
