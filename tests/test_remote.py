"""Models at addresses: TensorFlow's ram:// stands for object stores, which have no rename."""

import tarfile
import uuid

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.models import sources
from tfgig import remote
from tfgig.export.publish import RemoteVersion
from tfgig.models import inspection


@pytest.fixture
def base():
    address = f"ram://{uuid.uuid4().hex}/model"
    yield address
    tf.io.gfile.rmtree(address.rpartition("/")[0])


def files(address):
    return sorted(
        f"{folder}/{name}".removeprefix(f"{address}/")
        for folder, _, names in tf.io.gfile.walk(address)
        for name in names
    )


def write(base, number=None, overwrite=False, text="new"):
    version = RemoteVersion(base, number, overwrite)
    with version.incoming() as directory:
        (directory / "saved_model.pb").write_text(text)
        (directory / "variables").mkdir()
        (directory / "variables" / "data").write_text(text)
    return version.directory


def read(address):
    with tf.io.gfile.GFile(address) as file:
        return file.read()


def test_an_export_is_written_to_an_address_and_read_from_there(base, tmp_path):
    model = sources.dense_model(keras)
    address = tfgig.export_saved_model(model, base, ["gradient"], warmup=())
    assert address == f"{base}/1"
    assert "saved_model.pb" in files(address)
    here = tfgig.export_saved_model(model, f"file://{tmp_path}/model", ["gradient"], warmup=())
    assert here == tmp_path / "model" / "1"
    for place in (base, address, f"file://{here}"):
        source = tfgig.load_model(place)
        scores = source.model.serve(tf.constant(sources.X)).values["output_0"]
        np.testing.assert_allclose(scores, model(sources.X), rtol=1e-6)
        found = inspection.inspect_model(place)
        assert found.endpoints
    again = tfgig.export_saved_model(source, base, ["gradient"], warmup=())
    assert again == f"{base}/2"


@pytest.mark.parametrize("suffix", [".keras", ".tar.gz"])
def test_files_are_read_from_an_address(base, tmp_path, suffix):
    model = sources.dense_model(keras)
    file = tmp_path / f"model{suffix}"
    if suffix == ".keras":
        model.save(file)
    else:
        tfgig.export_saved_model(model, tmp_path / "out", ["gradient"], warmup=())
        with tarfile.open(file, "w:gz") as tar:
            tar.add(tmp_path / "out" / "1", arcname=".")
    address = f"{base}/model{suffix}"
    tf.io.gfile.makedirs(base)
    tf.io.gfile.copy(str(file), address)
    source = tfgig.load_model(address)
    assert inspection.inspect_model(address).signatures
    (scores,) = source.model.serve(tf.constant(sources.X)).values.values()
    np.testing.assert_allclose(scores, model(sources.X), rtol=1e-6)


def test_the_graph_is_written_last_and_nothing_is_left_of_what_fails(base, monkeypatch):
    assert write(base) == f"{base}/1"
    copied = []
    copy = tf.io.gfile.copy

    def failing(source, to, overwrite=False):
        copied.append(to)
        if to.endswith("saved_model.pb"):
            raise tf.errors.UnavailableError(None, None, "The store is gone.")
        copy(source, to, overwrite)

    with monkeypatch.context() as patch:
        patch.setattr(tf.io.gfile, "copy", failing)
        with pytest.raises(OSError, match=r"cannot reach.*The store is gone"):
            write(base)
    assert copied == [f"{base}/2/variables/data", f"{base}/2/saved_model.pb"]
    assert files(base) == ["1/saved_model.pb", "1/variables/data"]
    assert write(base, 7) == f"{base}/7"
    assert write(base) == f"{base}/8"


def test_a_version_is_replaced_when_asked(base):
    write(base, 3, text="old")
    with pytest.raises(FileExistsError, match="Version 3 already exists"):
        RemoteVersion(base, 3, False)
    assert write(base, 3, overwrite=True) == f"{base}/3"
    assert read(f"{base}/3/saved_model.pb") == "new"
    with pytest.raises(ValueError, match="version=3"):
        RemoteVersion(f"{base}/3", None, False)


def test_where_directories_are_renamed_the_number_appears_last(tmp_path, monkeypatch):
    """With the files of this machine, whose renaming is that of HDFS."""
    monkeypatch.setattr(remote, "RENAMING", ("file",))
    seen = []
    rename = tf.io.gfile.rename

    def watched(source, to):
        seen.append([path.name for path in tmp_path.iterdir()])
        rename(source, to)

    monkeypatch.setattr(tf.io.gfile, "rename", watched)
    assert write(f"file://{tmp_path}") == f"file://{tmp_path}/1"
    assert len(seen) == 1
    assert seen[0][0].startswith(".incoming-1-")
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    assert (tmp_path / "1" / "variables" / "data").read_text() == "new"


@pytest.mark.parametrize("read_it", [tfgig.load_model, inspection.inspect_model, remote.fetch])
def test_what_is_not_there_is_said(base, read_it):
    tf.io.gfile.makedirs(base)
    with pytest.raises(FileNotFoundError, match=r"There is n|Nothing exists"):
        read_it(f"{base}/none")
