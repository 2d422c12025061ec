"""Refusals and warnings that are true and can be followed."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from absl.testing import flagsaver
from tfgig_tools import model_flags

import tfgig
from tests.models import sources
from tfgig.serving import SessionModel


def saved_again(tmp_path):
    """A module without signatures whose call is a concrete function."""
    module = tf.Module()
    module.first, module.last = tf.Variable(sources.FIRST), tf.Variable(sources.LAST)

    def call(features):
        return tf.nn.softmax(tf.tanh(features @ module.first) @ module.last)

    spec = tf.TensorSpec([None, sources.FEATURES], tf.float32, "features")
    module.__call__ = tf.function(call).get_concrete_function(spec)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={})
    return tmp_path / "model"


def test_a_saved_model_that_can_only_be_called_is_called(tmp_path):
    explainer = tfgig.Explainer(tfgig.load_model(saved_again(tmp_path)), "gradient")
    found = explainer(sources.X, target=1)
    np.testing.assert_allclose(found["score"], sources.scores_of(sources.X)[:, 1], rtol=1e-5)
    expected = sources.gradient_of(sources.X, 1)
    np.testing.assert_allclose(found["attributions"], expected, rtol=1e-4, atol=1e-6)


def test_a_call_of_several_tensors_is_no_file_of_weights(tmp_path):
    module = tf.Module()
    module.__call__ = tf.function(
        lambda a, b: a + b, input_signature=[tf.TensorSpec([None, 2], tf.float32)] * 2
    )
    tf.saved_model.save(module, str(tmp_path), signatures={})
    with pytest.raises(ValueError, match="its __call__ does not take one tensor"):
        tfgig.load_model(tmp_path)


def two_open(dtype="float32"):
    one, two = (keras.Input((None, 2), name=name, dtype=dtype) for name in ("one", "two"))
    pooled = [keras.layers.GlobalAveragePooling1D()(tensor) for tensor in (one, two)]
    hidden = keras.layers.Concatenate()(pooled)
    return keras.Model([one, two], keras.layers.Dense(2, activation="softmax")(hidden))


def test_shapes_of_several_inputs_are_given_by_their_names(tmp_path):
    two_open().export(tmp_path / "model", verbose=False)
    with pytest.raises(ValueError, match=r"Give the shape of one example: shape=\{'one': "):
        tfgig.load_model(tmp_path / "model")
    with pytest.raises(ValueError, match=r"by name: shape=\{'one': "):
        tfgig.load_model(tmp_path / "model", shape=(4, 2))
    with pytest.raises(ValueError, match="Did you mean 'two'"):
        tfgig.load_model(tmp_path / "model", shape={"two_": (4, 2)})
    shape = {"one": (4, 2), "two": (3, 2)}
    given = {name: np.ones([1, *size], np.float32) for name, size in shape.items()}
    for handle in (tmp_path / "model", two_open()):
        explained = tfgig.Explainer(tfgig.load_model(handle, shape=shape), "gradient")(given)
        assert explained["attributions_one"].shape == (1, 4, 2)
        assert explained["attributions_two"].shape == (1, 3, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("224,224,3", [224, 224, 3]),
        ('{"a": [4, 2], "b": [3]}', {"a": [4, 2], "b": [3]}),
        ('{"a":[4],"b":[3]}', {"a": [4], "b": [3]}),
    ],
)
def test_the_flag_takes_them_too(text, expected):
    with flagsaver.flagsaver():
        flags.FLAGS(["program", f"--shape={text}"])
        assert model_flags._shape() == expected


@pytest.mark.parametrize("text", ["4,x", "4.5", '{"a": 4}', '{"a": [4]'])
def test_the_flag_takes_nothing_else(text):
    with flagsaver.flagsaver():
        flags.FLAGS(["program", f"--shape={text}"])
        with pytest.raises(ValueError, match="--shape takes whole numbers"):
            model_flags._shape()


def test_a_scalar_beside_the_batch_is_named_with_what_to_do(tmp_path):
    module = tf.Module()
    module.serve = tf.function(
        lambda x, is_training: tf.where(is_training, x, 2 * x),
        input_signature=[
            tf.TensorSpec([None, 2], tf.float32, "x"),
            tf.TensorSpec([], tf.bool, "is_training"),
        ],
    )
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    with pytest.raises(ValueError, match=r"'is_training' has one value for the whole batch"):
        tfgig.load_model(tmp_path)


def test_a_model_that_needs_its_size_asks_for_it():
    image = keras.Input((None, None, 3))
    larger = keras.layers.UpSampling2D(2, interpolation="bilinear")(image)
    scores = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(larger))
    model = keras.Model(image, scores)
    if keras.version() < "3.13":
        assert tfgig.load_model(model).cut.points.shape.as_list() == [None, None, None, 3]
        return  # that Keras enlarges images of any size
    with pytest.raises(ValueError, match=r"UpSampling2D does.* Give the size.*--shape="):
        tfgig.load_model(model)
    source = tfgig.load_model(model, shape=(4, 5, 3))
    assert source.cut.points.shape.as_list() == [None, 4, 5, 3]


def texts(norm):
    ids = keras.Input((4,), dtype="int32", name="ids")
    hidden = keras.layers.Embedding(9, 6, name="embedding")(ids)
    hidden = norm(hidden)
    pooled = keras.layers.GlobalAveragePooling1D()(hidden)
    return keras.Model(ids, keras.layers.Dense(2, activation="softmax")(pooled))


@pytest.mark.parametrize(
    ("norm", "warned"),
    [
        (keras.layers.LayerNormalization(name="norm"), True),
        (keras.layers.UnitNormalization(), True),
        (keras.layers.BatchNormalization(), False),
        (keras.layers.Dense(3, activation="tanh"), False),
        (lambda h: keras.layers.LayerNormalization()(keras.layers.Dense(3)(h)), False),
        (lambda h: h + keras.layers.LayerNormalization()(keras.layers.Dense(6)(h)), False),
    ],
)
def test_a_place_in_front_of_a_normalisation_is_warned_of(norm, warned):
    model = texts(norm)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tfgig.load_model(model, layer="embedding")
    assert any("before a normalisation" in str(w.message) for w in caught) == warned


def test_behind_the_normalisation_nothing_is_said():
    model = texts(keras.layers.LayerNormalization(name="norm"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tfgig.load_model(model, layer="norm")


def test_a_task_with_a_preprocessor_says_what_it_takes():
    model = sources.dense_model(keras)
    model.preprocessor = keras.layers.Rescaling(2.0)
    with pytest.warns(UserWarning, match=r"predict\(\) runs `model\.preprocessor` first"):
        tfgig.load_model(model)


def with_transform(path):
    """A model of TensorFlow 1 behind a function that takes the handle of a table made elsewhere."""
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        city = v1.placeholder(tf.string, [None, 1], "city")
        numbers = v1.placeholder(tf.float32, [None, 2], "numbers")

        @tf.function
        def made():
            return tf.raw_ops.HashTableV2(
                key_dtype=tf.string, value_dtype=tf.int64, shared_name="cities"
            )

        specs = [
            tf.TensorSpec([], tf.resource),
            *(tf.TensorSpec(t.shape, t.dtype) for t in (city, numbers)),
        ]

        @tf.function(input_signature=specs)
        def transformed(handle, city, numbers):
            zero = tf.constant(0, tf.int64)
            ids = tf.raw_ops.LookupTableFindV2(table_handle=handle, keys=city, default_value=zero)
            return tf.one_hot(tf.ensure_shape(ids, [None, 1])[:, 0], 3), (numbers - 1.0) / 2.0

        table = made()
        filled = tf.raw_ops.LookupTableImportV2(
            table_handle=table, keys=["a", "b"], values=tf.constant([1, 2], tf.int64)
        )
        one_hot, scaled = transformed(table, city, numbers)
        one_hot.set_shape([None, 3])
        scaled.set_shape([None, 2])
        random = np.random.default_rng(1)
        first, last = (random.normal(size=size).astype(np.float32) for size in ((5, 4), (4, 2)))
        with tf.name_scope("dense"):
            hidden = tf.tanh(tf.concat([one_hot, scaled], 1) @ first)
        scores = tf.nn.softmax(hidden @ last)
        v1.saved_model.simple_save(
            session,
            str(path),
            {"city": city, "numbers": numbers},
            {"scores": scores},
            legacy_init_op=filled,
        )
    return path


def test_a_table_handle_from_elsewhere_is_refused_with_a_layer(tmp_path):
    path = with_transform(tmp_path / "model")
    words = r"table's handle.*TensorFlow Transform.*Places: dense; for example layer='dense'"
    with pytest.raises(ValueError, match=words):
        tfgig.load_model(path)
    source = tfgig.load_model(path, layer="dense")
    inputs = {"city": np.array([["a"], ["b"]]), "numbers": np.ones((2, 2), np.float32)}
    found = tfgig.Explainer(source, "ig")(inputs, target=1)
    assert found["attributions"].shape == (2, 4)
    assert np.abs(found["delta"]).max() < 1e-3
    exported = tfgig.export_saved_model(source, tmp_path / "export", ["gradient"])
    with SessionModel(exported) as model:
        scores = model.run("serving_default", **inputs)["scores"]
        answer = model.run("explain_gradient", **inputs, target=np.array([1]))
    np.testing.assert_allclose(answer["score"], scores[:, 1], rtol=1e-6)
