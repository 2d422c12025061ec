import pathlib

import keras
import pytest

import tfgig
from tests.models import sources
from tfgig.exported.directory import latest, model_directory
from tfgig.local import local_path


@pytest.mark.parametrize("text", ["gs://bucket/model", "s3://b/m", "hdfs://host/m", "gs:/b/m"])
def test_an_address_is_no_local_directory(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for read in (local_path, latest, model_directory):
        with pytest.raises(ValueError, match=r"Only local paths.*copy it to"):
            read(text)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["s3://b/m", "hdfs://host/m", "gs:/b/m"])
def test_what_tensorflow_has_no_file_system_for_is_refused(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "drops one slash" if text.startswith("gs") else r"TensorFlow has no file system.*ram://"
    with pytest.raises(ValueError, match=rf"{words}.*Received: '{text}"):
        tfgig.export_saved_model(sources.dense_model(keras), text)
    with pytest.raises(ValueError, match=rf"{words}.*Received: '{text}"):
        tfgig.load_model(text)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text", ["file:///models/name", "file:/models/name", "file://localhost/models/name"]
)
def test_a_file_address_is_a_path(text):
    assert local_path(text) == pathlib.Path("/models/name")


@pytest.mark.parametrize("text", ["file://models/name", "file:////models"])
def test_a_file_address_of_another_machine_is_none(text):
    with pytest.raises(ValueError, match="write file:///models/name"):
        local_path(text)


@pytest.mark.parametrize("text", ["models/name", "/models/1", "C:/models", "a:b", "./gs:/x"])
def test_paths_are_paths(text):
    assert str(local_path(text)) in (text, text.removeprefix("./"))
