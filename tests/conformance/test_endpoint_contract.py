"""What TensorFlow Serving needs of every signature."""

import json

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests import cases
from tfgig.serving.contract import check_contract
from tfgig.spec import from_config

METHODS = cases.all_methods()
ALLOWED = (tf.float32, tf.int64, tf.bool, tf.string)
SIGNATURES = [f"{kind}_{name}" for name in METHODS for kind in ("explain", "heatmap")]
EXPLAIN = {"attributions", "target", "score", "baseline_score", "delta", "ok"}
HEATMAP = {"heatmap_bytes", "target", "score", "delta", "ok"}


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
def test_names(meta_graph, name):
    signature = meta_graph.signature_def[name]
    explains = name.startswith("explain_")
    assert set(signature.outputs) == (EXPLAIN if explains else HEATMAP)
    assert set(signature.inputs) == ({"image", "target"} if explains else {"image"})
    if explains:
        dims = signature.outputs["attributions"].tensor_shape.dim
        assert tuple(axis.size for axis in dims[1:]) == cases.SHAPE
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
