"""No request stops a server or gets a wrong answer, fed as TensorFlow Serving feeds a graph."""

import io

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import tfgig
from tests.cases import CLASSES, SHAPE, image_model, images, run_python
from tests.models.inputs import TOKENS, text_model
from tests.raw_session import RawSession
from tfgig.methods import GradCAM, Gradient

ENDPOINTS = (
    tfgig.Endpoint("explain_gradient", Gradient()),
    tfgig.Endpoint("explain_grad_cam", GradCAM()),
    tfgig.Endpoint("heatmap_gradient", Gradient(), kind="heatmap"),
)
NAMES = ("serving_default", *(endpoint.name for endpoint in ENDPOINTS))
# Each ended the process of a server, was answered for another image, or failed as no rows should.
WRONG = {
    "the example of the documentation": np.zeros([1, 2], np.float32),
    "a list of a number": np.zeros([1], np.float32),
    "a list of nothing": np.zeros([1, 0], np.float32),
    "nothing": np.zeros([0], np.float32),
    "a number": np.float32(0),
    "no batch axis": np.zeros(SHAPE, np.float32),
    "widths and heights exchanged": np.zeros([1, 10, 12, 3], np.float32),
    "one pixel less": np.zeros([1, 12, 9, 3], np.float32),
    "one axis more": np.zeros([1, *SHAPE, 1], np.float32),
}


@pytest.fixture(scope="module")
def model():
    return image_model()


@pytest.fixture(scope="module")
def directory(model, tmp_path_factory):
    return tfgig.export_saved_model(model, tmp_path_factory.mktemp("guard") / "m", ENDPOINTS)


@pytest.fixture(scope="module")
def session(directory):
    return RawSession(directory)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_shape_is_an_invalid_argument_in_words(session, name, wrong):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"image.* is not compatible with"):
        session.run(name, image=WRONG[wrong])


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_are_answered_with_no_rows(directory, session, name):
    nothing = images(1)[:0]
    for answers in (
        session.run(name, image=nothing),
        _python(directory, name, image=nothing),
    ):
        assert {len(value) for value in answers.values()} == {0}
    if name == "serving_default":
        assert session.run(name, image=nothing)["output_0"].shape == (0, CLASSES)


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_predictions_are_bit_for_bit_those_of_the_model(model, directory, session, rows):
    pixels = images(rows)
    expected = tf.function(model)(pixels, training=False).numpy()
    found = session.run("serving_default", image=pixels)["output_0"]
    np.testing.assert_array_equal(found, expected)
    found = _python(directory, "serving_default", image=pixels)["output_0"]
    np.testing.assert_array_equal(found, expected)


def test_a_target_for_other_rows_is_refused(session):
    with pytest.raises(tf.errors.InvalidArgumentError):
        session.run("explain_gradient", image=images(3), target=np.zeros(2, np.int64))


def test_an_export_of_an_export_sees_through_the_guard(directory, tmp_path):
    source = tfgig.load_model(str(directory), value_range=(0, 255))
    target = tfgig.targets.ClassScore(output="logits")
    again = tfgig.export_saved_model(
        source, tmp_path / "again", [tfgig.Endpoint("explain_logits", Gradient(), target)]
    )
    expected = RawSession(directory).run("serving_default", image=images(2))["output_0"]
    session = RawSession(again)
    np.testing.assert_array_equal(
        session.run("serving_default", image=images(2))["output_0"], expected
    )
    assert session.run("explain_logits", image=images(2))["ok"].all()


