"""The linter of exported versions: each breach is found, and says what to do."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

import tfgig
from tests.cases import image_model
from tests.serving.conftest import save, write_records
from tests.serving.test_tools import program
from tfgig.export.warmup import WARMUP_FILE, read_warmup, write_warmup
from tfgig.methods import Gradient
from tfgig.serving import Batching, InvalidRequest
from tfgig.serving.deployment.contract import check_contract
from tfgig.serving.devserver.core import load_warm


def subjects(found):
    return {finding.subject for finding in found}


ROWS = tf.TensorSpec([None, 4], tf.float32, "x")


def test_an_export_is_clean(exported):
    assert check_contract(exported / "1") == []


def test_scalars_and_fixed_rows(tmp_path):
    specs = (
        tf.TensorSpec([], tf.float32, "scale"),
        tf.TensorSpec([3, 4], tf.float32, "x"),
    )
    path = save(tmp_path / "m", lambda scale, x: {"y": x * scale, "sum": tf.reduce_sum(x)}, *specs)
    found = check_contract(path)
    assert {
        "serving_default, input 'scale'",
        "serving_default, input 'x'",
        "serving_default, output 'y'",
        "serving_default, output 'sum'",
    } <= subjects(found)
    assert all(finding.remedy for finding in found)


def test_types_that_rest_cannot_write_and_rows_that_are_too_large(tmp_path):
    def call(x):
        large = tf.zeros([tf.shape(x)[0], 1100, 1000])
        return {"half": tf.cast(x, tf.float16), "large": tf.ensure_shape(large, [None, 1100, 1000])}

    found = {f.subject: f for f in check_contract(save(tmp_path / "m", call, ROWS))}
    assert "cast it to float32" in str(found["serving_default, output 'half'"])
    assert "4,400,000 bytes" in str(found["serving_default, output 'large'"])


def test_python_and_compiled_functions(tmp_path):
    def python(x):
        return {"y": tf.ensure_shape(tf.py_function(lambda v: v, [x], tf.float32), [None, 4])}

    assert "EagerPyFunc" in subjects(check_contract(save(tmp_path / "a", python, ROWS)))
    compiled = tf.function(lambda x: x * 2, jit_compile=True)
    found = check_contract(save(tmp_path / "b", lambda x: {"y": compiled(x)}, ROWS))
    assert any("jit_compile" in finding.remedy for finding in found)


def test_no_serving_default(tmp_path):
    found = check_contract(save(tmp_path / "m", lambda x: {"y": x}, ROWS, name="other"))
    assert "serving_default" in subjects(found)


@pytest.fixture
def copy(exported, tmp_path):
    shutil.copytree(exported / "1", tmp_path / "1")
    return tmp_path / "1"


def test_a_version_without_a_lane_or_of_an_older_tfgig_gets_notes(tmp_path):
    directory = tfgig.export_saved_model(
        image_model(), tmp_path / "m", [tfgig.Endpoint("explain_gradient", Gradient())],
        lane=tfgig.Lane(at_once=0),
    )  # fmt: skip
    (finding,) = check_contract(directory)
    assert finding.note
    assert str(finding).startswith("note: explain_gradient: has no lane")
    file = directory / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    (graph,) = saved.meta_graphs
    del graph.signature_def["explain_gradient"].outputs["error"]
    for function in graph.graph_def.library.function:
        for node in function.node_def:
            node.op = "Identity" if node.op == "EnsureShape" else node.op
    file.write_bytes(saved.SerializeToString())
    found = check_contract(directory)
    assert all(finding.note for finding in found)
    text = "".join(map(str, found))
    assert "lacks the outputs ['error']" in text
    assert "serving_default: has no guard" in text


def test_warmup(copy):
    (copy / WARMUP_FILE).write_bytes(b"garbage, and more than a header of it")
    assert any("is damaged" in str(finding) for finding in check_contract(copy))
    (copy / WARMUP_FILE).unlink()
    (finding,) = check_contract(copy)
    assert "there is none" in finding.problem
    write_warmup(copy)
    assert check_contract(copy) == []


def test_records_that_do_not_fit(copy):
    """Each of them would fail the load."""
    image = {"image": np.zeros([1, 12, 10, 3], np.float32)}
    write_records(
        copy,
        ("explain_ig", image),  # its target has a default
        ("explain_gradient", {**image, "target": np.zeros([1], np.int32)}),
        ("heatmap_ig", {"image": np.zeros([1, 1, 12, 10, 3], np.float32)}),
        ("heatmap_gradient", {"imgae": image["image"]}),
        ("serving_default", image),
        ("serving_default", {"image": image["image"][0]}),
    )
    found = {finding.subject.partition(", ")[2]: str(finding) for finding in check_contract(copy)}
    assert set(found) == {"explain_gradient", "heatmap_ig", "heatmap_gradient", "serving_default"}
    assert "int64. Received: int32" in found["explain_gradient"]
    assert "[B, 12, 10, 3]. Received: shape (1, 1, 12, 10, 3)" in found["heatmap_ig"]
    assert "Unknown: ['imgae']" in found["heatmap_gradient"]
    write_records(copy, ("explain_gradient", {**image, "target": np.zeros([1], np.int32)}))
    with pytest.raises(InvalidRequest, match=r"int64. Received: int32"):
        load_warm(copy)


def test_records_of_other_requests(copy):
    """TensorFlow Serving takes a classification; neither the linter nor the server minds it."""
    log = prediction_log_pb2.PredictionLog()
    log.classify_log.request.model_spec.signature_name = "classify"
    records = list(tf.data.TFRecordDataset(str(copy / WARMUP_FILE)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(copy / WARMUP_FILE)) as writer:
        for record in [*records, log.SerializeToString()]:
            writer.write(record)
    assert check_contract(copy) == []
    assert len(list(read_warmup(copy))) == len(records)


def test_a_record_that_is_none(copy):
    with tf.io.TFRecordWriter(str(copy / WARMUP_FILE)) as writer:
        writer.write(b"no message at all")
    (finding,) = check_contract(copy)
    assert "is damaged (A warm-up record is not a PredictionLog" in str(finding)


def test_batching_parameters_against_an_export(copy, tmp_path):
    write_warmup(copy, (1, 4))
    (tmp_path / "some.txt").write_text("max_batch_size { value: 2 } num_batch_threads { value: 9 }")
    done = program(
        "inspect_model", "--check", f"--batching_parameters_file={tmp_path / 'some.txt'}", copy
    )
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert len(lines) == 6  # five signatures, and what clients send
    assert "record of 4 rows, and `max_batch_size` is 2" in lines[0]
    assert lines[-1].startswith("note: max_batch_size: is 2, but clients send 32")
    assert all(finding.note for finding in check_contract(copy, Batching(True, max_batch_size=4)))
    assert check_contract(copy, Batching(False, max_batch_size=1)) == []
    (copy / WARMUP_FILE).write_bytes(b"garbage, and more than a header of it")
    (finding,) = check_contract(copy, Batching(True, num_batch_threads=9))
    assert "is damaged" in str(finding)


def test_variables_that_are_missing(copy):
    shutil.rmtree(copy / "variables")
    assert subjects(check_contract(copy)) == {"variables"}


def test_an_endpoint_that_is_not_there(copy):
    path = copy / "assets.extra" / "tfgig.json"
    path.write_text(path.read_text().replace('"explain_ig"', '"explain_other"'))
    assert "explain_other" in subjects(check_contract(copy))


def test_the_program(copy):
    (copy / WARMUP_FILE).unlink()
    done = program("inspect_model", "--check", copy)
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert "tf_serving_warmup_requests" in line
    assert "Fix: " in line
