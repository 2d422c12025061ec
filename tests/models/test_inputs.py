"""Inputs of any kind: several, whole numbers, text, files; and layers in the place of inputs."""

import dataclasses
import io
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfgig
from tests import run_requests
from tests.cases import run_python
from tests.models import inputs
from tfgig.models import SourceModel, taking_encoded_images

IG = tfgig.PathIntegral(steps=12)
WORDS, TABLE, PIXELS = inputs.words(), inputs.rows_of_table(), inputs.pixels()
FILES = inputs.encoded(*inputs.pixels(2, (30, 20, 3)))
EXAMPLES = np.array(
    [inputs.example(1.5, [0.2, -1.0], 3), inputs.example(-0.5, [1.0, 0.7], 1)], object
)
PLACE = {"attributions_age": (1,), "attributions_place": (2,)}
NUMBERS = {"attributions_numbers": (3,), "attributions_more": (2, 2)}
ALL = {**NUMBERS, "attributions_category": (1, 2)}
EMBEDDED = {"attributions": (inputs.LENGTH, inputs.WIDTH)}
IMAGE = {"attributions": inputs.SIZE}
FEATURES = {"attributions": (6, 7, 4)}

# What is loaded, how, what it is asked, and the shapes of the attributions of one example.
CASES = {
    "text at its embedding": ("text", {"layer": "embedding"}, {"tokens": WORDS}, EMBEDDED),
    "saved text at its embedding": (
        "saved text",
        {"layer": "embedding"},
        {"tokens": WORDS},
        EMBEDDED,
    ),
    "table": ("table", {}, TABLE, ALL),
    "saved table": ("saved table", {}, TABLE, ALL),
    "table of numbers": ("table", {"layer": ["numbers", "more"]}, TABLE, NUMBERS),
    "table at one input": ("table", {"layer": "more"}, TABLE, {"attributions": (2, 2)}),
    "table at a layer": ("table", {"layer": "hidden"}, TABLE, {"attributions": (6,)}),
    "pixels": ("pixels", {}, {"image": PIXELS}, IMAGE),
    "saved pixels": ("saved pixels", {"value_range": (0, 255)}, {"image": PIXELS}, IMAGE),
    "pixels at a layer": ("pixels", {"layer": "features"}, {"image": PIXELS}, FEATURES),
    "files": ("files", {"value_range": (0, 255)}, {"files": FILES}, IMAGE),
    "tf.Example": (
        "examples",
        {},
        {"examples": EXAMPLES},
        {**PLACE, "attributions_kind": (2,)},
    ),
    "numbers of tf.Example": (
        "examples",
        {"layer": ("age", "place")},
        {"examples": EXAMPLES},
        PLACE,
    ),
    "encoded images": ("encoded", {}, {"image_bytes": FILES}, IMAGE),
}
every_case = pytest.mark.parametrize("name", CASES)
# Exported and run in a fresh session: one of each kind of source, and of each kind of place.
SERVED = (
    "saved text at its embedding",
    "table",
    "table at a layer",
    "saved pixels",
    "files",
    "tf.Example",
    "encoded images",
)


@pytest.fixture(scope="module")
def handles(tmp_path_factory):
    place = tmp_path_factory.mktemp("originals")
    found = {
        "text": inputs.text_model(),
        "table": inputs.table_model(),
        "pixels": inputs.pixel_model(),
        "files": inputs.save(inputs.Decoding(), place / "files"),
        "examples": inputs.save(inputs.Parsing(), place / "examples"),
        "encoded": taking_encoded_images(tfgig.load_model(inputs.pixel_model("float32"))),
    }
    for name in ("text", "table", "pixels"):
        found[name].export(place / name, verbose=False)
        found[f"saved {name}"] = place / name
    return found


@pytest.fixture(scope="module")
def explained(handles):
    """The source of every case, and its explanation by the layer."""
    found = {}
    for name, (handle, options, given, _) in CASES.items():
        source = tfgig.load_model(handles[handle], **options)
        found[name] = source, tfgig.Explainer(source, IG)(given, target=1)
    return found