def test_open_sizes_and_kept_signatures_have_a_guard_too(tmp_path):
    inputs = keras.Input((None,), dtype="int32", name="tokens")
    layers = keras.layers.Embedding(TOKENS, 4, name="embedding"), keras.layers.GRU(3)
    hidden = layers[1](layers[0](inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(hidden))
    source = tfgig.load_model(model, layer="embedding")
    session = RawSession(tfgig.export_saved_model(source, tmp_path / "m", ["gradient"]))
    for name in session.signatures:
        for shape in ((), (3,), (1, 2, 3)):
            with pytest.raises(tf.errors.InvalidArgumentError, match="is not compatible with"):
                session.run(name, tokens=np.zeros(shape, np.int32))
        for shape in ((0, 5), (0, 0)):
            answers = session.run(name, tokens=np.zeros(shape, np.int32))
            assert {len(value) for value in answers.values()} == {0}
        answers = session.run(name, tokens=np.ones((2, 5), np.int32))
        assert {len(value) for value in answers.values()} == {2}


def test_files_that_are_no_images_are_bad_rows(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    source = tfgig.models.taking_encoded_images(tfgig.load_model(image_model()))
    directory = tfgig.export_saved_model(
        source, tmp_path / "m", [ENDPOINTS[0], ENDPOINTS[2]], warmup=()
    )
    session = RawSession(directory)
    jpeg, png = tf.io.encode_jpeg(pixels).numpy(), tf.io.encode_png(pixels).numpy()
    files = {"good": jpeg, "still good": png, **bad_images(jpeg, png)}
    for name in ("explain_gradient", "heatmap_gradient"):
        together = session.run(name, image_bytes=np.array(list(files.values()), object))
        assert dict(zip(files, together["ok"], strict=True)) == {n: "good" in n for n in files}
        alone = session.run(name, image_bytes=np.array([jpeg], object))
        np.testing.assert_allclose(together["score"][0], alone["score"][0], rtol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match="reasonable size"):
        session.run("serving_image_bytes", image_bytes=np.array([jpeg, files["words"]], object))
    assert len(session.run("serving_image_bytes", image_bytes=np.array([jpeg], object))) == 1


def animation():
    pictures = [PIL.Image.new("L", (20, 20), shade) for shade in (0, 99, 200)]
    file = io.BytesIO()
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=50)
    return file.getvalue()


def bad_images(jpeg, png):
    """Files of which none is an image that can be decoded whole and is of a reasonable size."""
    bomb = bytearray(png)
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2  # the sizes in a PNG's first chunk
    start = jpeg.index(b"\xff\xc0") + 5  # and in a JPEG's frame
    inside = bytearray(png)
    inside[len(png) // 2] ^= 255
    wide = jpeg[:start] + b"\xff\xff\xff\xff" + jpeg[start + 4 :]
    return {
        "empty": b"",
        "a letter": b"a",
        "words": b"this is no image at all, whatever one may do with it",
        "half a JPEG": jpeg[: len(jpeg) // 2],
        "half a PNG": png[: len(png) // 2],
        "the start of a JPEG": jpeg[:30],
        "a PNG with a byte that is another": bytes(inside),
        "a PNG of 60,000 by 60,000": bytes(bomb),
        "a JPEG of 65,535 by 65,535": wide,
        "the start of a GIF": b"GIF89a" + bytes(30),
        "an animation": animation(),
    }


@pytest.mark.parametrize("longer", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_no_request_stops_the_process(directory, tmp_path, longer):
    pytest.importorskip("hypothesis")
    text = tfgig.load_model(text_model(), layer="embedding")
    files = tfgig.models.taking_encoded_images(tfgig.load_model(image_model()))
    others = [
        tfgig.export_saved_model(text, tmp_path / "text", ["gradient"], warmup=()),
        tfgig.export_saved_model(files, tmp_path / "files", [ENDPOINTS[0]], warmup=()),
    ]
    examples = "4000" if longer else "120"
    run_python("-m", "tests.export.fuzz", examples, directory, *others)


def _python(directory, name, **inputs):
    loaded = tf.saved_model.load(str(directory))
    if name.startswith("explain"):
        inputs["target"] = np.full(len(inputs["image"]), -1, np.int64)
    outputs = loaded.signatures[name](**{k: tf.constant(v) for k, v in inputs.items()})
    return {key: value.numpy() for key, value in outputs.items()}
