import gc
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.cases import CLASSES, SHAPE, all_methods, image_model, images, run_python
from tfgig.export import saved_model
from tfgig.exported.description import read_description
from tfgig.methods import Gradient
from tfgig.serving import SessionModel
from tfgig.targets import ClassScore

GRADIENT = tfgig.Endpoint("explain_gradient", Gradient())
IG = tfgig.PathIntegral(steps=4)


def vector_model(last="softmax", name="image", classes=3):
    inputs = keras.Input((5,), name=name)
    return keras.Model(inputs, keras.layers.Dense(classes, activation=last)(inputs), name="small")


def vectors(count=3):
    return np.random.default_rng(0).normal(size=(count, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An export, and what its model answered before it was deleted."""
    model = image_model()
    answers = tf.function(model)(images(4), training=False).numpy()
    directory = tfgig.export_saved_model(
        model, tmp_path_factory.mktemp("export") / "model", ["gradient"]
    )
    weights = [weight.numpy() for weight in model.weights]
    del model  # an export lives without it
    gc.collect()
    return directory, answers, weights


# What is written


def test_what_lies_in_a_version(exported):
    directory, _, _ = exported
    assert directory.name == "1"
    assert {path.name for path in directory.iterdir()} >= {
        "saved_model.pb",
        "variables",
        "assets.extra",
    }
    description = json.loads((directory / "assets.extra" / "tfgig.json").read_text())
    assert set(description["endpoints"]) == {"explain_gradient", "heatmap_gradient"}


def test_predictions_are_the_models_bit_for_bit(exported):
    directory, answers, _ = exported
    loaded = tf.saved_model.load(str(directory))
    found = loaded.signatures["serving_default"](image=tf.constant(images(4)))
    np.testing.assert_array_equal(found["output_0"], answers)
    np.testing.assert_array_equal(loaded.serve(images(4))["output_0"], answers)
    with SessionModel(directory) as model:
        served = model.run("serving_default", image=images(4))["output_0"]
        np.testing.assert_array_equal(served, answers)


def test_every_weight_is_stored_once(exported):
    directory, _, weights = exported
    reader = tf.train.load_checkpoint(str(directory / "variables" / "variables"))
    stored = [
        reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if not name.startswith("_CHECKPOINTABLE")
    ]
    assert sorted(value.shape for value in stored) == sorted(value.shape for value in weights)
    size = (directory / "variables" / "variables.data-00000-of-00001").stat().st_size
    assert size < 1.1 * sum(value.nbytes for value in weights) + 4096  # and the object graph


@pytest.mark.parametrize("structure", ["single", "list", "dict"])
def test_names_are_those_of_the_models_own_export(tmp_path, structure):
    model = vector_model()
    other = keras.layers.Dense(2, name="zebra")(model.inputs[0])
    outputs = {
        "single": model.output,
        "list": [other, model.output],
        "dict": {"zebra": other, "ape": model.output},
    }[structure]
    model = keras.Model(model.inputs, outputs)
    model.export(tmp_path / "own", verbose=False)
    own = tf.saved_model.load(str(tmp_path / "own")).signatures["serving_default"]
    target = ClassScore(output_name=None if structure == "single" else "zebra")
    endpoint = tfgig.Endpoint("explain_gradient", Gradient(), target)
    directory = tfgig.export_saved_model(model, tmp_path / "ours", [endpoint])
    loaded = tf.saved_model.load(str(directory))
    ours = loaded.signatures["serving_default"]
    assert ours.structured_input_signature == own.structured_input_signature
    inputs = tf.constant(vectors())
    expected, found = own(image=inputs), ours(image=inputs)
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    score = loaded.signatures["explain_gradient"](
        image=inputs, target=tf.constant([1, 1, 1], tf.int64)
    )["score"]
    zebra = {"single": "output_0", "list": "output_0", "dict": "zebra"}[structure]
    np.testing.assert_allclose(score, expected[zebra][:, 1], rtol=1e-6)


class Traced(keras.layers.Layer):
    """Notes how often its Python runs."""

    calls = 0

    def call(self, inputs):
        Traced.calls += 1
        return inputs * 1.0


def test_the_models_python_runs_as_often_for_one_method_as_for_many(tmp_path):
    """Once to find the weights, and once more within TensorFlow's own saving."""
    inputs = keras.Input(SHAPE, name="image")
    model = keras.Model(inputs, image_model()(Traced()(inputs)))
    endpoints = [tfgig.Endpoint(f"explain_{n}", m) for n, m in list(all_methods().items())[:3]]
    for count in (1, 3):
        Traced.calls = 0
        source = tfgig.load_model(model, value_range=(0, 255))
        tfgig.export_saved_model(source, tmp_path / "model", endpoints[:count])
        assert Traced.calls <= 2


def test_keras_calls_an_endpoint_as_a_layer(exported):
    directory, _, _ = exported
    layer = keras.layers.TFSMLayer(str(directory), call_endpoint="explain_gradient")
    found = layer(images(2))
    expected = tfgig.Explainer(image_model(), Gradient())(images(2))
    assert set(found) == set(expected)
    # The same float32 graph in another process of optimisation.
    np.testing.assert_allclose(
        found["attributions"], expected["attributions"], rtol=1e-4, atol=1e-7
    )
    predict = keras.layers.TFSMLayer(str(directory), call_endpoint="serve")
    assert predict(images(2))["output_0"].shape == (2, CLASSES)


def test_the_target_has_a_default(exported):
    directory, answers, _ = exported
    with SessionModel(directory) as model:
        found = model.run("explain_gradient", image=images(4))
        np.testing.assert_array_equal(found["target"], answers.argmax(1))
        one_for_all = model.run("explain_gradient", image=images(4), target=[2])
        np.testing.assert_array_equal(one_for_all["target"], [2, 2, 2, 2])
        with pytest.raises(
            ValueError, match=r"needs the inputs \['image', 'target'\].*\['pixels'\]"
        ):
            model.run("explain_gradient", pixels=images(4))
        with pytest.raises(ValueError, match="Did you mean 'explain_gradient'"):
            model.run("explain_gradeint", image=images(4))


def test_weights_that_do_not_learn_and_states_are_saved(tmp_path):
    inputs = keras.Input((5,), name="image")
    hidden = keras.layers.BatchNormalization()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(hidden))
    model.layers[1].moving_mean.assign([1.0, 2.0, 3.0, 4.0, 5.0])
    model.layers[2].trainable = False
    directory = tfgig.export_saved_model(model, tmp_path / "model", [GRADIENT])
    with SessionModel(directory) as served:
        found = served.run("serving_default", image=vectors())["output_0"]
    np.testing.assert_allclose(found, model.predict(vectors(), verbose=0), rtol=1e-5, atol=1e-6)


def test_a_model_file_is_exported(tmp_path):
    vector_model().save(tmp_path / "model.keras")
    directory = tfgig.export_saved_model(tmp_path / "model.keras", tmp_path / "model", ["gradient"])
    with SessionModel(directory) as model:
        assert set(model.signatures) == {"serving_default", "explain_gradient"}  # not images


# Endpoints


def test_endpoints_carry_their_own_method_target_and_kind(tmp_path):
    endpoints = [
        tfgig.Endpoint("why", IG, ClassScore("logits")),
        tfgig.Endpoint("picture", IG, kind="heatmap"),
        "gradient",
    ]
    directory = tfgig.export_saved_model(
        image_model(), tmp_path / "model", endpoints, target=ClassScore("logits")
    )
    with SessionModel(directory) as model:
        assert set(model.signatures) == {
            "serving_default",
            "why",
            "picture",
            "explain_gradient",
            "heatmap_gradient",
        }
        why = model.run("why", image=images(2))
        picture = model.run("picture", image=images(2))
        gradient = model.run("explain_gradient", image=images(2))
    logits = image_model(None).predict(images(2), verbose=0).max(1)
    for found in (why, gradient):
        np.testing.assert_allclose(found["score"], logits, rtol=1e-5)
    np.testing.assert_allclose(picture["score"], image_model().predict(images(2), verbose=0).max(1))


def test_endpoints_of_a_name_are_presets():
    assert tfgig.Endpoint("why", "ig").method == tfgig.presets.get("ig")
    with pytest.raises(ValueError, match="Did you mean 'guided_ig'"):
        tfgig.Endpoint("why", "guided_gi")


@pytest.mark.parametrize("name", ["serving_default", "serve", "", "a b", "a-b", "1st"])
def test_names_of_signatures_are_words_and_not_taken(name):
    with pytest.raises(ValueError, match=r"signature('s)? name.*Received"):
        tfgig.Endpoint(name, IG)


@pytest.mark.parametrize("name", ["name", "variables", "signatures"])
def test_a_name_that_the_saved_object_has_too_is_refused(name):
    """An endpoint becomes an attribute of the saved object: it must not replace another."""
    with pytest.raises(ValueError, match=f"reserved by SavedModel.*Received: {name!r}"):
        tfgig.Endpoint(name, Gradient())


@pytest.mark.parametrize("name", ["weights", "origin_of_weights"])
def test_an_everyday_name_works(tmp_path, name):
    endpoint = tfgig.Endpoint(name, Gradient())
    directory = tfgig.export_saved_model(vector_model(), tmp_path / "model", [endpoint])
    with SessionModel(directory) as model:
        assert model.run(name, image=vectors())["ok"].all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "picture"}, r"kind=\.\.\.\) must be one of.*Received: 'picture'"),
        ({"method": 3}, "`method` must be one of.*Received: 3"),
        ({"target": "top"}, "`target` must be one of ClassScore.*Received: 'top'"),
        ({"overlay": "red"}, "`overlay` must be one of Overlay.*Received: 'red'"),
    ],
)
def test_parts_of_an_endpoint_are_checked(change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        tfgig.Endpoint(**{"name": "why", "method": IG, **change})


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ([], "at least one method"),
        ("ig", "a list of names"),
        (["ig", "ig"], "unique name.*explain_ig"),
        ([tfgig.Endpoint("explain_ig", IG), "ig"], "unique name"),
        (["guided"], "Did you mean 'guided_ig'"),
    ],
)
def test_lists_of_methods_are_checked(tmp_path, methods, message):
    with pytest.raises(ValueError, match=message):
        tfgig.export_saved_model(vector_model(), tmp_path / "model", methods)
    assert not list(tmp_path.iterdir())