@pytest.fixture(scope="module")
def served(handles, explained, tmp_path_factory):
    """What a fresh process answers: the explanation, and the picture if any."""
    place = tmp_path_factory.mktemp("exports")
    requests, keys = [], []
    for number, name in enumerate(SERVED):
        given, (source, _) = CASES[name][2], explained[name]
        version = tfgig.export_saved_model(source, place / f"model_{number}", {"ig": IG})
        rows = len(next(iter(given.values())))
        ask = {"explain_ig": {**given, "target": np.full([rows], 1)}}
        if source.takes_images:
            ask["heatmap_ig"] = given
        for signature, asked in ask.items():
            keys.append((name, signature))
            requests.append((str(version), signature, asked))
    (place / "requests").write_bytes(pickle.dumps(requests))
    run_python(run_requests.__file__, place / "requests", place / "answers")
    return dict(zip(keys, pickle.loads((place / "answers").read_bytes()), strict=True))


@every_case
def test_attributions_have_the_shape_of_what_is_explained_and_add_up(explained, name):
    _, explanation = explained[name]
    rows = explanation["score"].shape[0]
    shapes = CASES[name][3]
    assert {k for k in explanation if k.startswith("attributions")} == set(shapes)
    for key, shape in shapes.items():
        assert explanation[key].shape == (rows, *shape)
        assert np.abs(explanation[key]).max() > 0
    assert explanation["ok"].numpy().all()
    total = sum(
        tf.reduce_sum(explanation[key], list(range(1, 1 + len(shapes[key])))) for key in shapes
    )
    change = explanation["score"] - explanation["baseline_score"]
    np.testing.assert_allclose(total - change, explanation["delta"], atol=1e-5)
    assert np.abs(explanation["delta"]).max() < 2e-3


@pytest.mark.parametrize("name", SERVED)
def test_a_fresh_session_gives_the_same(explained, served, name):
    _, explanation = explained[name]
    found = served[name, "explain_ig"]
    assert set(found) == set(explanation)
    for key, value in explanation.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-6, err_msg=key)


@every_case
def test_models_of_images_draw(explained, served, name):
    source, _ = explained[name]
    images = name in ("pixels", "saved pixels", "pixels at a layer", "files", "encoded images")
    assert source.takes_images == images
    if images and name in SERVED:
        found = served[name, "heatmap_ig"]
        size = (30, 20, 3) if name == "encoded images" else inputs.SIZE
        for file in found["heatmap_bytes"]:
            assert tf.io.decode_png(file).shape == size


def difference(found, expected):
    return np.abs(np.asarray(found) - np.asarray(expected)).max() / np.abs(expected).max()


@pytest.mark.parametrize("name", ["saved text at its embedding", "saved table", "saved pixels"])
def test_a_saved_model_is_explained_as_the_model_that_was_saved(explained, name):
    _, found = explained[name]
    _, expected = explained[name.removeprefix("saved ")]
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-7, err_msg=key)


def test_whole_pixels_are_explained_as_the_same_floats(handles, explained):
    model = handles["pixels"]
    floats = inputs.pixel_model("float32")
    floats.set_weights(model.get_weights())
    expected = tfgig.Explainer(floats, IG)(PIXELS.astype(np.float32), target=1)
    assert difference(explained["pixels"][1]["attributions"], expected["attributions"]) < 1e-6


def test_a_layer_is_explained_as_the_model_behind_it(handles, explained):
    model = handles["pixels"]
    features = keras.Model(model.input, model.get_layer("features").output)(PIXELS)
    again = keras.Input(features.shape[1:])
    pool, scores = model.layers[-2:]
    behind = keras.Model(again, scores(pool(again)))
    expected = tfgig.Explainer(behind, IG)(features, target=1)
    found = explained["pixels at a layer"][1]
    assert difference(found["attributions"], expected["attributions"]) < 1e-5


def test_a_layer_at_the_input_is_the_input():
    model = inputs.pixel_model("float32")
    images = PIXELS.astype(np.float32)
    at_input = tfgig.Explainer(model, IG, layer="image")(images)
    np.testing.assert_array_equal(
        at_input["attributions"], tfgig.Explainer(model, IG)(images)["attributions"]
    )


def test_volumes_are_explained():
    volume = keras.Input((4, 5, 6, 2), name="volume")
    hidden = keras.layers.Conv3D(3, 2, activation="tanh")(volume)
    scores = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(hidden))
    values = np.random.default_rng(0).normal(size=(2, 4, 5, 6, 2)).astype(np.float32)
    for name in ("ig", "guided_ig"):
        found = tfgig.Explainer(keras.Model(volume, scores), name)(values)
        assert found["attributions"].shape == values.shape
        assert np.abs(found["delta"]).max() < 0.02 * np.abs(found["score"]).max()


