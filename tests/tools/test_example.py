"""Rows that a program is given, to see whether a model's rows depend on each other."""

import json

import tensorflow as tf

from tests.tools.test_programs import program
from tfgig.exported.description import read_description


def test_an_export_is_given_rows_that_nobody_could_make_up(tmp_path):
    made = tf.Module()

    def serve(text):
        numbers = tf.strings.split(text, ";").to_tensor(shape=[None, 2])
        return {"scores": tf.nn.softmax(tf.tanh(tf.strings.to_number(numbers)))}

    made.serve = tf.function(serve, input_signature=[tf.TensorSpec([None], tf.string, "text")])
    tf.saved_model.save(made, str(tmp_path / "model"), signatures=made.serve)
    (tmp_path / "rows.json").write_text(json.dumps({"text": ["1;2", "0.5;3", "-1;0"]}))
    flags = [f"--handle={tmp_path / 'model'}", "--methods=gradient", "--warmup="]
    doubts = {}
    for name, more in (("made_up", []), ("given", [f"--example={tmp_path / 'rows.json'}"])):
        done = program("export", *flags, f"--output={tmp_path / name}", *more)
        assert done.returncode == 0, done.stderr
        endpoint = read_description(tmp_path / name / "1").endpoints["explain_gradient"]
        doubts[name] = endpoint.doubt
    assert "--example" in doubts["made_up"]
    assert doubts["given"] is None