def test_heatmaps_need_a_value_range(tmp_path, recwarn):
    """Without one they are left out, and that is said; asked for by name, it is an error."""
    inputs = keras.Input((4, 4, 3), name="image")
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    reason = r"load_model\(model, value_range=\(0, 255\)\).*--value_range=0,255"
    with pytest.warns(UserWarning, match=rf"heatmap_\* signatures are left out\. .*{reason}"):
        directory = tfgig.export_saved_model(model, tmp_path / "model", ["gradient"])
    assert set(read_description(directory).endpoints) == {"explain_gradient"}
    picture = tfgig.Endpoint("picture", Gradient(), kind="heatmap")
    with pytest.raises(ValueError, match=reason):
        tfgig.export_saved_model(model, tmp_path / "model", [GRADIENT, picture])
    recwarn.clear()
    source = tfgig.load_model(model, value_range=(0, 255))  # the fix that the error names
    directory = tfgig.export_saved_model(source, tmp_path / "model", ["gradient"])
    assert "heatmap_gradient" in read_description(directory).endpoints
    tfgig.export_saved_model(model, tmp_path / "model", [GRADIENT])  # asks for no heat-maps
    assert not [w for w in recwarn if "left out" in str(w.message)]
    with pytest.raises(ValueError, match=r'need images.*kind "attributions" instead'):
        tfgig.export_saved_model(
            vector_model(), tmp_path / "other", [tfgig.Endpoint("a", IG, kind="heatmap")]
        )


