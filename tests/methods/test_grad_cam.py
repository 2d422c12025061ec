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
    with pytest.raises(ValueError, match="no layer with the input's positions"):
        tfgig.Explainer(dense, "grad_cam")
    with pytest.raises(ValueError, match=r"is none of these\. .*'features'"):
        tfgig.Explainer(dense, "grad_cam", layer="features")


def test_a_name_is_checked():
    with pytest.raises(ValueError, match="name of a layer"):
        At("", GradCAM())


def written_out_of(model, layer, values, target):
    """The map of a layer of any number of positions."""
    both = keras.Model(model.input, [model.get_layer(layer).output, model.output])
    with tf.GradientTape() as tape:
        activations, scores = both(values)
        score = scores[:, target]
    gradient = tape.gradient(score, activations).numpy()
    weights = gradient.mean(tuple(range(1, gradient.ndim - 1)), keepdims=True)
    return np.maximum((weights * activations.numpy()).sum(-1), 0)


L = keras.layers


def series():
    steps = keras.Input((24, 2), name="steps")
    hidden = L.Conv1D(5, 5, strides=2, activation="tanh", name="late")(steps)
    return keras.Model(steps, L.Dense(3, activation="softmax")(L.Flatten()(hidden)))


def volume():
    values = keras.Input((6, 8, 10, 2), name="volume")
    hidden = L.Conv3D(4, 3, activation="tanh", name="late")(values)
    return keras.Model(values, L.Dense(3, activation="softmax")(L.GlobalAveragePooling3D()(hidden)))


@pytest.mark.parametrize("make", [series, volume])
def test_series_and_volumes_have_maps_along_their_own_axes(make, tmp_path):
    model = make()
    values = np.random.default_rng(1).normal(size=(2, *model.input.shape[1:])).astype(np.float32)
    maps = [written_out_of(model, "late", values, target) for target in range(3)]
    target = int(np.argmax([m.min(0).max() for m in maps]))
    model.export(tmp_path / "saved", verbose=False)
    for handle in (model, tfgig.load_model(tmp_path / "saved")):
        found = tfgig.Explainer(handle, "grad_cam")(values, target=target)["attributions"].numpy()
        assert found.shape == values.shape
        axes = tuple(range(1, values.ndim))
        np.testing.assert_allclose(found.sum(axes), maps[target].sum(axes[:-1]), rtol=1e-4)
        # The middle of an axis whose size does not change is not moved: the peak stays.
        peak = np.unravel_index(found[0, ..., 0].argmax(), found.shape[1:-1])
        coarse = np.unravel_index(maps[target][0].argmax(), maps[target].shape[1:])
        ratios = np.divide(found.shape[1:-1], maps[target].shape[1:])
        assert (np.abs((np.array(coarse) + 0.5) * ratios - 0.5 - peak) <= ratios).all()


def attention():
    image = keras.Input((16, 16, 3), name="image")
    patches = L.Conv2D(8, 4, 4, name="patches")(image)
    tokens = L.Reshape((16, 8), name="tokens")(patches)
    inner = L.MultiHeadAttention(2, 4, name="attention")(tokens, tokens)
    tokens = L.Add(name="block")([tokens, inner])
    return keras.Model(image, L.Dense(3, activation="softmax")(L.GlobalAveragePooling1D()(tokens)))


def test_heads_of_an_attention_are_no_width(tmp_path):
    model = attention()
    values = np.random.default_rng(2).normal(size=(2, 16, 16, 3)).astype(np.float32)
    model.export(tmp_path / "saved", verbose=False)
    saved = tfgig.load_model(tmp_path / "saved")
    target = int(np.argmax([written_out_of(model, "patches", values, t).max() for t in range(3)]))
    found, again, named, tokens = (
        tfgig.Explainer(m, method)(values, target=target)["attributions"].numpy()
        for m, method in (
            (model, "grad_cam"),
            (saved, "grad_cam"),
            (model, At("patches", GradCAM())),
            (model, At("tokens", GradCAM())),
        )
    )
    assert named.max() > 0
    for other in (found, again, tokens):
        np.testing.assert_allclose(other, named, atol=1e-5 * named.max())


def test_a_block_that_ends_in_a_swish_of_its_own_gradient(tmp_path):
    image = keras.Input((12, 12, 3), name="image")
    hidden = L.Conv2D(6, 3, activation="swish", name="late")(image)
    model = keras.Model(image, L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(hidden)))
    values = np.random.default_rng(3).normal(size=(2, 12, 12, 3)).astype(np.float32)
    model.export(tmp_path / "saved", verbose=False)
    found, expected = (
        tfgig.Explainer(m, "grad_cam")(values)["attributions"].numpy()
        for m in (tfgig.load_model(tmp_path / "saved"), model)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())


def test_of_several_images_the_one_that_the_layer_comes_from():
    left, right = keras.Input((12, 12, 3), name="left"), keras.Input((8, 8, 1), name="right")
    one = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, name="of_left")(left))
    other = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, name="of_right")(right))
    scores = L.Dense(3, activation="softmax")(L.Concatenate()([one, other]))
    model = keras.Model([left, right], scores)
    values = [np.ones((1, 12, 12, 3), np.float32), np.ones((1, 8, 8, 1), np.float32)]
    found = tfgig.Explainer(model, At("of_right", GradCAM()))(values)["attributions"]
    assert found.shape == (1, 8, 8, 1)


def test_what_seems_to_have_its_channels_first_is_asked_for():
    image = keras.Input((3, 12, 14), name="image")
    model = keras.Model(image, L.Dense(2)(L.Flatten()(image)))
    for method in ("blur_ig", "edge"):
        with pytest.raises(ValueError, match=r"channels seem to come first.*data_format="):
            tfgig.Explainer(model, method)
    assert tfgig.Explainer(model, "gradient")
