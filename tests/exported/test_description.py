"""One record of an export: it comes back, older ones are read, and what is wrong is said."""

import json

import pytest
import tensorflow as tf

from tfgig import presets
from tfgig.exported.description import (
    SPEC_FILE,
    VERSION,
    Description,
    EndpointDescription,
    Tensor,
    read_description,
    read_labels,
    write_description,
)
from tfgig.image import Overlay
from tfgig.spec import from_config, to_config
from tfgig.targets import ClassScore

IMAGE = Tensor.of(tf.TensorSpec([None, 8, None, 3], tf.float32, "image"))
ENDPOINT = EndpointDescription(
    kind="heatmap",
    method=to_config(presets.get("ig")),
    target=to_config(ClassScore()),
    layer="conv",
    overlay=to_config(Overlay()),
    explained=(IMAGE,),
    output="scores",
)
WHOLE = Description(
    model="flowers",
    inputs=(IMAGE,),
    picture=IMAGE,
    value_range=(-1, 1),
    endpoints={"heatmap_ig": ENDPOINT},
    labels=("rose", "änemone"),
)
# As it was written before descriptions had a version.
OLD = {
    "model": "flowers",
    "inputs": [{"name": "image", "shape": [None, 8, None, 3], "dtype": "float32"}],
    "picture": None,
    "value_range": [0, 255],
    "endpoints": {
        "explain_ig": {
            "kind": "attributions",
            "method": to_config(presets.get("ig")),
            "complete": True,
            "target": to_config(ClassScore()),
            "layer": None,
            "explained": [{"name": "image", "shape": [None, 8, None, 3], "dtype": "float32"}],
            "output": "scores",
        }
    },
}


def write(directory, text):
    path = directory / SPEC_FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return directory


@pytest.mark.parametrize("description", [Description(), WHOLE])
def test_what_is_written_is_read(tmp_path, description):
    write_description(description, tmp_path)
    assert read_description(tmp_path) == description
    assert json.loads((tmp_path / SPEC_FILE).read_text())["version"] == VERSION


def test_methods_and_styles_can_be_made_again(tmp_path):
    write_description(WHOLE, tmp_path)
    found = read_description(tmp_path).endpoints["heatmap_ig"]
    assert from_config(found.method) == presets.get("ig")
    assert from_config(found.overlay) == Overlay()


def test_a_file_without_a_version_is_read(tmp_path):
    found = read_description(write(tmp_path, OLD))
    assert found.inputs == (IMAGE,)
    assert found.value_range == (0, 255)
    assert found.endpoints["explain_ig"].explained == (IMAGE,)
    assert found.endpoints["explain_ig"].overlay is None
    assert found.labels is None
    del OLD["endpoints"]["explain_ig"]["complete"]  # older still
    assert read_description(write(tmp_path, OLD)).endpoints["explain_ig"].complete


def test_fields_of_later_on_are_passed_over(tmp_path):
    config = WHOLE.to_config() | {"lane": {"at_once": 1}}
    config["endpoints"]["heatmap_ig"]["room"] = "block_3"
    assert read_description(write(tmp_path, config)).endpoints == WHOLE.endpoints


def test_another_saved_model_says_nothing(tmp_path):
    assert read_description(tmp_path) == Description()


def test_a_newer_format_is_refused_in_words(tmp_path):
    later = {"version": VERSION + 1, "endpoints": "of a shape nobody knows"}
    message = rf"newer tfgig.*format {VERSION + 1}.*up to {VERSION}.*Upgrade tfgig.*{tmp_path}"
    with pytest.raises(ValueError, match=message):
        read_description(write(tmp_path, later))


@pytest.mark.parametrize(
    "config",
    [
        '{"version": 1, "endp',
        "[]",
        {"version": "1"},
        {"version": True},
        {"endpoints": []},
        {"endpoints": {"explain_ig": {"kind": "attributions"}}},
        {"inputs": [{"name": "image"}]},
        {"inputs": [{"name": "image", "shape": ["wide"], "dtype": "float32"}]},
        {"value_range": [0]},
        {"value_range": ["black", "white"]},
        {"picture": "image"},
        "[" * 100_000,
    ],
)
def test_a_damaged_file_is_an_error_that_says_so(tmp_path, config):
    with pytest.raises(ValueError, match=rf"tfgig\.json'.*damaged.*Received: '{tmp_path}'"):
        read_description(write(tmp_path, config))


def test_labels_have_no_mark_of_an_editors(tmp_path):
    (tmp_path / "labels.txt").write_text("rose\r\n\r\n tulip \n", encoding="utf-8-sig")
    assert read_labels(tmp_path / "labels.txt") == ("rose", "tulip")


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0 a picture", b"rose\0tulip\n"])
def test_labels_that_are_no_text_are_named(tmp_path, content):
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(ValueError, match=r"UTF-8 text.*Received: .*labels\.txt"):
        read_labels(tmp_path / "labels.txt")
