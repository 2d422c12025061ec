"""The linter of exported versions: each breach is found, and says what to do."""

import shutil

import pytest
import tensorflow as tf

from tests.serving.test_tools import program
from tfgig.export.warmup import WARMUP_FILE, write_warmup
from tfgig.serving.contract import check_contract


def save(path, call, *specs, name="serving_default"):
    module = tf.Module()
    module.call = tf.function(call, input_signature=specs)
    tf.saved_model.save(module, str(path), signatures={name: module.call})
    return path


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


def test_warmup(copy):
    (copy / WARMUP_FILE).write_bytes(b"garbage, and more than a header of it")
    assert any("is damaged" in str(finding) for finding in check_contract(copy))
    (copy / WARMUP_FILE).unlink()
    (finding,) = check_contract(copy)
    assert "there is none" in finding.problem
    write_warmup(copy)
    assert check_contract(copy) == []


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
