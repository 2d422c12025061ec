"""Pictures whose channels come first, or that have none, are explained as their twins."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tfgig.methods import At, Edge, GradCAM, Gradient, PathIntegral
from tfgig.paths import Blur
from tfgig.plots.parts import parts_of
from tfgig.serving import SessionModel

RANDOM = np.random.default_rng(0)
SIZE = (16, 12)
PIXELS = RANDOM.uniform(0.0, 255.0, (2, *SIZE, 3)).astype(np.float32)
FORMATS = ("channels_first", "transposed", "no_channels", "no_channels_first")
METHODS = [
    PathIntegral(steps=4),
    PathIntegral(path=Blur(max_sigma=4.0), steps=4),
    GradCAM(),
    At("first", GradCAM()),
    Edge(),
]


def build(kind, grey):
    """A small network; the weights are those of its twin with channels last."""
    native = (
        "channels_first" if kind in ("channels_first", "no_channels_first") else "channels_last"
    )
    channels = 1 if grey else 3
    shapes = {
        "channels_last": (*SIZE, channels),
        "channels_first": (channels, *SIZE),
        "transposed": (channels, *SIZE),
        "no_channels": SIZE,
        "no_channels_first": SIZE,
    }
    x = keras.Input(shapes[kind], name="image")
    y = keras.layers.Rescaling(1 / 255.0)(x)
    if kind == "transposed":
        y = keras.layers.Permute((2, 3, 1))(y)
    if kind == "no_channels":
        y = keras.layers.Reshape((*SIZE, 1))(y)
    if kind == "no_channels_first":
        y = keras.layers.Reshape((1, *SIZE))(y)
    for name, filters in (("first", 4), ("last", 6)):
        y = keras.layers.Conv2D(
            filters, 3, activation="relu", padding="same", data_format=native, name=name
        )(y)
        if name == "first":
            y = keras.layers.MaxPooling2D(2, data_format=native)(y)
    y = keras.layers.GlobalAveragePooling2D(data_format=native)(y)
    y = keras.layers.Dense(3, activation="softmax")(y)
    return keras.Model(x, y)


def pair(kind):
    keras.utils.set_random_seed(3)
    grey = kind.startswith("no_channels")
    twin, model = build("channels_last", grey), build(kind, grey)
    model.set_weights(twin.get_weights())
    try:
        model(moved(seen_by(kind), kind))
    except tf.errors.UnimplementedError as error:
        pytest.skip(f"This TensorFlow does not run such a model: {error.message}")
    return twin, model


def moved(pixels, kind):
    """Pictures [B, height, width, channels] as a model of that kind takes them."""
    if kind.startswith("no_channels"):
        return pixels[..., 0]
    return np.moveaxis(pixels, -1, 1)


def seen_by(kind):
    return PIXELS[..., :1] if kind.startswith("no_channels") else PIXELS


@pytest.mark.parametrize("kind", FORMATS)
def test_every_method_answers_what_it_does_with_channels_last(kind):
    twin, model = pair(kind)
    pixels = seen_by(kind)
    source = tfgig.load_model(model)
    assert source.takes_images
    assert source.value_range == (0, 255)
    for method in METHODS:
        expected = tfgig.Explainer(twin, method)(pixels)
        found = tfgig.Explainer(source, method)(moved(pixels, kind))
        wanted = moved(np.asarray(expected["attributions"]), kind)
        scale = np.abs(wanted).max()
        assert scale > 0
        np.testing.assert_allclose(found["attributions"], wanted, atol=2e-3 * scale)


@pytest.mark.parametrize("kind", ["channels_first", "no_channels"])
def test_an_export_draws_the_same_heat_maps(kind, tmp_path):
    twin, model = pair(kind)
    pixels = seen_by(kind)
    model.export(tmp_path / "saved", verbose=False)
    inner = At("last", PathIntegral(steps=4))
    methods = {"blurred": METHODS[1], "cam": GradCAM(), "inner": inner}
    drawn = {}
    for name, handle in {"twin": twin, "live": model, "saved": tmp_path / "saved"}.items():
        there = tfgig.export_saved_model(handle, tmp_path / name, methods, warmup=())
        given = pixels if name == "twin" else moved(pixels, kind)
        with SessionModel(there) as served:
            for method in methods:
                answer = served.run(f"heatmap_{method}", image=given)
                pictures = [tf.io.decode_png(file).numpy() for file in answer["heatmap_bytes"]]
                drawn[name, method] = np.stack(pictures).astype(float)
    for method in methods:
        assert drawn["twin", method].shape[1:3] == SIZE
        for name in ("live", "saved"):
            # Colours of single pixels may differ by rounding.
            assert np.abs(drawn[name, method] - drawn["twin", method]).mean() < 1.0, (name, method)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_notebook_draws_what_it_does_with_channels_last(kind):
    twin, model = pair(kind)
    for method in (Gradient(), At("last", Gradient())):
        wanted = tfgig.Explainer(twin, method)(seen_by(kind))
        found = tfgig.Explainer(model, method)(moved(seen_by(kind), kind))
        (part,), (expected,) = (parts_of(one, one.subject) for one in (found, wanted))
        assert part.kind == "image"
        np.testing.assert_allclose(part.data, expected.data)
        scale = np.abs(expected.attributions).max()
        np.testing.assert_allclose(part.attributions, expected.attributions, atol=1e-3 * scale)


def test_what_the_graph_does_not_show_is_asked_for_and_said():
    x = keras.Input((3, 8, 8), name="image")
    y = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(x))
    model = keras.Model(x, y)
    assert not tfgig.load_model(model).takes_images
    with pytest.raises(ValueError, match=r"data_format=.channels_first"):
        tfgig.Explainer(model, "blur_ig")
    source = tfgig.load_model(model, data_format="channels_first")
    assert source.takes_images
    pixels = RANDOM.uniform(size=(1, 3, 8, 8)).astype(np.float32)
    found = tfgig.Explainer(source, "blur_ig")(pixels)
    assert found["attributions"].shape == (1, 3, 8, 8)
    assert abs(found["delta"][0]) < 1e-3


def test_a_grey_picture_of_no_convolution_is_said():
    x = keras.Input((8, 8), name="image")
    y = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(x))
    model = keras.Model(x, y)
    assert not tfgig.load_model(model).takes_images
    source = tfgig.load_model(model, data_format="no_channels", value_range=(0, 1))
    assert source.picture.spec.shape == (None, 8, 8)
    found = tfgig.Explainer(source, "blur_ig")(np.eye(8, dtype=np.float32)[np.newaxis])
    assert found["attributions"].shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("shape", "data_format", "words"),
    [
        ((8, 8, 3), "NCHW", "channels_first"),
        ((8, 8, 3), "no_channels", "another number of axes"),
    ],
)
def test_what_is_no_format_of_the_model_is_refused(shape, data_format, words):
    x = keras.Input(shape, name="image")
    model = keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    with pytest.raises(ValueError, match=words):
        tfgig.load_model(model, data_format=data_format)


def test_series_are_no_pictures():
    x = keras.Input((24, 3), name="series")
    y = keras.layers.Conv1D(4, 3, activation="relu")(x)
    y = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(y))
    source = tfgig.load_model(keras.Model(x, y))
    assert not source.takes_images
    assert tfgig.Explainer(source, "grad_cam")(np.ones([1, 24, 3]))["attributions"].shape == (
        1,
        24,
        3,
    )
