"""What inspection finds, and what the program prints of it."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

import tfgig
from tests.models import sources
from tfgig.models.inspection import inspect_model

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    place = tmp_path_factory.mktemp("inspected")
    sources.module(place / "model", place)
    return place / "model"


def test_signatures_sizes_and_obstacles(original):
    found = inspect_model(str(original))
    assert set(found.signatures) == {"serving_default", "decode"}
    serving = found.signatures["serving_default"]
    assert serving.inputs == {"features": "float32 [None, 4]"}
    assert serving.outputs["scores"] == "float32 [None, 3]"
    assert serving.obstacle is None
    decode = found.signatures["decode"]
    assert decode.obstacle.startswith("The input 'temperature' has one value for the whole batch")
    assert decode.outputs == {"scores": "float32 [None, 3]"}
    assert found.parameters == sources.FIRST.size + sources.LAST.size + 100
    assert found.sizes["assets"] == len("\n".join(sources.LABELS))
    assert found.sizes["weights"] > 4 * found.parameters
    assert found.endpoints == {}
    assert f"written by TensorFlow {tf.__version__}" in found.form


def test_operations_without_a_gradient_are_of_the_signature_alone(tmp_path):
    spec = tf.TensorSpec([None, 4, 4, 3], tf.float32, "image")
    function = tf.function(lambda x: tf.image.adjust_hue(x, 0.1))
    sources.save_function(tmp_path / "model", lambda x: tf.reduce_mean(function(x), [1, 2]), spec)
    (report,) = inspect_model(str(tmp_path / "model")).signatures.values()
    assert report.without_gradient == ("AdjustHue",)  # and none of the saver's
    assert "AdjustHue" in report.obstacle


def test_a_graph_of_tensorflow_1(tmp_path):
    sources.builder(tmp_path / "model", tmp_path)
    found = inspect_model(str(tmp_path / "model"))
    assert "TensorFlow 1 graph" in found.form
    assert found.signatures["serving_default"].obstacle is None
    assert found.parameters == sources.FIRST.size + sources.LAST.size


def program(*arguments):
    code = "import sys; sys.argv[0] = 'tfgig-inspect'; from tools.inspect_model import run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_program_says_what_an_export_explains(original, tmp_path):
    source = tfgig.load_model(original)
    target = tfgig.targets.ClassScore(output_name="scores")
    tfgig.export_saved_model(source, tmp_path / "export", ["gradient"], target)
    done = program(tmp_path / "export")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "serving_default: (features: float32 [None, 4])" in done.stdout
    assert "    can be explained" in lines
    assert lines[lines.index("explanations (tfgig):") + 1].startswith("  explain_gradient: {")
    assert "Traceback" not in done.stderr
    found = json.loads(program("--json", tmp_path / "export").stdout)
    assert found["signatures"]["serving_default"]["inputs"] == {"features": "float32 [None, 4]"}
    assert found["endpoints"]["explain_gradient"]["method"]["kind"] == "method.gradient"


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.dense = keras.layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


def test_keras_files_of_any_kind(tmp_path):
    layers = [keras.layers.Dense(3), keras.layers.Dense(2, name="scores")]
    keras.Sequential([keras.Input((4,), name="features"), *layers]).save(tmp_path / "a.keras")
    (report,) = inspect_model(str(tmp_path / "a.keras")).signatures.values()
    assert report.obstacle is None
    assert report.inputs == {"features": "float32 [None, 4]"}
    assert list(report.outputs.values()) == ["float32 [None, 2]"]
    model = Subclassed()
    model(tf.zeros([1, 4]))
    model.save(tmp_path / "b.keras")
    found = inspect_model(str(tmp_path / "b.keras"))
    assert found.parameters == 10
    (report,) = found.signatures.values()
    assert report.obstacle.startswith("The model has no defined input")


def test_the_program_takes_keras_files_and_refuses_in_one_line(tmp_path):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "model.keras")
    found = inspect_model(str(tmp_path / "model.keras"))
    assert found.parameters == 10
    done = program(tmp_path / "missing")
    assert done.returncode == 1
    assert done.stderr == f"error: There is no model file or directory at '{tmp_path}/missing'.\n"


def test_what_is_not_there_is_not_called_a_keras_file(tmp_path):
    done = program("--check", tmp_path / "nowhere")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"error: There is no model at '{tmp_path}/nowhere'."


def test_the_places_of_a_model_and_the_one_that_is_found(tmp_path):
    image = keras.Input((16, 16, 3), name="image")
    hidden = keras.layers.Conv2D(4, 3, activation="relu", name="early")(image)
    hidden = keras.layers.Conv2D(4, 3, activation="relu", name="late")(hidden)
    scores = keras.layers.Dense(2)(keras.layers.Flatten()(hidden))
    model = keras.Model(image, scores)
    model.save(tmp_path / "model.keras")
    model.export(tmp_path / "saved", verbose=False)
    for handle, signature in (("model.keras", "the model"), ("saved", "serving_default")):
        found = inspect_model(str(tmp_path / handle)).signatures[signature]
        assert [(p.name, p.shape) for p in found.places[:2]] == [
            ("early", (14, 14, 4)),
            ("late", (12, 12, 4)),
        ]
        assert found.found == "early"
        assert 1 > found.places[0].behind > found.places[1].behind > 0
