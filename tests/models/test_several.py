"""All that a model takes, explained at once: categories at their embeddings, beside numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tfgig.exported.description import read_description
from tfgig.methods import At
from tfgig.models.inspection import inspect_model
from tfgig.serving import Client, LocalServer, ServerOptions, SessionModel
from tfgig.serving.deployment.contract import check_contract

L = keras.layers
IG = tfgig.PathIntegral(steps=100)
PATHS = ("guided_ig", "guided_ig_anchored", "ig_idgi")
CITIES, JOBS = ("Bern", "Lyon", "Oslo", "Rome"), 5


def rows(count, seed=0):
    random = np.random.default_rng(seed)
    return {
        "city": random.choice(CITIES, (count, 1)).astype(object),
        "job": random.integers(0, JOBS, (count, 1)).astype(np.int32),
        "numbers": random.normal(size=(count, 3)).astype(np.float32),
    }


def labels(given):
    """What a model can learn: some cities and jobs go with a label, and so does a number."""
    city = np.isin(given["city"][:, 0], ("Oslo", "Rome"))
    job = given["job"][:, 0] % 2
    return (city + job + given["numbers"][:, 0] > 1).astype(np.int32)


def table_model():
    city = keras.Input((1,), dtype="string", name="city")
    job = keras.Input((1,), dtype="int32", name="job")
    numbers = keras.Input((3,), name="numbers")
    ids = L.StringLookup(vocabulary=CITIES)(city)
    known = L.Flatten()(L.Embedding(len(CITIES) + 1, 3, name="city_emb")(ids))
    work = L.Flatten()(L.Embedding(JOBS, 2, name="job_emb")(job))
    hidden = L.Concatenate()([known, work, L.Identity(name="nums")(numbers)])
    hidden = L.Dense(8, activation="tanh", name="hidden")(hidden)
    scores = L.Dense(2, activation="softmax", name="scores")(hidden)
    return keras.Model({"city": city, "job": job, "numbers": numbers}, scores, name="table")


def as_tensors(given):
    return {key: tf.constant(value) for key, value in given.items()}


@pytest.fixture(scope="module")
def model():
    """Trained in seconds."""
    keras.utils.set_random_seed(1)
    model, given = table_model(), rows(1500)
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(0.03), loss, metrics=["accuracy"])
    model.fit(as_tensors(given), labels(given), 100, 4, verbose=0)
    assert model.evaluate(as_tensors(rows(300, 1)), labels(rows(300, 1)), verbose=0)[1] > 0.9
    return model


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved")
    model.export(path, verbose=False)
    return path


@pytest.fixture(scope="module")
def version(model, tmp_path_factory):
    return tfgig.export_saved_model(model, tmp_path_factory.mktemp("export") / "table", {"ig": IG})


NAMES = {
    None: ("city", "job", "numbers"),
    ("city_emb", "job_emb", "numbers"): ("city_emb", "job_emb", "numbers"),
    ("city", "job_emb", "nums"): ("city", "job_emb", "nums"),
}


@pytest.mark.parametrize("layer", NAMES)
def test_each_has_attributions_of_its_name_and_all_add_up(model, saved, layer):
    given = rows(4, 2)
    found = tfgig.Explainer(model, IG, layer=layer)(as_tensors(given))
    shapes = dict(zip(NAMES[layer], ((1, 3), (1, 2), (3,)), strict=True))
    for name, shape in shapes.items():
        assert found[f"attributions_{name}"].shape == (4, *shape)
        assert np.abs(found[f"attributions_{name}"]).max() > 0
    change = np.abs(found["score"] - found["baseline_score"])
    assert (np.abs(found["delta"]) < 0.01 * np.maximum(change, 0.1)).all()
    if layer is not None and "nums" in layer:
        layer = (*layer[:2], "numbers")  # what hands its input on has no operation of its own
    again = tfgig.Explainer(tfgig.load_model(saved, layer=layer), IG)(as_tensors(given))
    for name in shapes:
        twin = "numbers" if name == "nums" else name
        np.testing.assert_allclose(
            again[f"attributions_{twin}"], found[f"attributions_{name}"], atol=2e-6
        )


def test_the_integral_is_that_of_the_model_behind_the_embeddings(model):
    """Written out: the straight line from zeros, the embeddings and numbers side by side."""
    given = rows(2, 3)
    found = tfgig.Explainer(model, IG)(as_tensors(given), target=1)
    (lookup,) = [it for it in model.layers if isinstance(it, keras.layers.StringLookup)]
    city = model.get_layer("city_emb")(lookup(tf.constant(given["city"])))[:, 0]
    job = model.get_layer("job_emb")(given["job"])[:, 0]
    whole = tf.concat([city, job, given["numbers"]], 1)
    expected = 0.0
    for alpha in (np.arange(400) + 0.5) / 400:
        point = tf.Variable(np.float32(alpha) * whole)
        with tf.GradientTape() as tape:
            score = model.get_layer("scores")(model.get_layer("hidden")(point))[:, 1]
        expected += tape.gradient(score, point) * whole / 400
    for name, part in zip(NAMES[None], tf.split(expected, [3, 2, 3], 1), strict=True):
        flat = tf.reshape(found[f"attributions_{name}"], part.shape)
        np.testing.assert_allclose(flat, part, atol=2e-4)


@pytest.mark.parametrize("method", PATHS)
def test_every_path_method(model, method):
    both, alone = rows(2, 4), {key: value[1:] for key, value in rows(2, 4).items()}
    explainer = tfgig.Explainer(model, method)
    together, one = explainer(as_tensors(both)), explainer(as_tensors(alone))
    for name, value in one.items():
        np.testing.assert_allclose(value[0], together[name][1], atol=1e-5)


def test_an_export_names_every_feature(version):
    assert check_contract(version) == []
    endpoint = read_description(version).endpoints["features_ig"]
    assert endpoint.columns == ("city", "job", "numbers_0", "numbers_1", "numbers_2")
    assert endpoint.left_out == ()
    assert [tensor.name for tensor in endpoint.explained] == ["city", "job", "numbers"]
    with SessionModel(version) as served:
        given = {**rows(3, 5), "target": [1, 0, 1]}
        found, whole = served.run("features_ig", **given), served.run("explain_ig", **given)
    assert found["features"].shape == (3, 5)
    np.testing.assert_allclose(
        found["features"][:, 0], whole["attributions_city"].sum((1, 2)), rtol=1e-5
    )
    np.testing.assert_allclose(found["features"][:, 2:], whole["attributions_numbers"], rtol=1e-5)
    change = found["score"] - found["baseline_score"]
    gap = found["features"].sum(1) - change
    assert (np.abs(gap) < 0.01 * np.maximum(np.abs(change), 0.1)).all()


def test_a_client_gets_every_feature(version):
    options = ServerOptions(port=0, rest_port=0)
    given = rows(2, 6)
    with LocalServer(version.parent, options) as server:
        with Client(server.grpc_address, server.name) as client:
            found = client.explain(given, "ig", target=[0, 1], kind="features")
        with Client(server.rest_address, server.name) as client:
            again = client.explain(given, "ig", target=[0, 1], kind="features")
    assert found["features"].shape == (2, 5)
    np.testing.assert_allclose(again["features"], found["features"], rtol=1e-5)


def test_what_is_not_explained_is_told(model, saved, tmp_path):
    source = tfgig.load_model(model, layer=("numbers", "city_emb"))
    assert source.cut.left_out == ("job",)
    version = tfgig.export_saved_model(source, tmp_path / "model", {"g": tfgig.methods.Gradient()})
    assert read_description(version).endpoints["explain_g"].left_out == ("job",)
    report = inspect_model(str(saved)).signatures["serving_default"]
    assert report.explained == ("city", "job", "numbers")
    assert report.left_out == ()


def test_a_text_of_open_length_beside_numbers_is_left_out_aloud():
    ids = keras.Input((None,), dtype="int32", name="ids")
    numbers = keras.Input((2,), name="numbers")
    text = L.GlobalAveragePooling1D()(L.Embedding(20, 4, name="words")(ids))
    scores = L.Dense(2, activation="softmax")(L.Concatenate()([text, numbers]))
    model = keras.Model([ids, numbers], scores)
    with pytest.warns(UserWarning, match=r"also depends on ids, which is not explained.*open size"):
        source = tfgig.load_model(model)
    assert [spec.name for spec in source.cut.explained] == ["numbers"]


def one_hot():
    """Categories alone: one-hot, multi-hot, and an age in buckets."""
    job = keras.Input((1,), dtype="int32", name="job")
    age = keras.Input((1,), name="age")
    ways = [
        L.CategoryEncoding(JOBS, output_mode="one_hot", name="job_hot")(job),
        L.Flatten()(L.Embedding(JOBS, 2, name="job_emb")(job)),
        L.Flatten()(L.Embedding(4, 2, name="age_emb")(L.Discretization([1.0, 2.0, 3.0])(age))),
    ]
    return keras.Model([job, age], L.Dense(2, activation="softmax")(L.Concatenate()(ways)))


def test_one_column_that_is_looked_up_twice_is_one_feature(tmp_path):
    version = tfgig.export_saved_model(one_hot(), tmp_path / "model", {"ig": IG}, warmup=())
    endpoint = read_description(version).endpoints["features_ig"]
    assert set(endpoint.columns) == {"job", "age"}
    assert len(endpoint.explained) == 3
    given = {"job": np.array([[1], [4]], np.int32), "age": np.array([[0.5], [2.5]], np.float32)}
    with SessionModel(version) as served:
        found = served.run("features_ig", **given, target=[1, 1])
    assert (np.abs(found["features"]) > 0).all()
    gap = found["features"].sum(1) - (found["score"] - found["baseline_score"])
    np.testing.assert_allclose(gap, 0, atol=1e-3)


def test_a_method_has_several_places(model, tmp_path):
    method = At(("job_emb", "numbers"), IG)
    assert tfgig.spec.from_config(tfgig.spec.to_config(method)) == method
    version = tfgig.export_saved_model(model, tmp_path / "model", {"two": method}, warmup=())
    described = read_description(version).endpoints["explain_two"]
    assert described.left_out == ("city",)
    with SessionModel(version) as served:
        outputs = served.signatures["explain_two"].outputs
    assert {"attributions_job_emb", "attributions_numbers"} <= set(outputs)


def test_part_of_the_score_may_not_go_round(model):
    numbers = keras.Input((3,), name="numbers")
    other = keras.Input((2,), name="other")
    left, right = L.Dense(2, name="left")(numbers), L.Dense(2, name="right")(other)
    around = L.Concatenate()([left, right, L.Dense(2, name="wide")(numbers)])
    wide = keras.Model([numbers, other], L.Dense(2)(around))
    with pytest.raises(ValueError, match=r"bypasses these layers.*'left', 'right'"):
        tfgig.Explainer(wide, IG, layer=("left", "right"))
    assert tfgig.Explainer(wide, IG, layer=("left", "right", "wide"))


def test_a_picture_beside_a_category_is_drawn(tmp_path):
    image, kind = (
        keras.Input((8, 8, 3), name="image"),
        keras.Input((1,), dtype="int32", name="kind"),
    )
    seen = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, name="seen")(L.Rescaling(1 / 255)(image)))
    known = L.Flatten()(L.Embedding(4, 2, name="known")(kind))
    scores = L.Dense(2, activation="softmax")(L.Concatenate()([seen, known]))
    model = keras.Model([image, kind], scores)
    methods = {"g": tfgig.methods.Gradient(), "both": At(("known", "image"), IG), "cam": "grad_cam"}
    version = tfgig.export_saved_model(model, tmp_path / "model", methods, warmup=())
    given = {
        "image": np.random.default_rng(7).uniform(0, 255, (1, 8, 8, 3)).astype(np.float32),
        "kind": np.array([[2]], np.int32),
    }
    with SessionModel(version) as served:
        for method in methods:
            (file,) = served.run(f"heatmap_{method}", **given)["heatmap_bytes"]
            assert tf.io.decode_png(file).shape == (8, 8, 3)
        found = served.run("explain_both", **given, target=[1])
        assert served.run("explain_cam", **given, target=[1])["attributions"].shape == (1, 8, 8, 3)
    assert found["attributions_known"].shape == (1, 1, 2)
    assert found["attributions_image"].shape == (1, 8, 8, 3)
