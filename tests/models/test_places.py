"""Places: the tensors that all of a score comes through."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tfgig.image import Overlay
from tfgig.image.layout import Axis, Layout
from tfgig.models.graphs.places import Place, choose

L = keras.layers


def surveyed(model, output=None, **options):
    source = tfgig.load_model(model, **options)
    return source.view.survey(output)


def convolution(x, filters, name, size=3, **options):
    return L.Conv2D(filters, size, padding="same", activation="relu", name=name, **options)(x)


def residual():
    """A stem, two blocks of which the second is entered by a stride, and a head."""
    image = keras.Input((32, 40, 3), name="image")
    stem = convolution(image, 4, "stem")
    inner = L.Conv2D(4, 3, padding="same", name="one_inner")(stem)
    first = L.ReLU(name="one_out")(L.Add(name="one_add")([stem, inner]))
    wide = convolution(first, 6, "two_wide", 1)
    down = convolution(wide, 8, "two_down", strides=4)
    last = convolution(down, 8, "last")
    features = L.GlobalAveragePooling2D(name="features")(last)
    return keras.Model(image, L.Dense(3, activation="softmax", name="scores")(features))


@pytest.fixture(scope="module")
def model():
    return residual()


def test_what_a_branch_goes_round_is_no_place(model):
    places = {place.name: place for place in surveyed(model).places}
    assert list(places) == [
        "stem", "one_add", "one_out", "two_wide", "two_down", "last", "features", "scores"
    ][:-1]  # fmt: skip
    assert "one_inner" not in places
    assert [places[name].ends for name in ("stem", "one_add", "one_out", "two_wide")] == [
        "layer", "nothing", "block", "layer"
    ]  # fmt: skip


def test_the_end_of_the_last_block_with_enough_positions_is_found(model):
    survey = surveyed(model)
    assert survey.found().name == "one_out"
    assert survey.found(fewest=8).name == "two_down"  # 8 x 10, and no block of that size
    assert survey.found(fewest=1000).name == "one_out"  # as many as there are


def test_the_share_of_the_cost_is_that_of_the_multiplications(model):
    places = {place.name: place for place in surveyed(model).places}
    positions, small = 32 * 40, 8 * 10
    stem, inner = positions * 4 * 27, positions * 4 * 36
    wide, down, last = positions * 24, small * 8 * 54, small * 8 * 72
    whole = stem + inner + wide + down + last
    assert places["one_out"].behind == pytest.approx((wide + down + last) / whole, abs=0.03)
    assert places["last"].behind < 0.01


def test_where_positions_no_longer_meet(model):
    joined = {place.name: place.joined for place in surveyed(model).places}
    assert joined["two_down"]
    assert not joined["last"]


def test_a_saved_model_has_the_same_places(model, tmp_path):
    model.export(tmp_path / "saved", verbose=False)
    ours, saved = surveyed(model), surveyed(tmp_path / "saved")
    ends = [place for place in ours.places if place.ends != "nothing"]
    found = [place for place in saved.places if place.ends != "nothing"]
    assert [p.name for p in found[:4]] == ["stem", "one_out", "two_wide", "two_down"]
    for place, other in zip(ends, found, strict=True):
        assert place.shape == other.shape
        assert place.layout == other.layout
        assert place.behind == pytest.approx(other.behind, abs=0.02)
        again = tfgig.load_model(tmp_path / "saved", layer=other.name)
        assert tuple(again.cut.points.shape[1:]) == other.shape
    assert saved.found().name == "one_out"


@pytest.mark.parametrize(
    ("padding", "size", "expected"),
    [
        ("same", 32, (4.0, 3.0)),  # TensorFlow pads an even size below and to the right only
        ("same", 33, (4.0, 0.0)),  # an odd one on both sides, and then again
        ("valid", 31, (4.0, 3.0)),
    ],
)
def test_centres_are_those_of_the_receptive_fields(padding, size, expected):
    image = keras.Input((size, size, 1), name="image")
    x = L.Conv2D(2, 3, 2, padding, use_bias=False, name="one")(image)
    x = L.Conv2D(2, 3, 2, padding, use_bias=False, name="two")(x)
    x = L.Conv2D(2, 3, padding="same", name="three")(x)
    model = keras.Model(image, L.Dense(2)(L.GlobalMaxPooling2D()(x)))
    place = surveyed(model).of("two")
    assert place.layout.centres == (expected, expected)
    # Against the picture itself: the middle of the pixels that a position depends on.
    layer = keras.Model(image, model.get_layer("two").output)
    with tf.GradientTape() as tape:
        pixels = tf.random.normal([1, size, size, 1])
        tape.watch(pixels)
        one = layer(pixels)[0, 3, 2, 0]
    rows, columns = np.nonzero(tape.gradient(one, pixels)[0, :, :, 0].numpy())
    stride, offset = expected
    assert (rows.min() + rows.max()) / 2 == offset + 3 * stride
    assert (columns.min() + columns.max()) / 2 == offset + 2 * stride


def transformer():
    image = keras.Input((32, 48, 3), name="image")
    patches = L.Conv2D(8, 4, 4, name="patches")(image)  # 8 x 12
    tokens = L.Reshape((96, 8), name="tokens")(patches)
    first = ClassToken(name="class_token")(tokens)
    for index in range(2):
        inner = L.LayerNormalization(name=f"norm_{index}")(first)
        inner = L.MultiHeadAttention(2, 4, name=f"attention_{index}")(inner, inner)
        middle = L.Add(name=f"between_{index}")([first, inner])
        inner = L.Dense(8, activation="gelu", name=f"dense_{index}")(middle)
        first = L.Add(name=f"block_{index}")([middle, inner])
    head = L.Lambda(lambda x: x[:, 0], output_shape=(8,))(first)
    return keras.Model(image, L.Dense(3, activation="softmax", name="scores")(head))


class ClassToken(L.Layer):
    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), name="token")

    def call(self, x):
        token = tf.tile(self.token, [tf.shape(x)[0], 1, 1])
        return tf.concat([token, x], 1)


def test_tokens_are_a_grid_and_the_class_token_apart():
    survey = surveyed(transformer())
    found = survey.found()
    # Behind the last block no tokens meet, and behind its attention none either.
    assert (found.name, found.shape) == ("block_0", (97, 8))
    assert (found.layout.grid, found.layout.skipped) == ((8, 12), 1)
    assert found.layout.centres == ((4.0, 1.5), (4.0, 1.5))
    assert "dense_0" not in [place.name for place in survey.places]


def test_a_heat_map_of_a_transformer_is_that_of_its_tokens_but_the_first(tmp_path):
    source = tfgig.load_model(transformer(), value_range=(0, 1))
    recipe = tfgig.At(None, tfgig.PathIntegral(steps=4))
    image = np.random.default_rng(0).uniform(0, 1, (1, 32, 48, 3)).astype(np.float32)
    explainer = tfgig.Explainer(source, recipe)
    found = explainer(image)
    assert found["attributions"].shape == (1, 97, 8)
    change = found["score"] - found["baseline_score"]
    np.testing.assert_allclose(tf.reduce_sum(found["attributions"]), change + found["delta"], 1e-4)
    endpoint = tfgig.Endpoint("heatmap", recipe, kind="heatmap")
    directory = tfgig.export_saved_model(source, tmp_path / "vit", [endpoint])
    loaded = tf.saved_model.load(str(directory))
    (file,) = loaded.signatures["heatmap"](image=tf.constant(image))["heatmap_bytes"].numpy()
    strengths = tf.nn.relu(found["attributions"].numpy()[:, 1:]).numpy().sum(-1)
    grid = tf.constant(strengths.reshape(1, 8, 12, 1))
    over = Layout((8, 12), (32, 48), 0, (Axis(4.0, 1.5), Axis(4.0, 1.5))).laid_over(
        grid, tf.constant([32, 48])
    )
    expected = Overlay().draw(tf.constant(image), over, (0, 1)).numpy()[0]
    assert np.abs(tf.io.decode_png(file).numpy().astype(int) - expected).max() <= 1


def test_a_text_is_explained_at_its_embedding():
    ids = keras.Input((20,), dtype="int32", name="ids")
    words = L.Embedding(30, 4, mask_zero=True, name="embedding")(ids)
    hidden = L.LSTM(5, return_sequences=True, name="first")(words)
    model = keras.Model(ids, L.Dense(2)(L.LSTM(3, name="second")(hidden)))
    # Of ids there is no gradient, so the model is loaded at some layer; the mask goes round it.
    survey = surveyed(model, layer="first")
    assert [place.name for place in survey.places][:2] == ["embedding", "first"]
    assert survey.found().name == "embedding"


def test_a_series_is_explained_at_the_last_place_with_enough_positions():
    series = keras.Input((48, 3), name="series")
    x = L.Conv1D(4, 5, strides=2, padding="same", activation="relu", name="half")(series)
    x = L.Conv1D(4, 5, strides=2, padding="same", activation="relu", name="quarter")(x)
    x = L.Conv1D(4, 5, strides=2, padding="same", activation="relu", name="eighth")(x)
    x = L.Conv1D(4, 3, padding="same", name="last")(x)
    model = keras.Model(series, L.Dense(2)(L.GlobalAveragePooling1D()(x)))
    survey = surveyed(model)
    assert survey.found().name == "quarter"
    assert survey.found().positions == 12
    assert survey.found().layout is None


def test_places_belong_to_an_output():
    image = keras.Input((16, 16, 3), name="image")
    shared = convolution(image, 4, "shared")
    heads = {
        name: L.Dense(2)(L.GlobalAveragePooling2D()(convolution(shared, 4, f"{name}_layer")))
        for name in ("one", "two")
    }
    model = keras.Model(image, heads)
    assert [p.name for p in surveyed(model, "two").places][:2] == ["shared", "two_layer"]
    assert "two_layer" not in [p.name for p in surveyed(model, "one").places]


def test_a_gate_of_one_tensor_is_no_block():
    image = keras.Input((16, 16, 3), name="image")
    x = L.Conv2D(4, 3, activation="swish", name="gated")(image)
    x = L.Conv2D(4, 3, name="last")(x)
    survey = surveyed(keras.Model(image, L.Dense(2)(L.GlobalAveragePooling2D()(x))))
    assert {p.name: p.ends for p in survey.places}["gated"] == "layer"


def test_rows_that_are_not_the_batch_are_no_place():
    inputs = keras.Input((3, 4))
    rows = L.Dense(5, name="rows")(keras.ops.reshape(inputs, (-1, 4)))
    whole = L.Dense(6, name="whole")(keras.ops.reshape(rows, (-1, 15)))
    names = [p.name for p in surveyed(keras.Model(inputs, L.Dense(2)(whole))).places]
    assert "rows" not in names
    assert "whole" in names


def test_what_is_not_there_is_said(model):
    survey = surveyed(model)
    with pytest.raises(ValueError, match=r"bypasses.*Places: stem, one_out, .*'one_inner'"):
        survey.of("one_inner")
    flat = keras.Input((4,), name="numbers")
    table = keras.Model(flat, L.Dense(2)(L.Dense(3, name="hidden")(flat)))
    with pytest.raises(ValueError, match=r"no layer with positions.*'hidden'"):
        surveyed(table).found()


def test_what_is_padded_is_not_preferred_to_the_block_in_front_of_it():
    """As in Keras's MobileNetV2, whose blocks pad themselves before a stride."""
    image = keras.Input((48, 48, 3), name="image")
    stem = convolution(image, 4, "stem", strides=2)
    first = L.Add(name="one_add")([stem, convolution(stem, 4, "one")])
    padded = L.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(convolution(first, 8, "wide", 1))
    last = L.Conv2D(8, 3, 2, activation="relu", name="down")(padded)
    last = convolution(last, 8, "last")
    features = L.GlobalAveragePooling2D(name="features")(last)
    survey = surveyed(keras.Model(image, L.Dense(3, activation="softmax")(features)))
    assert survey.of("pad").ends == "nothing"
    assert survey.found(20).name == "one_add"


