"""What is black and white in an image, read off the graph: Keras models and SavedModels alike."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig

L = keras.layers
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def model(front, dtype="float32"):
    image = keras.Input((6, 6, 3), dtype=dtype, name="image")
    hidden = L.Conv2D(2, 3, activation="tanh")(front(image))
    return keras.Model(image, L.Dense(2, dtype="float32")(L.Flatten()(hidden)))


def under(policy, front):
    """A model whose layers compute under a policy of precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return model(front())
    finally:
        keras.config.set_dtype_policy(before)


def adapted():
    layer = L.Normalization()
    pixels = np.random.default_rng(1).uniform(0, 255, (8, 6, 6, 3))
    layer.adapt(pixels.astype(np.float32))
    return layer


def normalised(scale):
    return L.Normalization(mean=scale * MEAN, variance=(scale * DEVIATION) ** 2)


def preprocessed(name):
    return getattr(keras.applications, name).preprocess_input


MODELS = {
    "scaled": (lambda: model(L.Rescaling(1 / 255)), (0, 255)),
    "around zero": (lambda: model(L.Rescaling(2.0, offset=-1)), (0, 1)),
    "half": (lambda: under("mixed_float16", lambda: L.Rescaling(1 / 127.5, offset=-1)), (0, 255)),
    "brain": (lambda: under("mixed_bfloat16", lambda: L.Rescaling(1 / 127.5, offset=-1)), (0, 255)),
    "whole numbers": (lambda: model(L.Rescaling(1 / 255), "uint8"), (0, 255)),
    "resized": (lambda: model(lambda x: L.Rescaling(1 / 255)(L.Resizing(5, 5)(x))), (0, 255)),
    "adapted": (lambda: model(adapted()), (0, 255)),
    "standardised": (lambda: model(normalised(255)), (0, 255)),
    "standardised from 1": (lambda: model(normalised(1)), (0, 1)),
    "scaled first": (lambda: model(lambda x: normalised(1)(L.Rescaling(1 / 255)(x))), (0, 255)),
    "mobilenet": (lambda: model(preprocessed("mobilenet_v2")), (0, 255)),
    "resnet": (lambda: model(preprocessed("resnet50")), (0, 255)),
    "densenet": (lambda: model(preprocessed("densenet")), (0, 255)),
    "nothing": (lambda: model(lambda x: x), None),
    "something else": (lambda: model(L.Rescaling(3.0)), None),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_and_its_export_tell_the_same(tmp_path, name):
    make, expected = MODELS[name]
    made = make()
    assert tfgig.load_model(made).value_range == expected
    made.export(tmp_path / "model", verbose=False)
    assert tfgig.load_model(tmp_path / "model").value_range == expected


def test_a_series_of_open_length_needs_no_shape(tmp_path):
    series = keras.Input((None, 2), name="series")
    hidden = L.GlobalAveragePooling1D()(L.Conv1D(3, 3, activation="tanh")(series))
    made = keras.Model(series, L.Dense(2, activation="softmax")(hidden))
    made.export(tmp_path / "model", verbose=False)
    rows = np.random.default_rng(2).normal(size=(2, 9, 2)).astype(np.float32)
    handles = (made, tmp_path / "model")
    found = [tfgig.Explainer(tfgig.load_model(handle), "ig")(rows, target=1) for handle in handles]
    np.testing.assert_allclose(found[0]["attributions"], found[1]["attributions"], atol=1e-6)
    exported = tfgig.export_saved_model(str(tmp_path / "model"), tmp_path / "export", ["gradient"])
    loaded = tf.saved_model.load(str(exported))  # it owns the variables
    answer = loaded.explain_gradient(rows)
    assert answer["attributions"].shape == (2, 9, 2)
