"""What every method promises: presets, paths and rules are found, not listed."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import tfgig
from tests import cases
from tests.cases import specs_in
from tests.conformance.conftest import BAD_ROWS, BATCHES, of_each_type
from tfgig.baselines import Baseline, Constant
from tfgig.methods import At, Method, Scales, Smooth
from tfgig.paths import Adversarial, Counterfactual, Path, Spectral
from tfgig.rules import ImportantDirection, Rule
from tfgig.serving.deployment.contract import check_contract
from tfgig.spec import from_config, leaves, members, replace_all, to_config

METHODS = cases.all_methods()


def of_each_composition():
    """One method of each type of method, path and rule: others differ in numbers alone."""
    found = {}
    for name, method in METHODS.items():
        parts = [type(part) for family in (Method, Path, Rule) for part in specs_in(method, family)]
        found.setdefault(tuple(parts), name)
    return list(found.values())


# The reference's even widths leave most of the change of so small an image to one step, at any
# number of steps that a test can wait for; golden arrays hold what it computes. More steps lead
# walks that end where they end further.
LEADING_AWAY = (Adversarial, Counterfactual)
COMPLETE = [
    name
    for name, method in METHODS.items()
    if method.complete and name != "blur_ig_reference" and not specs_in(method, LEADING_AWAY)
]
FROM_BLACK = [
    name
    for name, method in METHODS.items()
    if {type(baseline) for baseline in specs_in(method, Baseline)} == {Constant}
    and not specs_in(method, (At, Scales))  # whose baseline is no image
]
# IDGI shares a change out along the gradient, not along the displacement; a noisy copy of an input
# is not equal to its baseline where the input is; a spectral component covers the whole image;
# the way to a reference's representation moves what the reference has already, too.
ELSEWHERE = (ImportantDirection, Smooth, Spectral, Counterfactual)
BY_DISPLACEMENT = [n for n in FROM_BLACK if not specs_in(METHODS[n], ELSEWHERE)]
COMPOSED = of_each_composition()
DRAWN = of_each_type(METHODS)
SIGNATURES = [f"explain_{name}" for name in METHODS] + [f"heatmap_{name}" for name in DRAWN]
ATTRIBUTIONS = ("attributions", "target", "score", "baseline_score", "delta", "error", "ok")
# Of the largest value. The same float32 graph, rewritten by different optimisers and run on
# batches of different sizes, sums in another order; an adaptive path repeats that at every step.
TOLERANCE = 1e-4


def beside(name):
    """What a method answers beside that: of Scales, what it finds at the one place of the model."""
    scales = isinstance(METHODS[name], Scales)
    return {f"{key}_conv2d" for key in ("attributions", "baseline_score", "delta") if scales}


every_method = pytest.mark.parametrize("name", METHODS)


def assert_same(found, expected, rows=slice(None)):
    assert set(found) == set(expected)
    for key, value in expected.items():
        value = value[rows]
        assert found[key].dtype == value.dtype, key
        if value.dtype.kind == "f":
            scale = max(1e-6, np.abs(value).max(initial=0.0))
            if key == "delta":  # a small difference of the others
                scale = np.abs(expected["score"]).max(initial=1e-6)
            np.testing.assert_allclose(
                found[key], value, rtol=0, atol=TOLERANCE * scale, err_msg=key
            )
        else:
            np.testing.assert_array_equal(found[key], value, err_msg=key)


@every_method
def test_eager_gives_what_is_promised(subject, name):
    explanation = subject.eager(name)
    assert set(explanation) == {*ATTRIBUTIONS, *beside(name)}
    assert explanation["attributions"].shape == (3, *subject.shape(name))
    assert np.abs(explanation["attributions"]).max() > 0
    scores = subject.model.predict(BATCHES["three/image"], verbose=0)
    expected = [scores[0].argmax(), 2, 0]
    np.testing.assert_array_equal(explanation["target"], expected)
    # One model in one precision; only the size of the batch may differ.
    np.testing.assert_allclose(explanation["score"], scores[range(3), expected], rtol=1e-5)
    assert explanation["ok"].all()


@pytest.mark.parametrize("name", COMPOSED)
def test_a_function_gives_the_same(subject, name):
    explainer = subject.explainer(name)
    spec = tf.TensorSpec([None, *cases.SHAPE])

    @tf.function(input_signature=[spec, tf.TensorSpec([None], tf.int64)])
    def explain(images, target):
        return explainer(images, target=target)

    found = explain(BATCHES["three/image"], BATCHES["three/target"])
    assert_same({k: v.numpy() for k, v in found.items()}, subject.eager(name))


@every_method
def test_a_loaded_signature_gives_the_same(subject, name):
    signature = subject.loaded.signatures[f"explain_{name}"]
    found = signature(
        image=tf.constant(BATCHES["three/image"]), target=tf.constant(BATCHES["three/target"])
    )
    assert_same({k: v.numpy() for k, v in found.items()}, subject.eager(name))


@every_method
@pytest.mark.parametrize("batch", ["three", "one", "six", "default"])
def test_a_session_in_a_fresh_process_gives_the_same(subject, name, batch):
    assert_same(subject.session(f"explain_{name}", batch), subject.eager(name, batch))


@every_method
@pytest.mark.parametrize("kind", ["explain", "heatmap"])
def test_an_empty_batch_gives_empty_answers(subject, name, kind):
    found = subject.session(f"{kind}_{name}", "none")
    full = subject.session(f"{kind}_{name}", "three")
    assert set(found) == set(full)
    for key, value in found.items():
        assert value.shape == (0, *full[key].shape[1:])


@every_method
def test_a_row_alone_is_the_row_in_a_batch(subject, name):
    alone, batch = (subject.session(f"explain_{name}", key) for key in ("one", "six"))
    assert_same(alone, batch, rows=slice(1, 2))


@every_method
def test_the_config_is_json_and_comes_back(name):
    config = json.loads(json.dumps(to_config(METHODS[name])))
    assert from_config(config) == METHODS[name]


@pytest.fixture(scope="module")
def from_keras_file(subject, tmp_path_factory):
    """A functional model of all explainers, through one `.keras` file."""
    file = tmp_path_factory.mktemp("keras") / "explainers.keras"
    images, target = keras.Input(cases.SHAPE), keras.Input((), dtype="int64")
    explanations = {name: subject.explainer(name)(images, target=target) for name in COMPOSED}
    keras.Model([images, target], explanations).save(file)
    model = keras.saving.load_model(file)
    given = [BATCHES["three/image"], BATCHES["three/target"]]
    return explanations, model, model.predict(given, verbose=0)


@pytest.mark.parametrize("name", COMPOSED)
def test_a_functional_model_gives_the_same_also_from_a_keras_file(subject, from_keras_file, name):
    explanations, model, found = from_keras_file
    assert explanations[name]["attributions"].shape == (None, *subject.shape(name))
    explainers = [layer for layer in model.layers if isinstance(layer, tfgig.Explainer)]
    assert METHODS[name] in [explainer.method for explainer in explainers]
    assert_same(found[name], subject.eager(name))


@pytest.mark.parametrize("name", COMPLETE)
def test_attributions_add_up_and_more_steps_close_the_gap(name):
    model = cases.objective(cases.quadratic(cases.SHAPE), cases.SHAPE)
    inputs = cases.images(3, seed=1)
    method = cases.quick(METHODS[name], internal_batch_size=64)
    coarse = cases.run(model, method, inputs)
    total = coarse["attributions"].astype(np.float64).sum((1, 2, 3))
    gap = total - (coarse["score"] - coarse["baseline_score"])
    scale = np.abs(coarse["score"] - coarse["baseline_score"]).max()
    assert coarse["ok"].all()
    # delta is this sum in float32 numbers.
    np.testing.assert_allclose(coarse["delta"], gap, atol=1e-6 * scale)
    if specs_in(method, ImportantDirection):
        assert np.abs(coarse["delta"]).max() < 1e-5 * scale  # telescopes: rounding only
        return
    fine = cases.run(model, _more_steps(method, 4), inputs)
    # A left rule on 48 of a quadratic's steps misses about 1 / 48 of its curvature.
    assert np.abs(fine["delta"]).max() < 0.05 * scale
    # First order divides the gap by 4; what is exact already (trapezoid, midpoint) stays so.
    assert np.abs(fine["delta"]).max() < 0.4 * np.abs(coarse["delta"]).max() + 1e-5 * scale


def _more_steps(method, times):
    for name, value, _ in leaves(method):
        if name.split(".")[-1] == "steps":
            method = replace_all(method, {name: times * value})
    return method


@pytest.mark.parametrize("name", FROM_BLACK)
def test_an_input_equal_to_its_baseline_gets_zeros(subject, name):
    explanation = subject.explainer(name)(np.zeros((1, *cases.SHAPE), np.float32))
    assert explanation["ok"].numpy().all()
    np.testing.assert_array_equal(explanation["attributions"], 0)
    np.testing.assert_allclose(explanation["delta"], 0, atol=1e-7)  # two scores of one input


@pytest.mark.parametrize("name", BY_DISPLACEMENT)
def test_features_equal_to_their_baseline_get_zeros(subject, name):
    inputs = BATCHES["three/image"].copy()
    inputs[:, :4] = 0
    attributions = subject.explainer(name)(inputs)["attributions"].numpy()
    np.testing.assert_array_equal(attributions[:, :4], 0)
    assert np.abs(attributions[:, 4:]).max() > 0


@pytest.mark.parametrize("signature", SIGNATURES)
def test_bad_rows_are_marked_and_harm_no_other(subject, signature):
    bad, clean = (subject.session(signature, key) for key in ("bad", "clean"))
    rows = BAD_ROWS[signature.partition("_")[0]]
    good = [row for row in range(6) if row not in rows]
    np.testing.assert_array_equal(bad["ok"], [row in good for row in range(6)])
    assert clean["ok"].all()
    np.testing.assert_array_equal(bad["target"][rows], -1)
    for key, value in bad.items():
        if value.dtype.kind == "f":
            assert np.isfinite(value).all(), key
            np.testing.assert_array_equal(value[rows], 0, err_msg=key)
            # The same calls of the same sizes: the neighbours' numbers do not enter.
            scale = np.abs(clean[key]).max()
            np.testing.assert_allclose(value[good], clean[key][good], rtol=0, atol=1e-6 * scale)
    np.testing.assert_array_equal(bad["target"][good], clean["target"][good])


@pytest.mark.parametrize("name", DRAWN)
def test_heatmaps_are_pictures_of_the_inputs_size(subject, name):
    for batch in ("six", "bad"):
        found = subject.session(f"heatmap_{name}", batch)
        assert found["heatmap_bytes"].shape == (6,)
        for file in found["heatmap_bytes"]:
            assert tf.io.decode_png(file).shape == cases.SHAPE
    top = subject.session(f"explain_{name}", "default")
    drawn = subject.session(f"heatmap_{name}", "three")
    np.testing.assert_array_equal(drawn["target"], top["target"])
    np.testing.assert_allclose(drawn["score"], top["score"], rtol=1e-5)  # as above


def test_every_preset_path_rule_and_method_is_in_the_suite():
    assert set(tfgig.presets.names()) <= set(METHODS)
    for family in (Path, Rule, Method):
        used = {type(spec) for method in METHODS.values() for spec in specs_in(method, family)}
        assert used == set(members(family))


# What TensorFlow Serving needs of every signature. In this file, because a file is one worker's,
# and the export of all methods is worth making once.

ALLOWED = (tf.float32, tf.int64, tf.bool, tf.string)
EXPLAIN = {"attributions", "target", "score", "baseline_score", "delta", "error", "ok"}
HEATMAP = {"heatmap_bytes", "target", "score", "delta", "error", "ok"}


@pytest.fixture(scope="module")
def meta_graph(subject):
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((subject.directory / "saved_model.pb").read_bytes())
    return saved.meta_graphs[0]


@pytest.mark.parametrize("name", ["serving_default", *SIGNATURES])
def test_inputs_and_outputs(meta_graph, name):
    signature = meta_graph.signature_def[name]
    for key, info in [*signature.inputs.items(), *signature.outputs.items()]:
        sizes = [axis.size for axis in info.tensor_shape.dim]
        assert not info.tensor_shape.unknown_rank
        assert len(sizes) >= 1, f"{key} is a scalar"
        assert sizes[0] == -1, f"{key} has a fixed batch size"
        assert tf.dtypes.as_dtype(info.dtype) in ALLOWED
        if info.dtype == tf.string.as_datatype_enum:
            assert key.endswith("_bytes")


@pytest.mark.parametrize("name", SIGNATURES)
def test_names(subject, meta_graph, name):
    signature = meta_graph.signature_def[name]
    explains = name.startswith("explain_")
    method = name.partition("_")[2]
    assert set(signature.outputs) == (EXPLAIN | beside(method) if explains else HEATMAP)
    assert set(signature.inputs) == ({"image", "target"} if explains else {"image"})
    if explains:
        dims = signature.outputs["attributions"].tensor_shape.dim
        shape = subject.shape(name.removeprefix("explain_"))
        assert tuple(axis.size for axis in dims[1:]) == shape
        assert tf.make_ndarray(signature.defaults["target"]).tolist() == [-1]


def test_signatures_are_the_models_and_ours(meta_graph):
    public = {name for name in meta_graph.signature_def if not name.startswith("__")}
    assert public == {"serving_default", *SIGNATURES}


def test_the_graph_needs_nothing_but_tensorflow(meta_graph):
    nodes = list(meta_graph.graph_def.node)
    functions = meta_graph.graph_def.library.function
    for function in functions:
        nodes += function.node_def
    assert len(nodes) > 1000  # they were found
    used = {node.op for node in nodes}
    assert not used & {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
    own = {function.signature.name for function in functions}
    known = {name for name in used if name in own or name in tf.raw_ops.__dict__}
    assert {name for name in used - known if not name.startswith("_")} == set()
    for item in [*nodes, *functions]:
        if "_XlaMustCompile" in item.attr:
            assert not item.attr["_XlaMustCompile"].b


def test_the_shipped_description_rebuilds_every_method(subject):
    description = json.loads((subject.directory / "assets.extra" / "tfgig.json").read_text())
    assert description["model"] == subject.model.name
    assert description["value_range"] == [0, 255]
    assert description["inputs"][0]["shape"] == [None, *cases.SHAPE]
    assert set(description["endpoints"]) == set(SIGNATURES)
    for name, endpoint in description["endpoints"].items():
        kind, _, method = name.partition("_")
        assert from_config(endpoint["method"]) == METHODS[method]
        assert from_config(endpoint["target"]) == cases.ClassScore()
        assert endpoint["kind"] == {"explain": "attributions", "heatmap": "heatmap"}[kind]


def test_the_linter_finds_nothing(subject):
    assert check_contract(subject.directory) == []
