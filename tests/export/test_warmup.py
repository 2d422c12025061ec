"""Warm-up records: what is in them, and that the real messages read them."""

import shutil
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.cases import image_model, images
from tfgig.export.warmup import WARMUP_FILE, read_warmup, write_warmup
from tfgig.methods import Gradient
from tfgig.serving import SessionModel
from tfgig.serving.runtime.replay import replay

GRADIENT = {"gradient": Gradient()}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    place = tmp_path_factory.mktemp("warm") / "model"
    return tfgig.export_saved_model(image_model(), place, GRADIENT, warmup=(1, 4))


def test_one_record_for_each_signature_and_batch_size(directory):
    found = [(name, len(inputs["image"])) for name, inputs in read_warmup(directory)]
    names = ["explain_gradient", "heatmap_gradient", "serving_default"]
    assert found == [(name, size) for name in names for size in (1, 4)]
    for name, inputs in read_warmup(directory):
        if name == "heatmap_gradient":  # in vain, so that nothing takes long
            assert np.isnan(inputs["image"]).all()
        else:
            assert (inputs["image"] == 127.5).all()  # the middle of 0 .. 255
        assert (inputs.get("target", np.array([-2])) == -2).all()


def test_the_records_are_tensorflow_servings_own(directory):
    messages = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    records = list(tf.data.TFRecordDataset(str(directory / WARMUP_FILE)).as_numpy_iterator())
    for record, (name, inputs) in zip(records, read_warmup(directory), strict=True):
        log = messages.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.signature_name == name
        assert set(request.inputs) == set(inputs)
        for key, value in inputs.items():
            np.testing.assert_array_equal(tf.make_ndarray(request.inputs[key]), value)
        assert len(record) < 200  # a constant is stored as one number


def test_they_run_in_a_session(directory):
    with SessionModel(directory) as model:
        assert replay(model, directory) == 6


def test_an_export_without(tmp_path):
    directory = tfgig.export_saved_model(image_model(), tmp_path / "model", GRADIENT, warmup=())
    assert not (directory / WARMUP_FILE).exists()
    assert list(read_warmup(directory)) == []


@pytest.mark.parametrize("sizes", [(0,), (1.5,), (True,), range(1, 400)])
def test_sizes_are_checked(directory, sizes):
    with pytest.raises(ValueError, match=r"whole number of at least 1|at most 1000"):
        write_warmup(directory, sizes)


def save(path, call, *specs):
    module = tf.Module()
    module.call = tf.function(call, input_signature=specs)
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.call})
    return path


def test_strings_are_found_by_trial(tmp_path):
    """Encoded images, texts, and serialised examples: what a signature takes is what it gets."""

    def decode(image_bytes):
        def one(file):
            return tf.ensure_shape(tf.io.decode_image(file, 3, expand_animations=False), [None] * 3)

        pixels = tf.map_fn(one, image_bytes, tf.uint8)
        return {"mean": tf.reduce_mean(tf.cast(pixels, tf.float32), [1, 2, 3])}

    def parse(examples):
        features = {"x": tf.io.FixedLenFeature([], tf.float32, default_value=0.0)}
        return {"x": tf.io.parse_example(examples, features)["x"]}

    for name, call in (("image_bytes", decode), ("examples", parse)):
        path = save(tmp_path / name, call, tf.TensorSpec([None], tf.string, name))
        assert write_warmup(path, (1, 3)) == 2
        with SessionModel(path) as model:
            assert replay(model, path) == 2


def test_open_sizes_are_found_by_trial(tmp_path):
    inputs = keras.Input((None, None, 3), name="image")
    hidden = keras.layers.Conv2D(2, 5)(inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(hidden))
    call = lambda image: {"scores": model(image)}  # noqa: E731
    module = tf.Module()
    module.model_variables = [variable.value for variable in model.variables]
    module.call = tf.function(
        call, input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, "image")]
    )
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.call)
    assert write_warmup(tmp_path / "model") == 1
    ((_, found),) = read_warmup(tmp_path / "model")
    assert found["image"].shape == (1, 32, 32, 3)  # one pixel is too little for the kernel