def test_a_target_that_does_not_fit_the_model_is_refused(tmp_path):
    endpoint = tfgig.Endpoint("why", IG, ClassScore("logits"))
    with pytest.raises(ValueError, match="softmax or sigmoid"):
        tfgig.export_saved_model(vector_model(None), tmp_path / "model", [endpoint])
    assert not list(tmp_path.iterdir())


# Publishing


def test_versions(tmp_path):
    model, path = vector_model(), tmp_path / "model"
    assert tfgig.export_saved_model(model, path, [GRADIENT], version=4) == path / "4"
    assert tfgig.export_saved_model(model, str(path), [GRADIENT]) == path / "5"
    with pytest.raises(FileExistsError, match="Version 4 already exists"):
        tfgig.export_saved_model(model, path, [GRADIENT], version=4)
    other = tfgig.Endpoint("other", Gradient())
    tfgig.export_saved_model(model, path, [other], version=4, overwrite=True)
    with SessionModel(path / "4") as served:
        assert set(served.signatures) == {"serving_default", "other"}
    assert sorted(entry.name for entry in path.iterdir()) == ["4", "5"]
    with pytest.raises(ValueError, match="version=5"):
        tfgig.export_saved_model(model, path / "5", [GRADIENT])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("a fault of its own"), "^a fault of its own$"),
        (tf.errors.ResourceExhaustedError(None, None, "no room"), "nothing was published.*no room"),
    ],
)
def test_a_failing_save_leaves_nothing(tmp_path, monkeypatch, error, message):
    def save(module, directory, signatures):
        (tmp_path / "model").joinpath(directory, "variables").mkdir()
        raise error

    monkeypatch.setattr(saved_model.tf.saved_model, "save", save)
    with pytest.raises((RuntimeError, OSError), match=message):
        tfgig.export_saved_model(vector_model(), tmp_path / "model", [GRADIENT])
    assert not list(tmp_path.iterdir())


