"""The flags that say which model is meant, and how it is to be read."""

import json

import keras
import pytest
import tensorflow as tf
from PIL import Image
from tfgig_tools import model_flags

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
    assert "--shape takes whole numbers, such as 224,224,3, or" in words
    assert "Received: '4,wide,3'" in words
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


def test_files_go_in_and_labels_go_along(tmp_path):
    image = keras.Input((8, 8, 3), name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    keras.Model(image, keras.layers.Softmax()(pooled)).save(tmp_path / "model.keras")
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    (tmp_path / "two.txt").write_text("red\ngreen\n")
    green = tf.concat([tf.zeros([20, 30, 1]), tf.ones([20, 30, 1]), tf.zeros([20, 30, 1])], 2)
    (tmp_path / "leaf.png").write_bytes(tf.io.encode_png(tf.cast(255 * green, tf.uint8)).numpy())
    common = [
        f"--handle={tmp_path / 'model.keras'}",
        f"--output={tmp_path / 'out'}",
        "--methods=ig",
        "--decode_image",
    ]
    ((_, error),) = refusals("export", [*common, f"--labels={tmp_path / 'two.txt'}"])
    assert "Each class needs a label" in error
    done = program("export", *common, f"--labels={tmp_path / 'labels.txt'}")
    assert done.returncode == 0, done.stderr
    assert "serving_image_bytes" in done.stdout
    # Files that TensorFlow does not decode itself, and one that nobody does.
    with Image.open(tmp_path / "leaf.png") as leaf:
        leaf.save(tmp_path / "leaf.bmp")
        leaf.save(tmp_path / "leaf.tiff")
    png = bytearray((tmp_path / "leaf.png").read_bytes())
    png[45:50] = bytes(5)
    (tmp_path / "damaged.png").write_bytes(png)
    files = [tmp_path / name for name in ("damaged.png", "leaf.png", "leaf.bmp", "leaf.tiff")]
    done = program(
        "explain",
        f"--model={tmp_path / 'out'}",
        f"--output={tmp_path / 'explained'}",
        *map(str, files),
    )
    assert done.returncode == 1
    assert "damaged.png" in done.stderr
    assert "Traceback" not in done.stderr
    results = json.loads((tmp_path / "explained" / "results.json").read_text())
    assert len(results["images"]) == 3
    for found in results["images"]:
        assert found["top"][0]["label"] == "green"
        assert found["methods"]["ig"]["label"] == "green"
        assert found["top"][0]["score"] == pytest.approx(found["methods"]["ig"]["score"], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.json", b"{"),
        ("rows.json", b'{"x": [{"b64": [3]}]}'),
        ("rows.json", b"[" * 100_000),
        ("rows.npz", b""),
        ("rows.npz", b"PK\x03\x04 and no more"),
    ],
)
def test_an_example_that_is_none(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="--example cannot be read"):
        model_flags.read_example(str(tmp_path / name))


def test_a_library_of_operations_that_is_none(tmp_path):
    (tmp_path / "ops.so").write_bytes(b"not a library")
    flags = [f"--op_library={tmp_path / 'ops.so'}", "--handle=model", "--output=out"]
    ((_, error),) = refusals("export", flags)
    assert "library of operations cannot be loaded" in error
