"""Methods at places of a model: by hand, refused where there is none, one export with several."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.cases import deviation
from tfgig.export.endpoint import default_methods
from tfgig.image import Overlay
from tfgig.methods import At, GradCAM, PathIntegral, Smooth
from tfgig.models.graphs.inlining import called_by
from tfgig.spec import from_config, to_config

L = keras.layers
IMAGES = np.random.default_rng(3).uniform(0, 255, (3, 28, 36, 3)).astype(np.float32)
IG = PathIntegral(steps=24)


@pytest.fixture(scope="module")
def model():
    """A stem, a block [B, 14, 18, 6], and a small last convolution."""
    image = keras.Input((28, 36, 3), name="image")
    stem = L.Conv2D(6, 3, 2, "same", activation="tanh", name="stem")(L.Rescaling(1 / 255)(image))
    inner = L.Conv2D(6, 3, padding="same", activation="tanh", name="inner")(stem)
    block = L.Add(name="block")([stem, inner])
    last = L.Conv2D(5, 3, 2, "same", activation="tanh", name="last")(block)
    features = L.GlobalAveragePooling2D(name="features")(last)
    return keras.Model(image, L.Dense(4, activation="softmax", name="scores")(features))


def explained(model, method, **options):
    return {k: v.numpy() for k, v in tfgig.Explainer(model, method, **options)(IMAGES).items()}


def test_it_is_the_method_on_the_rest_of_the_model(model):
    front = keras.Model(model.input, model.get_layer("block").output)
    held = keras.Input(front.output.shape[1:])
    rest = held
    for name in ("last", "features", "scores"):
        rest = model.get_layer(name)(rest)
    inside = front(IMAGES)
    expected = tfgig.Explainer(keras.Model(held, rest), IG)(inside)
    found = explained(model, At("block", IG))
    assert found["attributions"].shape == (3, 14, 18, 6)
    for key in ("attributions", "score", "baseline_score"):
        assert deviation(found[key], expected[key].numpy()) < 1e-4, key
    change = np.abs(found["score"] - found["baseline_score"])
    assert (np.abs(found["delta"]) < 0.01 * change).all()


def test_the_place_is_found(model):
    explainer = tfgig.Explainer(model, "block_ig")
    assert explainer.place.name == "block"
    assert explainer.place.layout.grid == (14, 18)
    assert tfgig.Explainer(model, "ig").place is None
    named = explained(model, At("block", tfgig.presets.get("block_ig").inner))
    np.testing.assert_array_equal(explainer(IMAGES)["attributions"], named["attributions"])
    assert tfgig.Explainer(model, At(None, IG, positions=8)).place.name == "block"


def test_a_model_loaded_at_a_layer_is_the_default_and_a_place_is_the_methods_own(model):
    source = tfgig.load_model(model, layer="last")
    assert tfgig.Explainer(source, "block_ig").place.name == "last"
    assert tfgig.Explainer(source, IG).place.name == "last"
    assert tfgig.Explainer(source, At("stem", IG)).place.name == "stem"
    found = explained(source, At("image", IG))  # an input is a place, too
    assert found["attributions"].shape == IMAGES.shape


def test_what_is_no_place_is_refused_with_those_there_are(model):
    with pytest.raises(ValueError, match=r"bypasses .*Places: stem, block.*'inner'"):
        tfgig.Explainer(model, At("inner", IG))
    with pytest.raises(ValueError, match="Did you mean 'block'"):
        tfgig.Explainer(model, At("blok", IG))
    # Grad-CAM looks at any layer: it promises no share of the score.
    assert explained(model, At("inner", GradCAM()))["ok"].all()


def test_a_place_is_outermost(model):
    for wrong in (lambda: At("stem", At("block", IG)), lambda: Smooth(At("block", IG))):
        with pytest.raises(ValueError, match="At must be the outermost method"):
            wrong()
    smooth = At("block", Smooth(PathIntegral(steps=3), samples=2))
    assert explained(model, smooth)["attributions"].shape == (3, 14, 18, 6)
    for place, positions in (("", 12), (None, 1), (None, 2.5)):
        with pytest.raises(ValueError, match="At\\("):
            At(place, IG, positions)
    assert from_config(to_config(smooth)) == smooth


def test_a_row_that_cannot_be_explained_harms_no_other(model):
    images = IMAGES.copy()
    images[1, 5, 5, 0] = np.nan
    explain = tf.function(tfgig.Explainer(model, At("block", IG)))
    found = explain(images)
    np.testing.assert_array_equal(found["ok"], [True, False, True])
    assert not found["attributions"][1].numpy().any()
    expected = explain(IMAGES)["attributions"].numpy()
    assert deviation(found["attributions"].numpy()[[0, 2]], expected[[0, 2]]) < 1e-5


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    methods = {
        "ig": PathIntegral(steps=4),
        "fine": At("stem", IG),
        "block": At(None, IG),
        "pooled": At("features", IG),
        "cam": At("inner", GradCAM()),
    }
    return tfgig.export_saved_model(model, tmp_path_factory.mktemp("at") / "model", methods)


def test_one_export_holds_methods_at_several_places(exported, model):
    loaded = tf.saved_model.load(str(exported))
    shapes = {"ig": (28, 36, 3), "fine": (14, 18, 6), "block": (14, 18, 6), "pooled": (5,)}
    for name, shape in (shapes | {"cam": (28, 36, 3)}).items():
        found = loaded.signatures[f"explain_{name}"](
            image=tf.constant(IMAGES), target=tf.constant([-1, -1, -1], tf.int64)
        )
        assert found["attributions"].shape == (3, *shape)
        assert found["ok"].numpy().all()
    assert "heatmap_block" in loaded.signatures
    assert "heatmap_pooled" not in loaded.signatures  # it has no height and width
    expected = explained(model, At("stem", IG))["attributions"]
    found = loaded.signatures["explain_fine"](
        image=tf.constant(IMAGES), target=tf.constant([-1, -1, -1], tf.int64)
    )
    assert deviation(found["attributions"].numpy(), expected) < 1e-4


def test_the_description_names_the_place(exported, model):
    description = json.loads((exported / "assets.extra" / "tfgig.json").read_text())
    places = {name: found["place"] for name, found in description["endpoints"].items()}
    assert places["explain_ig"] is None
    assert places["explain_cam"] is None  # of the pixels
    assert places["explain_block"]["name"] == "block"
    assert places["explain_block"]["layout"]["grid"] == [14, 18]
    assert places["explain_block"]["layout"]["centres"] == [[2.0, 1.0], [2.0, 1.0]]
    assert places["explain_pooled"] == {"name": "features", "layout": None}
    assert description["endpoints"]["explain_block"]["explained"][0]["shape"] == [None, 14, 18, 6]


def test_the_heat_map_shows_what_speaks_for_the_score_where_it_looks(exported, model):
    loaded = tf.saved_model.load(str(exported))
    files = loaded.signatures["heatmap_block"](image=tf.constant(IMAGES))["heatmap_bytes"].numpy()
    explainer = tfgig.Explainer(model, At("block", IG))
    attributions = explainer(IMAGES)["attributions"]
    strengths = tf.reduce_sum(tf.nn.relu(attributions), -1, keepdims=True)
    over = explainer.place.layout.laid_over(strengths, tf.constant([28, 36]))
    drawn = Overlay().draw(IMAGES, over, (0, 255)).numpy()
    for file, expected in zip(files, drawn, strict=True):
        found = tf.io.decode_png(file).numpy().astype(int)
        assert np.abs(found - expected).max() <= 1


def test_what_is_in_front_of_a_place_runs_once(model):
    """No result of a function that the loop over the steps calls is computed from the stem's."""
    explainer = tfgig.Explainer(model, At("block", IG))
    graph = explainer._explain.get_concrete_function().graph.as_graph_def()
    functions = {function.signature.name: function for function in graph.library.function}

    def convolutions(function):
        """The convolutions that a function's results need, in what it calls, too."""
        nodes = {node.name: node for node in function.node_def}
        waiting, seen, found = [*function.ret.values(), *function.control_ret.values()], set(), []
        while waiting:
            name = waiting.pop().removeprefix("^").partition(":")[0]
            if name in nodes and name not in seen:
                seen.add(name)
                waiting.extend(nodes[name].input)
                found += [name] if nodes[name].op == "Conv2D" else []
                for called in called_by(nodes[name]):
                    found += convolutions(functions[called])
        return found

    bodies = [
        functions[node.attr["body"].func.name]
        for function in functions.values()
        for node in function.node_def
        if node.op.endswith("While")
    ]
    inside = [name for body in bodies for name in convolutions(body)]
    assert any("last" in name for name in inside)
    assert not any(scope in name for name in inside for scope in ("stem", "inner"))


def test_an_export_that_names_no_methods_has_a_block_of_images_beside_the_pixels(model):
    assert default_methods(tfgig.load_model(model)) == ("ig", "guided_ig", "block_ig")
    at_block = tfgig.load_model(model, layer="block")  # where every method looks already
    assert default_methods(at_block) == ("ig", "guided_ig")
    table = keras.Sequential([keras.Input((4,)), L.Dense(3), L.Dense(2)])
    assert default_methods(tfgig.load_model(table)) == ("ig", "guided_ig")