_FULL_DISK = """
import resource, sys, keras, tfgig
inputs = keras.Input((200,))
model = keras.Model(inputs, keras.layers.Dense(500)(inputs))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    tfgig.export_saved_model(model, sys.argv[1], ["gradient"])
except OSError as error:
    print(type(error).__name__, error)
"""


def test_a_full_disk(tmp_path):
    """400 kB of weights where no file may have more than 100."""
    printed = run_python("-c", _FULL_DISK, tmp_path / "models" / "model").stdout
    assert "OSError Could not write a version" in printed
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="nothing was published"):
        tfgig.export_saved_model(vector_model(), tmp_path / "file" / "model", [GRADIENT])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_lookup_table_of_a_keras_model_goes_along(tmp_path):
    inputs = keras.Input((4,), name="image")
    scores = keras.layers.Dense(3, activation="softmax")(inputs)
    names = keras.layers.StringLookup(vocabulary=["cat", "dog"], invert=True)
    label = names(keras.ops.argmax(scores, -1))
    model = keras.Model(inputs, {"scores": scores, "label": label})
    target = tfgig.targets.ClassScore(output_name="scores")
    directory = tfgig.export_saved_model(model, tmp_path / "model", ["gradient"], target)
    points = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    expected = [["[UNK]", "cat", "dog"][i] for i in model(points)["scores"].numpy().argmax(1)]
    with SessionModel(directory) as served:
        found = served.run("serving_default", image=points)["label"]
        assert [label.decode() for label in found] == expected
        assert served.run("explain_gradient", image=points)["ok"].all()


def table(value):
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([1], [value]), 0.0)


class LookingUp(keras.layers.Layer):
    """Multiplies by 2 * 3, out of tables in a list and in a dictionary."""

    def __init__(self):
        super().__init__()
        self.tables = [table(2.0)]
        self.named = {"deep": {"deeper": [table(3.0)]}}

    def call(self, x):
        one = tf.constant(1)
        return x * self.tables[0].lookup(one) * self.named["deep"]["deeper"][0].lookup(one)


def test_tables_in_lists_and_dictionaries_go_along(tmp_path):
    inputs = keras.Input((2,), name="x")
    model = keras.Model(inputs, LookingUp()(inputs))
    with SessionModel(tfgig.export_saved_model(model, tmp_path, ["gradient"])) as session:
        found = session.run("explain_gradient", x=np.ones((1, 2), np.float32), target=[1])
    np.testing.assert_allclose(found["attributions"], [[0, 6]])


def test_a_table_that_no_layer_holds_is_named(tmp_path):
    outside = table(2.0)

    class Borrowing(keras.layers.Layer):
        def call(self, x):
            return x * outside.lookup(tf.constant(1))

    inputs = keras.Input((2,), name="x")
    model = keras.Model(inputs, Borrowing()(inputs), name="borrowing")
    with pytest.raises(
        ValueError, match=r"does not belong to any of its layers.*Received: 'borrowing'"
    ):
        tfgig.export_saved_model(model, tmp_path, ["gradient"])
