"""What is given to strangers' files, and which errors it may answer with.

Each entry of `targets` makes examples by chance, and has a function of one of them that returns, or
raises what its documentation names. Anything else is a fault.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import random
import shutil
import warnings
from collections.abc import Callable
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf
from absl import flags
from PIL import Image
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tfgig_tools import explain, model_flags, program

import tfgig
from tests.fuzz import damage
from tfgig.evaluation.dataset import Directory
from tfgig.exported.description import LABELS_FILE, SPEC_FILE, read_description, read_labels
from tfgig.image.files import read_image
from tfgig.models.inspection import inspect_model
from tfgig.models.sources import archive
from tfgig.serving import SessionModel
from tfgig.serving.deployment.contract import check_contract
from tfgig.serving.protocol.errors import InvalidRequest
from tfgig.serving.protocol.explanation import predict_request
from tfgig.serving.protocol.json_body import parse, signature_name
from tfgig.serving.protocol.json_requests import decode_inputs

_FILE = (OSError, ValueError)  # what a file that is none is answered with, everywhere


@dataclasses.dataclass(frozen=True)
class Target:
    """How an example is made, what is done with it, and the errors that are documented."""

    example: Callable[[random.Random], Any]
    call: Callable[[Any], Any]
    documented: tuple[type[Exception], ...] = _FILE
    share: int = 1  # of the time


def by(damaging, *samples):
    """Examples made of one of some samples."""
    return lambda random: damaging(random, random.choice(samples))


def targets(folder):
    """All of them by name; samples and damaged files lie in a folder."""
    flags.FLAGS(["fuzz"])
    made = {}
    for add in (_keras, _saved_models, _archives, _images, _texts, _bodies, _datasets):
        made.update(add(folder))
    return made


def _keras(folder):
    inputs = keras.Input((6, 6, 1), name="image")
    hidden = keras.layers.Rescaling(1 / 255)(inputs)
    hidden = keras.layers.Conv2D(2, 3, activation="relu")(hidden)
    hidden = keras.layers.BatchNormalization()(hidden)
    hidden = keras.layers.GlobalAveragePooling2D()(hidden)
    scores = keras.layers.Dense(3, "softmax", name="scores")(hidden)
    pixels = keras.Model(inputs, scores)
    words = keras.Input((4,), dtype="int32")
    hidden = keras.layers.Flatten()(keras.layers.Embedding(9, 2)(words))
    text = keras.Model(words, keras.layers.Dense(2)(hidden))
    samples = {}
    for suffix in ("keras", "h5"):
        samples[suffix] = []
        for name, model in (("pixels", pixels), ("text", text)):
            path = folder / f"{name}.{suffix}"
            model.save(path)
            samples[suffix].append(path.read_bytes())
    how = {"json": damage.damaged_json}

    def zipped(random):
        return damage.damaged_zip(random, random.choice(samples["keras"]), how)

    def flipped(random):
        return random.choice([damage.damaged, _h5_config])(random, random.choice(samples["h5"]))

    def load(suffix):
        def call(content):
            path = folder / f"damaged.{suffix}"
            path.write_bytes(content)
            _quietly(tfgig.load_model, path)

        return call

    return {
        "keras": Target(zipped, load("keras"), share=4),
        "h5": Target(flipped, load("h5"), share=4),
    }


def _h5_config(random, sample):
    """An `.h5` file whose configuration is another."""
    content = io.BytesIO(sample)
    with h5py.File(content, "r+") as file:
        config = file.attrs["model_config"].encode()
        file.attrs["model_config"] = damage.damaged_json(random, config).replace(b"\0", b"")
    return content.getvalue()


def _saved_models(folder):
    whole = folder / "whole"
    module = tf.Module()
    ids = tf.lookup.KeyValueTensorInitializer(
        tf.constant([0, 1], tf.int64), tf.constant([1.0, 2.0])
    )
    module.table = tf.lookup.StaticHashTable(ids, 0.0)
    module.w = tf.Variable(tf.ones([4, 3]))

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")])
    def call(x):
        scale = module.table.lookup(tf.zeros([1], tf.int64))
        return {"y": tf.nn.softmax(tf.tanh(x) @ module.w * scale)}

    module.call = call
    tf.saved_model.save(module, str(whole), signatures=call)
    (whole / SPEC_FILE).parent.mkdir()
    (whole / SPEC_FILE).write_text(json.dumps(_description()))
    (whole / LABELS_FILE).write_text("one\ntwo\nthree\n")
    message = saved_model_pb2.SavedModel()
    message.ParseFromString((whole / "saved_model.pb").read_bytes())

    names = [str(path.relative_to(whole)) for path in sorted(whole.rglob("*")) if path.is_file()]
    names = [name for name in names if not name.startswith("assets.extra")]

    def changed(random):
        """One file of the directory by its path, damaged, or the graph as the message it is."""
        if random.random() < 0.5:
            return "saved_model.pb", damage.damaged_message(random, message).SerializeToString()
        name = random.choice(names)
        return name, damage.damaged(random, (whole / name).read_bytes())

    def placed(change):
        name, content = change
        directory = folder / "damaged"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(whole, directory)
        (directory / name).write_bytes(content)
        return directory

    def load(change):
        tf.keras.backend.clear_session()
        _quietly(tfgig.load_model, placed(change))

    def serve(change):
        SessionModel(placed(change)).close()

    def look(change):
        directory = str(placed(change))
        check_contract(directory)
        _quietly(inspect_model, directory)

    def described(content):
        directory = placed((str(SPEC_FILE), content))
        read_description(directory)
        check_contract(directory)
        flags.FLAGS.model = str(directory)
        _in_words(explain.main, ["explain", str(folder / "sample.png")])

    Image.new("RGB", (8, 8)).save(folder / "sample.png")
    return {
        "load": Target(changed, load, share=6),
        "inspect": Target(changed, look, share=6),
        "serve": Target(changed, serve, share=3),
        "tfgig.json": Target(by(damage.damaged_json, damage.text(_description())), described),
    }


def _description():
    """What an export says of itself, with every kind of entry."""
    tensor = {"name": "image", "shape": [None, 8, 8, 3], "dtype": "float32"}
    method = tfgig.spec.to_config(tfgig.presets.get("ig"))
    endpoint = {
        "kind": "attributions",
        "method": method,
        "target": tfgig.spec.to_config(tfgig.targets.ClassScore()),
        "complete": True,
        "layer": None,
        "explained": [tensor],
        "output": "y",
    }
    return {
        "version": 1,
        "model": "m",
        "inputs": [tensor],
        "picture": tensor,
        "value_range": [0, 255],
        "lane": {"at_once": 1, "waiting": 4, "rows": 0},
        "endpoints": {
            "explain_ig": endpoint,
            "heatmap_ig": {
                **endpoint,
                "kind": "heatmap",
                "overlay": tfgig.spec.to_config(tfgig.image.Overlay()),
            },
        },
    }


def _archives(folder):
    files = {"1/saved_model.pb": b"x" * 700, "1/variables/variables.index": b"", "1/a": b"a"}

    def unpack(content):
        path, inside = folder / "damaged.tar.gz", folder / "unpacked" / "inside"
        path.write_bytes(content)
        shutil.rmtree(inside.parent, ignore_errors=True)
        inside.mkdir(parents=True)
        try:
            archive.unpack(path, inside, 1 << 20)
            archive.root(inside)
        finally:
            assert [p.name for p in inside.parent.iterdir()] == ["inside"], "it led outside"
            assert not any(p.is_symlink() for p in inside.rglob("*")), "a link"

    return {"archive": Target(by(damage.archives, files), unpack)}


_PICTURES = {
    "bmp": {},
    "gif": {},
    "jpeg": {},
    "jp2": {},
    "png": {},
    "ppm": {},
    "tiff": {"compression": "tiff_lzw"},
    "webp": {},
}


def _images(folder):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 9, 3))
    picture = Image.fromarray(pixels.astype(np.uint8))
    samples = []
    for suffix, options in _PICTURES.items():
        file = io.BytesIO()
        picture.save(file, {"jp2": "JPEG2000"}.get(suffix, suffix.upper()), **options)
        samples.append(file.getvalue())
    rotated = Image.Exif()
    rotated[0x0112] = 6
    file = io.BytesIO()
    picture.save(file, "JPEG", exif=rotated)
    samples.append(file.getvalue())

    def read(content):
        path = folder / "damaged.png"
        path.write_bytes(content)
        shape = 8, 8, 1 + 2 * (len(content) % 2)
        pixels = _quietly(read_image, path, shape)
        assert pixels.shape == shape

    return {"image": Target(by(damage.damaged, *samples), read, (OSError,))}


def _texts(folder):
    labels = "\ufeffcat\r\nGrünspecht\nl'été\n\n".encode()
    file = io.BytesIO()
    np.savez(file, image=np.ones((2, 3), np.float32), text=np.array([b"a", b"b"]))
    rows = damage.text({"x": [[1, 2], [3, 4]], "y": [{"b64": "AAAA"}, {"b64": "/w=="}]})

    def reading(name, read):
        def call(content):
            (folder / name).write_bytes(content)
            read(str(folder / name))

        return call

    return {
        "labels": Target(by(damage.damaged, labels), reading("labels.txt", read_labels)),
        "example.json": Target(
            by(damage.damaged_json, rows), reading("rows.json", model_flags.read_example)
        ),
        "example.npz": Target(
            by(damage.damaged_zip, file.getvalue()), reading("rows.npz", model_flags.read_example)
        ),
    }


def _definitions():
    """Signatures of every type that requests come in."""
    made = {}
    shapes = {"image": [-1, 2, 2], "target": [-1], "text": [-1], "flags": [-1, 2], "any": None}
    kinds = {
        "image": types_pb2.DT_FLOAT,
        "target": types_pb2.DT_INT64,
        "text": types_pb2.DT_STRING,
        "flags": types_pb2.DT_BOOL,
        "any": types_pb2.DT_UINT8,
    }
    for name, wanted in {"serving_default": ["image"], "explain_ig": list(shapes)}.items():
        made[name] = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
        for key in wanted:
            info = made[name].inputs[key]
            info.name, info.dtype = f"{key}:0", kinds[key]
            if shapes[key] is None:
                info.tensor_shape.unknown_rank = True
                continue
            for size in shapes[key]:
                info.tensor_shape.dim.add(size=size)
    for key in ("attributions", "target", "score", "delta", "ok"):
        made["explain_ig"].outputs[key].name = key
    return made


def _bodies(folder):
    definitions = _definitions()
    row = {
        "image": [[1, 2.5], [3, -4]],
        "target": -1,
        "text": {"b64": "AAAA"},
        "flags": [True, False],
        "any": [1, 2],
    }
    columns = {name: [value] for name, value in row.items()}
    documents = [
        {"signature_name": "explain_ig", "instances": [row, row]},
        {"signature_name": "explain_ig", "inputs": columns},
        {"instances": [[[1, 2], [3, 4]]]},
        {"instances": [row], "method": "ig", "target": 1},
    ]

    def predict(content):
        request = parse(content)
        name = signature_name(request) or "explain_ig"
        if name in definitions:
            decode_inputs(request, definitions[name], name)

    def explained(content):
        request = predict_request(parse(content), definitions)
        name = signature_name(request)
        decode_inputs(request, definitions[name], name)

    bodies = by(damage.damaged_json, *map(damage.text, documents))
    return {
        "predict": Target(bodies, predict, (InvalidRequest,)),
        "explain": Target(bodies, explained, (InvalidRequest,)),
    }


def _datasets(folder):
    directory = folder / "dataset"
    directory.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (8, 8)).save(directory / f"{name}.png")
    table = b"file,label,top,left,bottom,right\na.png,1,0,0,4,4\nb.png,2,,,,\n"

    def read(content):
        (directory / "labels.csv").write_bytes(content)
        list(Directory(str(directory)).items((8, 8, 3)))

    return {"labels.csv": Target(by(damage.damaged, table), read)}


def _quietly(call, *arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*arguments)


def _in_words(main, arguments):
    """A program's `main` as the program runs it: errors become one line, and nothing else does."""
    said, printed = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed):
        status = _quietly(program.report_errors, main, arguments)
    if status:
        assert said.getvalue().startswith("error: ") or printed.getvalue(), said.getvalue()
    return status
