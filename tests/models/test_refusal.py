"""What cannot be explained is refused when it is loaded, with the reason and the remedy."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla  # what JAX's own exports are made of
from tensorflow.core.protobuf import saved_model_pb2

import tfgig
from tests.models import sources

v1 = tf.compat.v1
VECTOR = tf.TensorSpec([None, 4], tf.float32, "x")
IMAGE = tf.TensorSpec([None, 4, 4, 3], tf.float32, "image")


def refused(path, *fragments, **options):
    """Asserts that loading is refused by an error that says all of this, in this order."""
    with pytest.raises(ValueError, match=".*".join(map(re.escape, fragments))):
        tfgig.load_model(path, **options)


def hue(image):
    return tf.reduce_mean(tf.image.adjust_hue(image, 0.1), [1, 2])


def call_python(x):
    y = tf.py_function(lambda x: 2 * x, [x], tf.float32)
    y.set_shape(x.shape)
    return y


def compiled_by_xla(x):
    (y,) = xla.call_module(
        [x], version=9, module="", Tout=[tf.float32], Sout=[[None, 4]], platforms=["CPU"]
    )
    return y


UNEXPLAINABLE = {
    "no gradient": (
        hue,
        IMAGE,
        ["no gradient for the op AdjustHue 'adjust_hue/AdjustHue'", "layer="],
    ),
    "no gradient, in a function": (
        tf.function(hue),
        IMAGE,
        ["no gradient for the op AdjustHue 'adjust_hue/AdjustHue'", "layer="],
    ),
    "no gradient, in a branch": (
        lambda image: tf.cond(tf.size(image) > 3, lambda: hue(image), lambda: 2 * hue(image)),
        IMAGE,
        ["no gradient for the op AdjustHue", "layer="],
    ),
    "XLA compilation": (
        compiled_by_xla,
        VECTOR,
        ["no gradient for the op XlaCallModule", "layer="],
    ),
    "no scores": (
        lambda x: {"class": tf.argmax(x, 1)},
        VECTOR,
        ["the output 'class' is int64", "returns the scores"],
    ),
    "cast": (
        lambda x: tf.cast(tf.argmax(x, 1), tf.float32),
        VECTOR,
        ["Cast", "from int64", "layer="],
    ),
    "round": (tf.round, VECTOR, ["Round", "does not propagate gradients", "layer="]),
    "stop": (
        lambda x: 2 * tf.stop_gradient(x),
        VECTOR,
        ["StopGradient", "does not propagate", "layer="],
    ),
    "constant": (
        lambda x: tf.ones([tf.shape(x)[0], 3]),
        VECTOR,
        ["the output 'output_0' does not depend on it"],
    ),
    "Python": (call_python, VECTOR, ["Python code", "EagerPyFunc", "TensorFlow operations"]),
    "integers": (
        lambda ids: tf.gather(tf.ones([9, 3]), ids),
        tf.TensorSpec([None, 4], tf.int32, "ids"),
        ["floating-point numbers", "layer='GatherV2'", "'ids' (int32)"],
    ),
    "one row": (
        lambda x: x,
        tf.TensorSpec([1, 4], tf.float32, "x"),
        ["first axis of the input is the batch"],
    ),
}


@pytest.mark.parametrize("name", UNEXPLAINABLE)
def test_the_reason_and_the_remedy_are_named(tmp_path, name):
    function, spec, fragments = UNEXPLAINABLE[name]
    sources.save_function(tmp_path / "model", function, spec)
    refused(tmp_path / "model", *fragments, "the signature 'serving_default' of")


EXPLAINABLE = {
    "while": lambda x: tf.while_loop(
        lambda i, y: i < 3, lambda i, y: (i + 1, tf.tanh(1.1 * y)), [0, x]
    )[1],
    "cond": lambda x: tf.cond(tf.constant(2) > 1, lambda: 2 * x, lambda: 3 * x),
    "map": lambda x: tf.map_fn(tf.tanh, x),
    "function": tf.function(lambda x: tf.tanh(x) * x),
}


@pytest.mark.parametrize("name", EXPLAINABLE)
def test_control_flow_and_functions_are_not_refused(tmp_path, name):
    function = EXPLAINABLE[name]
    sources.save_function(tmp_path / "model", function, VECTOR)
    source = tfgig.load_model(tmp_path / "model")
    x = tf.constant(sources.X)
    gradients = []
    for forward in (function, lambda x: source.cut.forward(x).values["output_0"]):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = forward(x)
        gradients.append(tape.gradient(value, x))
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-6)


@tf.custom_gradient
def twice(x):
    return 2 * x, lambda upstream: 5 * upstream


@pytest.mark.parametrize(
    "function",
    [
        lambda x: twice(x) + x,
        tf.function(lambda x: twice(x) + x),
        lambda x: tf.while_loop(lambda i, y: i < 1, lambda i, y: (i + 1, twice(y)), [0, x])[1] + x,
    ],
    ids=["plain", "in a function", "in a loop"],
)
def test_a_custom_gradient_that_was_saved_is_used(tmp_path, function):
    sources.save_function(tmp_path / "model", function, VECTOR)
    found = tfgig.Explainer(tfgig.load_model(tmp_path / "model"), "gradient")(sources.X, target=1)
    np.testing.assert_array_equal(found["attributions"][:, 1], 6)


def test_a_custom_gradient_that_was_not_saved_is_refused(tmp_path):
    # Here, where it is registered, it would be found by chance; elsewhere another, or none.
    sources.save_function(
        tmp_path / "model", lambda x: twice(x) + x, VECTOR, experimental_custom_gradients=False
    )
    refused(tmp_path / "model", "IdentityN", "not saved", "experimental_custom_gradients=True")


def test_a_loop_of_tensorflow_1_is_refused(tmp_path):
    save_old(
        tmp_path / "model",
        lambda x: v1.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.tanh(y)), [0, x])[1],
    )
    refused(tmp_path / "model", "TensorFlow 1 loop", "Enter", "enable_control_flow_v2()")


def test_a_branch_of_tensorflow_1_that_depends_on_the_input_is_refused(tmp_path):
    save_old(
        tmp_path / "model",
        lambda x: v1.cond(tf.reduce_sum(x) > 0, lambda: tf.sin(x) * x, lambda: tf.cos(x) * x),
    )
    refused(tmp_path / "model", "TensorFlow 1 branch", "Switch", "enable_control_flow_v2()")


def save_old(path, function):
    """A model of TensorFlow 1, of one input `x` [None, 4] and one output `y`."""
    with (
        sources.old_control_flow(),
        tf.Graph().as_default() as graph,
        v1.Session(graph=graph) as session,
    ):
        x = v1.placeholder(tf.float32, [None, 4], "x")
        v1.saved_model.simple_save(session, str(path), {"x": x}, {"y": function(x)})


def live(function):
    inputs = keras.Input((4,), name="x")

    class Layer(keras.layers.Layer):
        def call(self, x):
            return function(x)

        def compute_output_shape(self, shape):
            return shape

    return keras.Model(inputs, keras.layers.Dense(2)(Layer()(inputs)), name="live")


@pytest.mark.parametrize("name", ["round", "Python"])
def test_live_models_are_refused_when_they_are_loaded(tmp_path, name):
    function, _, fragments = UNEXPLAINABLE[name]
    refused(live(function), *fragments, "the Keras model 'live'")
    with pytest.raises(ValueError, match=re.escape(fragments[0])):
        tfgig.export_saved_model(live(function), tmp_path / "export", ["gradient"])


def test_a_live_model_is_explained_behind_what_passes_no_gradient():
    model = live(tf.round)
    (layer,) = (layer.name for layer in model.layers if layer.name.startswith("layer"))
    found = tfgig.Explainer(model, "gradient", layer=layer)(sources.X, target=1)
    weights = model.layers[-1].kernel.numpy()[:, 1]
    np.testing.assert_allclose(found["attributions"], np.tile(weights, (3, 1)), rtol=1e-6)


def test_a_plain_gradient_is_not_traced_to_know_of_it(monkeypatch):
    monkeypatch.delattr("tensorflow.GradientTape")
    assert tfgig.load_model(live(tf.tanh)).cut.points.name == "x"


def test_an_operation_that_is_not_known_is_named(tmp_path):
    sources.save_function(tmp_path / "model", tf.tanh, VECTOR)
    file = tmp_path / "model" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for function in saved.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            node.op = "TheirTanh" if node.op == "Tanh" else node.op
    file.write_bytes(saved.SerializeToString())
    refused(tmp_path / "model", "not part of TensorFlow: TheirTanh", "tf.load_op_library")


def test_an_open_shape_is_to_be_given(tmp_path):
    spec = tf.TensorSpec([None, None, None, 3], tf.float32, "image")
    sources.save_function(tmp_path / "model", lambda x: tf.reduce_mean(x, [1, 2]), spec)
    refused(tmp_path / "model", "shape=(224, 224, 3)", "(None, None, None, 3)")
    refused(tmp_path / "model", "cannot have this shape", "(5, 5, 1)", shape=(5, 5, 1))
    source = tfgig.load_model(tmp_path / "model", shape=(5, 6, 3), value_range=(0, 1))
    assert source.cut.points.shape.as_list() == [None, 5, 6, 3]
    assert source.takes_images


def test_damaged_and_missing_files(tmp_path):
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "saved_model.pb").write_bytes(b"\x08\x01\x12\xff\x01abc")
    refused(tmp_path / "damaged", "'saved_model.pb' is damaged", "copy it again")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no SavedModel or version of one"):
        tfgig.load_model(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="no model file or directory at"):
        tfgig.load_model(tmp_path / "missing.keras")
    weights = tf.Module()
    weights.weight = tf.Variable(1.0)
    tf.saved_model.save(weights, str(tmp_path / "weights"))
    refused(tmp_path / "weights", "no signatures", "signatures=...")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_keras_files_that_are_not_whole(tmp_path, suffix):
    file = tmp_path / f"model{suffix}"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    refused(file, f"not a valid {suffix} file: it may be damaged or truncated", "copy it again")
    file.write_bytes(b"<html>Not here.</html>")
    refused(file, f"not a valid {suffix} file: it may be damaged")


def test_a_file_of_weights_is_no_model(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.save_weights(tmp_path / "model.weights.h5")
    refused(tmp_path / "model.weights.h5", "contains only weights", "model.load_weights(file)")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_class_that_is_not_known_is_named(tmp_path, suffix):
    class Mine(keras.layers.Layer):
        def call(self, x):
            return 2 * x

    inputs = keras.Input((4,))
    keras.Model(inputs, Mine()(inputs)).save(tmp_path / f"model{suffix}")
    refused(tmp_path / f"model{suffix}", "custom class, 'Mine'", "import the module")


def keras_2_model():
    import tf_keras

    inputs = tf_keras.Input((4,), name="x")
    return tf_keras.Model(inputs, tf_keras.layers.Dense(2)(inputs) + 1.0)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_files_of_keras_2_are_told_apart(tmp_path, suffix):
    keras_2_model().save(tmp_path / f"model{suffix}")
    refused(tmp_path / f"model{suffix}", "Keras 2", "tf_keras", "model.export(directory)")


def test_a_live_model_of_keras_2_is_told_apart():
    with pytest.raises(TypeError, match=r"Keras 2.*model\.export\(directory\)"):
        tfgig.load_model(keras_2_model())


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_in_a_file_is_run_only_by_name(tmp_path, suffix):
    mark = tmp_path / "was_run"

    # A literal: what is marshalled must not need this test's variables.
    code = compile(f"lambda x: (open({str(mark)!r}, 'w').close(), 2 * x)[1]", "code", "eval")
    function = eval(code)  # what an attacker would put into the file
    keras.Sequential([keras.Input((4,)), keras.layers.Lambda(function)]).save(
        tmp_path / f"model{suffix}"
    )
    mark.unlink()
    refused(
        tmp_path / f"model{suffix}",
        "contains Python code (a Lambda layer)",
        "nothing was run",
        "allow_unsafe_deserialization=True",
        "only if you trust",
    )
    assert not mark.exists()
    source = tfgig.load_model(tmp_path / f"model{suffix}", allow_unsafe_deserialization=True)
    (value,) = source.cut.forward(tf.ones([1, 4])).values.values()
    np.testing.assert_array_equal(value, 2)
    assert mark.exists()
