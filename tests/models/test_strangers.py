"""Files of strangers: what they may not do, and what is said of them."""

import io
import json
import re
import resource
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.models import sources
from tfgig import keras_archive
from tfgig.models.inspection import inspect_model


def dense(path):
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(3, name="scores")(inputs)).save(path)
    return path


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path, compression=zipfile.ZIP_STORED, **changes):
    """A `.keras` file with some of its members exchanged, by their names without suffix."""
    found = members(path)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in found.items():
            archive.writestr(name, changes.get(name.partition(".")[0], content))
    return path


def configured(path, change):
    """A `.keras` file whose configuration was changed."""
    return rewritten(path, config=change(members(path)["config.json"].decode()))


def refused(path, *fragments):
    with pytest.raises(ValueError, match=".*".join(map(re.escape, fragments))) as caught:
        tfgig.load_model(path)
    assert "\n" not in str(caught.value)
    assert "Received: " in str(caught.value)
    return str(caught.value)


# What a file would have the reader do


def test_a_vocabulary_of_the_readers_is_not_read_and_the_flag_for_code_not_offered(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("word\n")
    inputs = keras.Input((), dtype="string")
    lookup = keras.layers.StringLookup(vocabulary=["word"])
    path = tmp_path / "model.keras"
    keras.Model(inputs, lookup(inputs)).save(path)
    lists = re.compile(r'"vocabulary": (\[.*?\]|null)')
    configured(path, lambda text: lists.sub(f'"vocabulary": {json.dumps(str(secret))}', text))
    message = refused(path, "Keras rejects the file", "vocabulary file", "Do not trust")
    assert "allow_unsafe" not in message
    assert "safe_mode" not in message


def test_a_saved_model_beside_a_file_is_not_loaded(tmp_path):
    path = dense(tmp_path / "model.keras")
    text = json.dumps({"module": "keras.layers", "class_name": "TFSMLayer", "registered_name": None,
                       "config": {"filepath": str(tmp_path), "name": "there"}})  # fmt: skip
    configured(path, lambda _: text)
    found = refused(path, "contains a TFSMLayer", "the path of a SavedModel", str(tmp_path))
    assert "allow_unsafe" not in found


def test_a_file_that_keras_wrote_of_a_saved_model_is_refused_for_what_it_is(tmp_path):
    sources.dense_model(keras).export(tmp_path / "there", verbose=False)
    features = keras.Input((sources.FEATURES,), name="features")
    there = keras.layers.TFSMLayer(str(tmp_path / "there"), call_endpoint="serve")
    live = keras.Model(features, there(features))
    live.save(tmp_path / "model.keras")
    refused(tmp_path / "model.keras", "contains a TFSMLayer", str(tmp_path / "there"))
    found = tfgig.Explainer(live, "gradient")(sources.X, target=1)
    expected = sources.gradient_of(sources.X, 1)
    np.testing.assert_allclose(found["attributions"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("kind", ["link", "external", "virtual"])
def test_weights_from_another_file_are_refused(tmp_path, suffix, compression, kind):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.ones((4, 3), np.float32)
    path = dense(tmp_path / f"model{suffix}")
    inside = io.BytesIO(path.read_bytes() if suffix == ".h5" else members(path)["model.weights.h5"])
    with h5py.File(inside, "r+") as file:
        found = []
        file.visititems(lambda n, v: found.append(n) if isinstance(v, h5py.Dataset) else None)
        group, _, name = found[0].rpartition("/")
        del file[found[0]]
        if kind == "link":
            file[group][name] = h5py.ExternalLink(str(tmp_path / "other.h5"), "secret")
        elif kind == "external":
            there = [(str(tmp_path / "raw"), 0, 48)]
            file[group].create_dataset(name, (4, 3), "f4", external=there)
        else:
            layout = h5py.VirtualLayout((4, 3), "f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (4, 3))
            file[group].create_virtual_dataset(name, layout)
    if suffix == ".h5":
        path.write_bytes(inside.getvalue())
    else:
        rewritten(path, compression, model=inside.getvalue())
    refused(path, "from another file on this machine", "Do not trust it")


def test_a_file_over_which_hdf5_never_ends_is_refused_in_words(tmp_path, monkeypatch):
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"  # a text lies in a heap, whose entries have their size
    content = bytearray(path.read_bytes())
    entry = content.find(b"GCOL") + 16
    content[entry + 8 : entry + 16] = bytes(8)  # and so the next is the same again
    path.write_bytes(content)
    monkeypatch.setattr(keras_archive, "_SECONDS", 3)
    refused(path, "malicious", "did not return in 3 s", "do not trust it")


# What a file says of its size


def test_what_unpacks_to_far_more_than_it_is_takes_no_memory(tmp_path):
    path = dense(tmp_path / "model.keras")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rewritten(path, zipfile.ZIP_DEFLATED, config=b" " * (300 << 20))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert path.stat().st_size < 1 << 20
    refused(path, "unpacks to 300 MiB", "Do not trust it")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - after < 64 << 10  # KiB
    assert after - before < 2 << 20


def test_a_configuration_has_a_bound_of_its_own(tmp_path):
    path = dense(tmp_path / "model.keras")
    rewritten(path, zipfile.ZIP_DEFLATED, config=b" " * (65 << 20))
    refused(path, "'config.json' unpacks to 65 MiB, more than the limit of 64 MiB")


def test_weights_that_swell_are_refused(tmp_path):
    path = dense(tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        file.create_dataset("swollen", (1 << 29,), "f4", chunks=(1 << 20,), compression="gzip")
    refused(path, "unpacks to 2048 MiB")


@pytest.mark.parametrize(
    ("change", "fragments"),
    [
        (lambda text: "[" * 100_000, ("nested more than 500 levels deep",)),
        (lambda text: "[" * 600 + "]" * 600, ("nested more than 500 levels deep",)),
        (lambda text: text[:-9], ("configuration is damaged", "copy it again")),
        (lambda text: "[]", ("Keras cannot rebuild the model",)),
        (lambda text: text.replace('"units": 3', '"units": 10000000000'), ("units=10000000000",)),
        (lambda text: text.replace('"units": 3', '"units": "x"'), ("Keras cannot rebuild",)),
        (lambda text: text.replace("Dense", "Dens\\u001b[31m"), ("Keras cannot rebuild",)),
    ],
)
def test_a_configuration_that_is_none(tmp_path, change, fragments):
    refused(configured(dense(tmp_path / "model.keras"), change), *fragments)


def test_a_later_keras_is_named(tmp_path):
    path = dense(tmp_path / "model.keras")
    rewritten(
        path,
        metadata=b'{"keras_version": "3.99.0"}',
        config=members(path)["config.json"].replace(b'"units": 3', b'"units": 3, "news": 1'),
    )
    refused(path, "saved by Keras 3.99.0", f"Keras {keras.__version__} cannot read it", "'news'")


# SavedModels are programs


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("variables/variables.index", b"x" * 100),
        ("variables/variables.data-00000-of-00001", b"\0"),
        ("saved_model.pb", b"x"),
        ("saved_model.pb", None),
    ],
)
def test_a_saved_model_whose_file_is_damaged_or_missing(tmp_path, name, content):
    sources.module(tmp_path / "model", tmp_path)
    (tmp_path / "model" / name).unlink()
    if content is not None:
        (tmp_path / "model" / name).write_bytes(content)
    for look in (tfgig.load_model, inspect_model):
        with pytest.raises((ValueError, OSError), match=r"(?i)saved.?model"):
            look(str(tmp_path / "model"))


def writes_a_file(kind, directory, mark):
    """A SavedModel that writes a file when it is loaded, or when it is called."""

    class Table(tf.lookup.KeyValueTensorInitializer):
        def initialize(self, table):
            with tf.control_dependencies([tf.io.write_file(str(mark), "was here")]):
                return super().initialize(table)

    if kind == "tensorflow 1":
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            x = tf.compat.v1.placeholder(tf.float32, [None, 4], "x")
            y = tf.identity(tf.square(x), "y")
            tf.compat.v1.saved_model.simple_save(session, str(directory), {"x": x}, {"y": y})
            builder = tf.compat.v1.saved_model.Builder(str(directory) + "2")
            signature = tf.compat.v1.saved_model.predict_signature_def({"x": x}, {"y": y})
            builder.add_meta_graph_and_variables(
                session,
                ["serve"],
                {"serving_default": signature},
                main_op=tf.io.write_file(str(mark), "was here"),
            )
            builder.save()
        return directory.with_name(directory.name + "2")
    module = tf.Module()
    words = Table(tf.constant([1], tf.int64), tf.constant([1], tf.int64))
    module.table = tf.lookup.StaticHashTable(words, 0)
    module.w = tf.Variable(tf.ones([4, 3]))

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")])
    def call(x):
        row = module.table.lookup(tf.ones([1], tf.int64))
        return {"y": x @ module.w + tf.cast(tf.reshape(row, [1]), tf.float32)}

    module.call = call
    tf.saved_model.save(module, str(directory), signatures=call)
    return directory


@pytest.mark.parametrize("kind", ["tensorflow 2", "tensorflow 1"])
def test_looking_at_a_saved_model_runs_nothing_of_it_and_says_what_it_would_touch(tmp_path, kind):
    mark = tmp_path / "written"
    model = writes_a_file(kind, tmp_path / "model", mark)
    mark.unlink(missing_ok=True)
    found = inspect_model(str(model))
    assert not mark.exists()
    assert found.touches == ("WriteFile",)
    report = found.signatures["serving_default"]
    assert report.obstacle is None
    assert report.outputs == {"y": f"float32 [None, {4 if kind == 'tensorflow 1' else 3}]"}
    tf.saved_model.load(str(model))  # it is no harmless one
    assert mark.exists()


def test_what_saves_and_restores_weights_is_not_noted(tmp_path):
    sources.module(tmp_path / "model", tmp_path)
    assert inspect_model(str(tmp_path / "model")).touches == ("InitializeTableFromTextFileV2",)
    sources.builder(tmp_path / "old", tmp_path)
    assert inspect_model(str(tmp_path / "old")).touches == ()
