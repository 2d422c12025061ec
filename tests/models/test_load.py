import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.cases import SHAPE, image_model, images
from tfgig.models import SourceModel


def rescaled(scale, offset=0.0):
    inputs = keras.Input((4, 4, 3))
    hidden = keras.layers.Rescaling(scale, offset)(inputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(hidden))


def test_what_a_source_says_about_a_model():
    model = image_model()
    source = tfgig.load_model(model)
    assert source.name == "tiny"
    assert source.cut.points == tf.TensorSpec([None, *SHAPE], tf.float32, "image")
    assert source.model.served.output_names == {"scores": "output_0"}
    assert source.takes_images
    assert source.model.origin is model
    outputs = source.cut.forward(tf.constant(images(2)))
    np.testing.assert_allclose(
        outputs.values["scores"], model.predict(images(2), verbose=0), rtol=1e-5
    )
    np.testing.assert_allclose(tf.nn.softmax(outputs.logits["scores"]), outputs.values["scores"])
    assert tfgig.load_model(source) is source


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("as_string", [True, False])
def test_files(tmp_path, suffix, as_string):
    path = tmp_path / f"model{suffix}"
    image_model().save(path)
    source = tfgig.load_model(str(path) if as_string else path)
    found = source.cut.forward(tf.constant(images(2))).values["scores"]
    np.testing.assert_allclose(found, image_model().predict(images(2), verbose=0), rtol=1e-5)


def test_a_sequential_model():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    source = tfgig.load_model(model)
    assert source.cut.points.shape.as_list() == [None, 5]
    assert not source.takes_images
    found = tfgig.Explainer(model, tfgig.PathIntegral(steps=3))(np.ones((2, 5), np.float32))
    np.testing.assert_allclose(found["delta"], 0, atol=1e-6)  # linear


def test_images_of_any_size_are_explained_in_any_size():
    inputs = keras.Input((None, None, 3))
    hidden = keras.layers.Conv2D(2, 3, activation="tanh")(inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(hidden))
    for method in (tfgig.PathIntegral(steps=3), tfgig.PathIntegral(tfgig.paths.Guided(), steps=3)):
        explainer = tfgig.Explainer(model, method)
        for shape in ((2, 8, 6, 3), (1, 5, 9, 3)):
            inputs = np.random.default_rng(0).normal(size=shape).astype(np.float32)
            assert explainer(inputs)["attributions"].shape == shape


# What cannot be explained


def test_a_model_that_is_not_built_is_refused():
    with pytest.raises(ValueError, match=r"has no defined input.*keras\.Input.*Sequential"):
        tfgig.load_model(keras.Sequential([keras.layers.Dense(3)], name="plain"))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


def test_a_subclassed_model_is_refused_and_its_wrapping_is_not():
    model = Subclassed()
    model(np.zeros((1, 4), np.float32))
    with pytest.raises(ValueError, match=r"Wrap it.*Received: Subclassed"):
        tfgig.load_model(model)
    inputs = keras.Input((4,))
    wrapped = keras.Model(inputs, model(inputs))  # the fix that the error names
    assert tfgig.load_model(wrapped).cut.points.shape.as_list() == [None, 4]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model file or directory at .*absent\.keras"):
        tfgig.load_model(tmp_path / "absent.keras")


@pytest.mark.parametrize("name", ["model.pb", "model.tflite", "model", "model.onnx"])
def test_other_files_are_refused(tmp_path, name):
    (tmp_path / name).write_text("")
    with pytest.raises(ValueError, match=r"ends in \.keras or \.h5.*Received"):
        tfgig.load_model(tmp_path / name)


@pytest.mark.parametrize("handle", [None, 3, np.zeros(3), lambda x: x])
def test_other_objects_are_refused(handle):
    with pytest.raises(TypeError, match=rf"keras\.Model, the path.*{type(handle).__name__}"):
        tfgig.load_model(handle)


def test_a_file_with_code_in_it_is_not_run(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs))
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"(?i)lambda"):
        tfgig.load_model(tmp_path / "model.keras")


def test_a_batch_of_a_fixed_size_is_refused():
    inputs = keras.Input(batch_shape=(1, 4))
    with pytest.raises(ValueError, match=r"batch and must be open.*shape \(1, 4\)"):
        tfgig.load_model(keras.Model(inputs, keras.layers.Dense(2)(inputs)))


def test_the_shape_of_one_example_fills_in_what_is_open():
    inputs = keras.Input((None, None, 3), name="image")
    hidden = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(hidden))
    source = tfgig.load_model(model, shape=(6, 5, 3))
    assert source.cut.points.shape.as_list() == [None, 6, 5, 3]
    assert tfgig.models.taking_encoded_images(source).model.original is not None
    with pytest.raises(ValueError, match=r"cannot have this shape.*\(6, 5, 1\)"):
        tfgig.load_model(model, shape=(6, 5, 1))
    with pytest.raises(ValueError, match=r"no signatures.*'signature': 'mine'"):
        tfgig.load_model(model, signature="mine")


# Black and white


@pytest.mark.parametrize(
    ("scale", "offset", "expected"),
    [
        (1 / 255, 0.0, (0, 255)),
        (1 / 127.5, -1, (0, 255)),
        (1 / 255, -0.5, (0, 255)),
        (2.0, -1.0, (0, 1)),
        (127.5, 127.5, None),
        ([1 / 255] * 3, 0.0, (0, 255)),
    ],
)
def test_the_value_range_is_read_off_a_rescaling(scale, offset, expected):
    assert tfgig.load_model(rescaled(scale, offset)).value_range == expected


def augmenting():
    return keras.Sequential([keras.layers.RandomFlip(), keras.layers.RandomRotation(0.1)])


def rescaling():
    return keras.layers.Rescaling(1 / 255)


def mixing():
    return keras.layers.Conv2D(3, 1)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (lambda: [keras.layers.RandomFlip(), rescaling()], (0, 255)),
        (lambda: [augmenting(), rescaling()], (0, 255)),
        (lambda: [keras.Sequential([keras.layers.Rescaling(2.0, -1)])], (0, 1)),
        (
            lambda: [keras.Sequential([keras.Input((4, 4, 3)), augmenting(), rescaling()])],
            (0, 255),
        ),
        (lambda: [mixing(), rescaling()], None),
        (lambda: [keras.Sequential([mixing()]), rescaling()], None),
    ],
)
def test_a_rescaling_behind_what_keeps_the_units_or_within_a_model(layers, expected):
    inputs = hidden = keras.Input((4, 4, 3))
    for layer in layers():
        hidden = layer(hidden)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(hidden))
    assert tfgig.load_model(model).value_range == expected


def test_the_value_range_may_be_given():
    assert tfgig.load_model(rescaled(1 / 255), (0, 1)).value_range == (0, 1)
    inputs = keras.Input((4, 4, 3))
    plain = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    assert tfgig.load_model(plain).value_range is None
    assert tfgig.load_model(plain, value_range=(-1, 1)).value_range == (-1, 1)


@pytest.mark.parametrize("value_range", [(1, 0), (0, 0), (0, 1, 2)])
def test_a_value_range_is_black_and_white(value_range):
    with pytest.raises(ValueError, match=r"\(black, white\).*Received"):
        tfgig.load_model(rescaled(1 / 255), value_range)


def test_a_source_takes_its_value_range_too():
    """The error about heat-maps says to give it; a source is what `load_model` returns."""
    source = tfgig.load_model(rescaled(127.5, 127.5))
    again = tfgig.load_model(source, value_range=(-1, 1))
    assert isinstance(again, SourceModel)
    assert again.value_range == (-1, 1)