def test_tokens_are_of_sequences(handles, tmp_path):
    endpoint = tfgig.Endpoint("tokens_ig", IG, kind="tokens")
    with pytest.raises(ValueError, match=r"positions of one sequence.*embedding"):
        tfgig.export_saved_model(handles["pixels"], tmp_path / "model", [endpoint])


def test_padding_is_masked_and_gets_nothing(explained):
    attributions = np.abs(explained["text at its embedding"][1]["attributions"]).sum(2)
    np.testing.assert_array_equal(attributions[WORDS == 0], 0)
    assert (attributions[WORDS != 0] > 0).all()


def test_features_of_an_example_are_explained_as_numbers(handles, explained):
    """The exact integral, from the formula: a category passes through unexplained."""
    source, found = explained["numbers of tf.Example"]
    parts = tf.saved_model.load(str(handles["examples"]))
    alphas = (np.arange(2000) + 0.5) / 2000
    values = np.array([[1.5, 0.2, -1.0], [-0.5, 1.0, 0.7]], np.float32)
    for row, kind in enumerate((3, 1)):
        points = tf.constant(alphas[:, None] * values[row], tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(points)
            logits = tf.tanh(points @ parts.slope) + parts.table[kind]
            score = tf.nn.softmax(logits)[:, 1]
        expected = tf.reduce_mean(tape.gradient(score, points), 0) * values[row]
        both = [found["attributions_age"][row], found["attributions_place"][row]]
        np.testing.assert_allclose(np.concatenate(both), expected, atol=5e-4)
    assert [spec.name for spec in source.cut.explained] == ["age", "place"]


def test_rows_do_not_depend_on_each_other_whatever_passes_through(handles):
    explainer = tfgig.Explainer(handles["table"], tfgig.presets.get("guided_ig"))
    together = explainer(TABLE, target=[0, 1, 0])
    alone = explainer({key: value[1:2] for key, value in TABLE.items()}, target=1)
    for key, value in alone.items():
        np.testing.assert_allclose(value[0], together[key][1], rtol=1e-4, atol=1e-6)


def test_inputs_as_a_list_or_by_name(handles):
    explainer = tfgig.Explainer(handles["table"], IG)
    by_name = explainer(TABLE)
    as_list = explainer([TABLE[key] for key in ("category", "more", "numbers")])
    for key, value in by_name.items():
        np.testing.assert_array_equal(as_list[key], value)


def test_predictions_of_several_inputs_are_the_models(handles, tmp_path):
    version = tfgig.export_saved_model(handles["table"], tmp_path / "model", {"ig": IG})
    loaded = tf.saved_model.load(str(version))
    original = tf.saved_model.load(str(handles["saved table"]))
    given = {key: tf.constant(value) for key, value in TABLE.items()}
    (found,) = loaded.signatures["serving_default"](**given).items()
    (expected,) = original.signatures["serving_default"](**given).items()
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])