def test_of_images_of_any_size_it_is_said_how_to_say_the_size():
    image = keras.Input((None, None, 3), name="image")
    features = L.GlobalAveragePooling2D()(convolution(image, 4, "one"))
    model = keras.Model(image, L.Dense(3, activation="softmax")(features))
    with pytest.raises(ValueError, match=r"shape=\(224, 224, 3\)"):
        surveyed(model).scales()
    assert [p.name for p in surveyed(model, shape=(24, 24, 3)).scales()] == ["one"]


def test_of_no_block_the_last_layer_is_chosen():
    def place(name, side, ends="layer", joined=True):
        return Place(name, (side, side, 4), None, 0.5, joined, ends)

    chain = [place("a", 28), place("b", 14), place("c", 14, "nothing"), place("d", 7)]
    assert choose(chain).name == "b"
    assert choose([place("a", 56, "block"), *chain]).name == "b"  # not of its size
    assert choose([*chain[:2], place("e", 14, joined=False)]).name == "b"
    assert choose([place("a", 14, joined=False)]).name == "a"


@keras.saving.register_keras_serializable(package="test_places")
class Rounding(L.Layer):
    """Rounds: no gradient comes through."""

    def call(self, x):
        return tf.round(x)


def rounding():
    image = keras.Input((16, 16, 3), name="image")
    front = convolution(image, 4, "front")
    back = convolution(Rounding(name="rounded")(front), 4, "back")
    features = L.GlobalAveragePooling2D(name="features")(convolution(back, 4, "last"))
    aside = L.Dense(2, name="aside")(L.GlobalAveragePooling2D()(front))
    scores = L.Dense(3, name="scores")(features)
    return keras.Model(image, {"scores": scores, "count": keras.ops.cast(aside, "int32")})


@pytest.mark.parametrize("saved", [False, True])
def test_in_front_of_an_operation_without_a_gradient_the_places_behind_it_are_named(
    saved, tmp_path
):
    model = rounding()
    if saved:
        model.export(tmp_path / "model", verbose=False)
        model = str(tmp_path / "model")
    words = r"does not propagate gradients.*Places: .*back.*features"
    for layer in (None,) if saved else (None, "front", "aside"):
        with pytest.raises(ValueError, match="(?s)" + (words if layer != "aside" else "Places: ")):
            tfgig.load_model(model, layer=layer)
    assert tfgig.load_model(model, layer="back").view.layer == "back"
