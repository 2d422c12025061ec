import keras
import pytest

import tfgig
from tests.models import sources
from tfgig.local import local_path


@pytest.mark.parametrize("text", ["gs://bucket/model", "s3://b/m", "hdfs://host/m", "gs:/b/m"])
def test_an_address_is_no_local_directory(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"this machine's file system.*its own|copy it there"):
        local_path(text)
    with pytest.raises(ValueError, match="Received: '"):
        tfgig.export_saved_model(sources.dense_model(keras), text)
    with pytest.raises(ValueError, match="Received: '"):
        tfgig.load_model(text)
    assert not list(tmp_path.iterdir())


def test_a_file_address_is_said_as_a_path():
    with pytest.raises(ValueError, match="give the path itself, '/models/name'"):
        local_path("file:///models/name")


@pytest.mark.parametrize("text", ["models/name", "/models/1", "C:/models", "a:b", "./gs:/x"])
def test_paths_are_paths(text):
    assert str(local_path(text)) in (text, text.removeprefix("./"))
