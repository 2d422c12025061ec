"""The flags that say which model is meant, and how it is to be read."""

import keras
import pytest
import tensorflow as tf

from tests.models import sources
from tests.tools.test_programs import program, refusals


def test_a_signature_with_an_open_shape(tmp_path):
    made = tf.Module()
    spec = tf.TensorSpec([None, None, None, 3], tf.float32, "image")
    made.mean = tf.function(lambda image: tf.reduce_mean(image, [1, 2]), input_signature=[spec])
    made.top = tf.function(lambda image: tf.reduce_max(image, [1, 2]), input_signature=[spec])
    tf.saved_model.save(made, str(tmp_path / "model"), {"mean": made.mean, "top": made.top})
    common = [f"--handle={tmp_path / 'model'}", f"--output={tmp_path / 'out'}", "--methods=ig"]
    (_, several), (_, words) = refusals(
        "export", common, [*common, "--signature=top", "--shape=4,wide,3"]
    )
    assert "several signatures; choose one" in several
    assert "--shape takes whole numbers, such as 224,224,3. Received: '4,wide,3'" in words
    flags = ["--signature=top", "--shape=4,5,3", "--value_range=0,1", "--ig.steps=4"]
    done = program("export", *common, *flags)
    assert done.returncode == 0, done.stderr
    assert "heatmap_ig" in done.stdout
    assert "  mean " in done.stdout


@pytest.mark.parametrize("allow", [False, True])
def test_code_is_run_only_by_name(tmp_path, allow):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: 2 * x)])
    model.save(tmp_path / "model.keras")
    flags = ["--allow_unsafe_deserialization"] if allow else []
    done = program(
        "export",
        f"--handle={tmp_path / 'model.keras'}",
        f"--output={tmp_path / 'out'}",
        "--methods=gradient",
        *flags,
    )
    assert done.returncode == (0 if allow else 1), done.stderr
    assert ("Lambda" in done.stderr) is not allow
    assert "Traceback" not in done.stderr


def test_an_output_is_chosen_by_flag(tmp_path):
    sources.module(tmp_path / "model", tmp_path)
    done = program(
        "export",
        f"--handle={tmp_path / 'model'}",
        f"--output={tmp_path / 'out'}",
        "--methods=gradient",
        "--target.output_name=scores",
        "--target.output=logits",
    )
    assert done.returncode == 0, done.stderr
    assert "decode" in done.stdout