def test_examples_hold_what_the_graph_parses(tmp_path):
    def parse(examples):
        features = {
            "numbers": tf.io.FixedLenFeature([3], tf.float32),  # without a default
            "word": tf.io.FixedLenFeature([], tf.string),
            "count": tf.io.FixedLenFeature([], tf.int64),
            "more": tf.io.VarLenFeature(tf.float32),
        }
        found = tf.io.parse_example(examples, features)
        return {"sum": tf.reduce_sum(found["numbers"], 1), "count": found["count"]}

    path = save(tmp_path / "model", parse, tf.TensorSpec([None], tf.string, "examples"))
    assert write_warmup(path, (2,)) == 1
    ((_, found),) = read_warmup(path)
    example = tf.train.Example.FromString(found["examples"][0])
    assert list(example.features.feature["numbers"].float_list.value) == [0, 0, 0]
    assert set(example.features.feature) == {"numbers", "word", "count"}
    with SessionModel(path) as model:
        assert replay(model, path) == 1


def test_what_cannot_be_guessed_is_said_and_can_be_given(tmp_path):
    def read(numbers):  # text, but not any
        return {"x": tf.strings.to_number(numbers) + 1}

    path = save(tmp_path / "model", read, tf.TensorSpec([None], tf.string, "numbers"))
    said = r"No warm-up record for 'serving_default': numbers accepted none.*StringToNumber"
    with pytest.warns(UserWarning, match=said):
        assert write_warmup(path) == 0
    assert write_warmup(path, (2,), {"numbers": b"3.5"}) == 1
    with SessionModel(path) as model:
        assert replay(model, path) == 1


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"imgae": np.zeros([12, 10, 3])}, r"Did you mean 'image'.*Received: 'imgae'"),
        (
            {"image": np.zeros([1, 12, 10, 3])},
            r"without the batch, must have shape \[12, 10, 3\]. Received: shape \(1, 12, 10, 3\)",
        ),
        ({"target": 1.5}, "'target' must be int64. Received: float64"),
    ],
)
def test_inputs_that_fit_no_signature(directory, inputs, message):
    """Their records would keep a good version from being loaded."""
    before = (directory / WARMUP_FILE).read_bytes()
    with pytest.raises((ValueError, TypeError), match=message):
        write_warmup(directory, (1,), inputs)
    assert (directory / WARMUP_FILE).read_bytes() == before


def test_inputs_that_are_given(directory, tmp_path):
    copy = shutil.copytree(directory, tmp_path / "copy")
    image = np.arange(12 * 10 * 3).reshape([12, 10, 3])
    assert write_warmup(copy, (2,), {"image": image, "target": 3}) == 3
    for _, inputs in read_warmup(copy):
        np.testing.assert_array_equal(inputs["image"], np.float32([image, image]))
        assert inputs.get("target", np.array([3])).tolist() in ([3], [3, 3])
    with SessionModel(copy) as model:
        assert replay(model, copy) == 3


def test_warming_up_takes_a_step_of_each_loop(tmp_path):
    """And the same graph takes all of them where there is something to explain."""
    long = tfgig.PathIntegral(steps=3000, internal_batch_size=1)
    guided = tfgig.PathIntegral(tfgig.paths.Guided(), steps=600)
    directory = tfgig.export_saved_model(
        image_model(), tmp_path / "m", {"long": long, "guided": guided}
    )
    assert {name for name, _ in read_warmup(directory)} == {
        "serving_default", "explain_long", "heatmap_long", "explain_guided", "heatmap_guided",
    }  # fmt: skip
    assert (directory / WARMUP_FILE).stat().st_size < 2000
    with SessionModel(directory) as model:
        for name, inputs in [*read_warmup(directory)] * 2:
            started = time.monotonic()
            answer = model.call(name, inputs)
            in_vain = time.monotonic() - started
            if name == "serving_default":
                continue
            assert not answer["ok"].any()
            started = time.monotonic()
            good = {key: value for key, value in inputs.items() if key != "image"}
            good = {key: np.full_like(value, -1) for key, value in good.items()}
            assert model.call(name, {"image": images(1), **good})["ok"].all()
            taken = time.monotonic() - started
        assert taken > 3 * in_vain  # of the last signature, called before
