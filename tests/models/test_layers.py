"""Layers in the place of inputs, in models of the kinds that people have."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.cases import deviation
from tfgig.methods import At, GradCAM

IG = tfgig.PathIntegral(steps=8)
IDS = np.random.default_rng(5).integers(1, 20, (2, 6)).astype(np.int32)
IDS[:, 4:] = 0
IMAGES = np.random.default_rng(6).uniform(0, 1, (2, 10, 12, 3)).astype(np.float32)
L = keras.layers


def explained(model, inputs, **options):
    return {k: v.numpy() for k, v in tfgig.Explainer(model, IG, **options)(inputs).items()}


def test_a_saved_layer_is_the_one_of_that_name(tmp_path):
    """Keras saves `dense` as the scope `dense_1`, and `dense_1` as `dense_1_2`."""
    inputs = keras.Input((4,))
    hidden = L.Dense(6, activation="tanh", name="dense_1")(L.Dense(5, name="dense")(inputs))
    model = keras.Model(inputs, L.Dense(2, name="scores")(hidden))
    model.export(tmp_path / "saved", verbose=False)
    assert tfgig.load_model(model, layer="dense_1").cut.points.shape.as_list() == [None, 6]
    assert tfgig.load_model(tmp_path / "saved", layer="dense").cut.points.shape.as_list() == [
        None,
        5,
    ]
    with pytest.raises(
        ValueError, match=r"Several scopes.*/dense_1, .*/dense_1_2\. Give the full name of one"
    ):
        tfgig.load_model(tmp_path / "saved", layer="dense_1")


def test_the_mask_of_a_nested_model_goes_on():
    ids = keras.Input((6,), dtype="int32")
    encoder = keras.Model(ids, L.Embedding(20, 4, mask_zero=True, name="look_up")(ids), name="enc")
    outer = keras.Input((6,), dtype="int32", name="ids")
    model = keras.Model(outer, L.Dense(2, activation="softmax")(L.LSTM(3)(encoder(outer))))
    whole, inner = (explained(model, IDS, layer=name) for name in ("enc", "enc/look_up"))
    top = model.predict(IDS, verbose=0).max(1)
    np.testing.assert_allclose(whole["score"], top, rtol=1e-5)
    assert deviation(whole["attributions"], inner["attributions"]) < 1e-5
    np.testing.assert_array_equal(whole["attributions"][IDS == 0], 0)


def test_names_that_nested_models_share():
    def tower(name):
        inputs = keras.Input((3,))
        return keras.Model(inputs, L.Dense(4, name="hidden")(inputs), name=name)

    inputs = keras.Input((3,))
    both = L.Add()([tower("left")(inputs), tower("right")(inputs)])
    model = keras.Model(inputs, L.Dense(2, name="scores")(both))
    with pytest.raises(ValueError, match=r"Several inner layers.*left/hidden, right/hidden"):
        tfgig.load_model(model, layer="hidden")
    assert tfgig.load_model(model, layer="left/hidden").cut.points.name == "hidden"


def convolutions(size=(10, 12), name="net"):
    image = keras.Input((*size, 3))
    hidden = L.Conv2D(4, 3, activation="tanh", name="early")(image)
    hidden = L.Conv2D(5, 3, activation="tanh", name="late")(hidden)
    scores = L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(hidden))
    return keras.Model(image, scores, name=name)


def test_grad_cam_looks_into_a_nested_model():
    net = convolutions()
    image = keras.Input((10, 12, 3), name="image")
    wrapped = keras.Model(image, net(L.Rescaling(2.0)(image)))
    found = tfgig.Explainer(wrapped, "grad_cam")(IMAGES)["attributions"]
    expected = tfgig.Explainer(net, At("late", GradCAM()))(2 * IMAGES)["attributions"]
    assert deviation(found, expected) < 1e-5


def test_grad_cam_of_one_of_two_heads_and_of_images_of_any_size():
    image = keras.Input((None, None, 3), name="image")
    hidden = L.Conv2D(4, 3, activation="tanh", name="shared")(L.Conv2D(3, 3)(image))
    outputs = {
        "classes": L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(hidden)),
        "mask": L.Conv2D(1, 3, name="mask")(L.UpSampling2D(name="up")(hidden)),
    }
    model = keras.Model(image, outputs)
    target = tfgig.targets.ClassScore(output_name="classes")
    found, expected = (
        tfgig.Explainer(model, method, target)(IMAGES)["attributions"]
        for method in (GradCAM(), At("shared", GradCAM()))
    )
    assert np.abs(expected).max() > 0
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="does not depend on 'up'"):
        tfgig.Explainer(model, IG, target, layer="up")


def test_grad_cam_of_encoded_images_looks_at_the_same_layer():
    net = convolutions()
    source = tfgig.models.taking_encoded_images(tfgig.load_model(net, value_range=(0, 255)))
    pixels = np.random.default_rng(7).integers(0, 256, (2, 10, 12, 3)).astype(np.uint8)
    files = np.array([tf.io.encode_png(image).numpy() for image in pixels], object)
    found = tfgig.Explainer(source, "grad_cam")(files)["attributions"]
    expected = tfgig.Explainer(net, "grad_cam")(pixels.astype(np.float32))["attributions"]
    assert deviation(found, expected) < 1e-5


def test_two_names_for_one_layer_are_an_error(tmp_path):
    endpoint = tfgig.Endpoint("maps", At("early", GradCAM()), layer="late")
    with pytest.raises(ValueError, match="name different layers"):
        tfgig.export_saved_model(convolutions(), tmp_path / "model", [endpoint])


def test_an_explainer_of_a_source_keeps_its_layer_in_a_file(tmp_path):
    source = tfgig.load_model(convolutions(), layer="late")
    inputs = keras.Input((10, 12, 3))
    model = keras.Model(inputs, tfgig.Explainer(source, IG)(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    found, expected = (m.predict(IMAGES, verbose=0)["attributions"] for m in (again, model))
    assert expected.shape == (2, 6, 8, 5)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_keras_2_looks_its_ids_up_beside_their_table(tmp_path):
    """`tf.nn.embedding_lookup` colocates what it looks up with the variable's placeholder."""
    import tf_keras

    ids = tf_keras.Input((6,), dtype="int32", name="ids")
    numbers = tf_keras.Input((2,), name="numbers")
    words = tf_keras.layers.Embedding(20, 4, mask_zero=True, name="embedding")(ids)
    text = tf_keras.layers.GlobalAveragePooling1D()(words)
    hidden = tf_keras.layers.Concatenate()([text, numbers])
    outputs = tf_keras.layers.Dense(2, activation="softmax")(hidden)
    model = tf_keras.Model([ids, numbers], outputs)
    model.save(tmp_path / "saved")
    random = np.random.default_rng(8)
    given = {"ids": IDS, "numbers": random.normal(size=(2, 2)).astype(np.float32)}
    expected = model.predict([given["ids"], given["numbers"]], verbose=0).max(1)
    for layer, shapes in (
        ("embedding", {"attributions": (2, 6, 4)}),
        ("numbers", {"attributions": (2, 2)}),
        (None, {"attributions_ids": (2, 6, 4), "attributions_numbers": (2, 2)}),
    ):
        found = explained(tfgig.load_model(tmp_path / "saved", layer=layer), given)
        np.testing.assert_allclose(found["score"], expected, rtol=1e-5)
        assert {k: v.shape for k, v in found.items() if k.startswith("attr")} == shapes
        assert np.abs(found["delta"]).max() < 1e-2