BAD = {
    "missing": ({"numbers": TABLE["numbers"]}, "inputs are category, more, numbers"),
    "too few": ([TABLE["more"], TABLE["numbers"]], r"needs 3 inputs.*Received: 2"),
    "rows": ({**TABLE, "more": TABLE["more"][:2]}, r"one row per example.*more of 2"),
    "shape": ({**TABLE, "more": TABLE["numbers"]}, r"'more' must have shape \[B, 2, 2\]"),
    "NaN": ({**TABLE, "more": np.full((3, 2, 2), np.nan)}, r"rows 0, 1, 2 of 'more'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_inputs_are_named(handles, name):
    given, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        tfgig.Explainer(handles["table"], IG)(given)


@pytest.mark.parametrize("given", [PIXELS / 255.0, np.array(["a", "b"])])
def test_floats_and_text_are_no_whole_numbers(handles, given):
    with pytest.raises(TypeError, match="'image' must be uint8"):
        tfgig.Explainer(handles["pixels"], IG)(given)


LAYERS = {
    "unknown": ("text", "embeding", r"no layer of this name. Did you mean 'embedding'"),
    "unknown, saved": ("saved text", "embeding", "none of this name. Did you mean 'embedding_1'"),
    "called twice": ("twice", "shared", "without passing through the others"),
    "several outputs": ("twice", "both", "it has 3 outputs"),
    "not on the way": ("twice", "aside", "StopGradient.*does not propagate gradients"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_that_cannot_be_explained(handles, name):
    handle, layer, message = LAYERS[name]
    if handle == "twice":
        first = keras.Input((4,), name="first")
        shared = keras.layers.Dense(4, name="shared")
        values, state, _ = keras.layers.LSTM(4, return_state=True, name="both")(
            shared(shared(first))[:, None]
        )
        aside = keras.layers.Dense(2, name="aside")(first)
        model = keras.Model(first, values + state + 0.0 * keras.ops.stop_gradient(aside)[:, :1])
    else:
        model = handles[handle]
    with pytest.raises(ValueError, match=message):
        tfgig.load_model(model, layer=layer)


def test_ids_are_refused_with_the_layer_to_name(handles):
    with pytest.raises(
        ValueError, match=r"has no float input.*layer='embedding'.*'tokens' \(int32\)"
    ):
        tfgig.load_model(handles["text"])


class TestEncodedImages:
    """A model whose images are decoded for it."""

    @pytest.fixture(scope="class")
    def version(self, handles, tmp_path_factory):
        return tfgig.export_saved_model(
            handles["encoded"], tmp_path_factory.mktemp("encoded"), {"ig": IG}
        )

    def test_its_own_signature_is_unchanged_and_another_takes_files(self, version, handles):
        model = handles["encoded"].model.origin
        loaded = tf.saved_model.load(str(version)).signatures
        images = PIXELS.astype(np.float32)
        (scores,) = loaded["serving_default"](image=tf.constant(images)).values()
        np.testing.assert_array_equal(scores, model.predict(images, verbose=0))
        files = inputs.encoded(*PIXELS)
        (scores,) = loaded["serving_image_bytes"](image_bytes=tf.constant(files)).values()
        np.testing.assert_allclose(scores, model.predict(images, verbose=0), rtol=1e-5)

    def test_what_is_no_image_harms_no_other(self, version):
        (png,) = inputs.encoded(*inputs.pixels(1, (30, 20, 3)))
        jpeg = inputs.encoded(inputs.pixels(1, (40, 60, 3))[0], form="jpeg")[0]
        grey = tf.io.encode_png(inputs.pixels(1, (12, 12, 1))[0]).numpy()
        files = [
            png,
            b"",
            b"no image at all, surely",
            png[:-40],
            jpeg,
            jpeg[: len(jpeg) * 4 // 5],
            grey,
        ]
        batch, clean = np.array(files, object), np.array([png, jpeg], object)
        loaded = tf.saved_model.load(str(version)).signatures
        every, two = (
            loaded["explain_ig"](image_bytes=tf.constant(x), target=tf.fill([len(x)], np.int64(1)))
            for x in (batch, clean)
        )
        assert every["ok"].numpy().tolist() == [True, False, False, False, True, False, True]
        for key, value in two.items():
            np.testing.assert_allclose(every[key].numpy()[[0, 4]], value, rtol=1e-4, atol=1e-6)
        for key, value in every.items():
            assert not value.numpy()[1:4].any() or key == "target"
        drawn = loaded["heatmap_ig"](image_bytes=tf.constant(batch))["heatmap_bytes"].numpy()
        shapes = [tuple(tf.io.decode_png(file).shape) for file in drawn]
        assert shapes[0] == (30, 20, 3)
        assert shapes[4] == (40, 60, 3)

    def test_a_camera_held_sideways_is_no_other_picture(self, version):
        (image,) = inputs.pixels(1, (12, 20, 3))
        exif = Image.Exif()
        exif[0x0112] = 6
        file = io.BytesIO()
        Image.fromarray(np.rot90(image)).save(file, "png", exif=exif)
        lying, standing = file.getvalue(), inputs.encoded(image)[0]
        loaded = tf.saved_model.load(str(version)).signatures
        for name in ("serving_image_bytes", "heatmap_ig"):
            for values in loaded[name](image_bytes=tf.constant([lying, standing])).values():
                np.testing.assert_array_equal(*values.numpy())

    def test_models_of_something_else_are_refused(self, handles):
        with pytest.raises(ValueError, match=r"one image input of fixed size.*numbers: float32"):
            taking_encoded_images(tfgig.load_model(handles["table"]))
        source = tfgig.load_model(handles["saved pixels"])
        unknown = SourceModel(dataclasses.replace(source.model, value_range=None), source.view)
        with pytest.raises(ValueError, match="value range of the input must be known"):
            taking_encoded_images(unknown)