def test_several_outputs_of_one_layer():
    first, second = keras.Input((3,), name="first"), keras.Input((3,), name="second")
    shared = L.Dense(2, name="shared")
    model = keras.Model([first, second], [shared(first), shared(second)])
    target = tfgig.targets.ClassScore(output_name="output_1")
    values = np.ones((1, 3), np.float32)
    found = tfgig.Explainer(model, "gradient", target)([values, values], target=0)
    assert not found["attributions_first"].numpy().any()
    assert found["attributions_second"].numpy().all()


def not_batched():
    inputs = keras.Input((3, 4))
    rows = L.Dense(5, name="rows")(keras.ops.reshape(inputs, (-1, 4)))
    return keras.Model(inputs, L.Dense(2)(keras.ops.reshape(rows, (-1, 15))))


def with_state():
    inputs = keras.Input(batch_shape=(2, 5, 3))
    return keras.Model(inputs, L.Dense(2)(L.LSTM(3, stateful=True)(inputs)))


def sparse():
    inputs = keras.Input((4,), sparse=True, name="words")
    return keras.Model(inputs, L.Dense(2)(inputs))


def masked():
    values, length = (
        keras.Input((4, 2), name="values"),
        keras.Input((), dtype="int32", name="length"),
    )
    mask = keras.ops.cast(keras.ops.less(keras.ops.arange(4), length[:, None]), "float32")
    pooled = keras.ops.sum(values * mask[..., None], 1)
    return keras.Model([values, length], L.Dense(2)(pooled))


def ids():
    inputs = keras.Input((4,), dtype="int32", name="ids")
    return keras.Model(inputs, L.Dense(2)(L.Flatten()(L.Embedding(5, 2, name="look")(inputs))))


@pytest.mark.parametrize(
    ("make", "layer", "message"),
    [
        (not_batched, "rows", "but this layer does not"),
        (with_state, None, "stateful layer.*stateful=False"),
        (sparse, None, "Sparse and ragged inputs cannot be explained.*'words'"),
        (masked, "length", "An input without a gradient.*layer behind it"),
        (ids, ("ids", "look"), "without passing through the others; 'ids' reaches"),
        (ids, ("look", "look"), "has a duplicate"),
    ],
)
def test_what_cannot_be_explained_is_said(make, layer, message):
    with pytest.raises(ValueError, match=message):
        tfgig.load_model(make(), layer=layer)


def test_whole_numbers_do_not_wrap():
    inputs = keras.Input((4,), dtype="uint8", name="pixels")
    model = keras.Model(inputs, L.Dense(2)(L.Rescaling(1 / 255)(inputs)))
    with pytest.raises(ValueError, match=r"from 0 to 255.*Received: numbers from 0 to 300"):
        tfgig.Explainer(model, IG)(np.array([[0, 1, 2, 300]]))


@pytest.mark.parametrize("names", [["class"], ["self"], ["Age", "age"]])
def test_names_that_no_signature_can_have(tmp_path, names):
    inputs = [keras.Input((2,), name=name) for name in names]
    outputs = L.Dense(2)(L.Concatenate()(inputs) if len(inputs) > 1 else inputs[0])
    model = keras.Model(inputs, outputs)
    with pytest.raises(ValueError, match="rename the model's"):
        tfgig.export_saved_model(model, tmp_path / "model", {"ig": IG})


def test_an_animation_is_its_first_frame():
    import io

    from PIL import Image

    frames = [Image.new("RGB", (12, 10), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    still = tf.io.encode_png(np.array(frames[0])).numpy()
    for channels in (1, 3):
        image = keras.Input((10, 12, channels), name="image")
        scores = L.Dense(2)(L.Flatten()(L.Rescaling(1 / 255)(image)))
        source = tfgig.models.taking_encoded_images(tfgig.load_model(keras.Model(image, scores)))
        found = explained(source, np.array([file.getvalue(), still], object))
        assert found["ok"].all()
        np.testing.assert_allclose(*found["attributions"], atol=1e-3)
