"""Small exported models, and files of every format for them."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.cases import image_model

SHAPE = (12, 10, 3)


@pytest.fixture(scope="session")
def table_model(tmp_path_factory):
    """A version that takes [B, 4] numbers, `ig` and `gradient`."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((4,), name="numbers")
    hidden = keras.layers.Dense(8, activation="tanh")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
    methods = {"ig": tfgig.PathIntegral(steps=4), "gradient": tfgig.methods.Gradient()}
    return tfgig.export_saved_model(model, tmp_path_factory.mktemp("table") / "table", methods)


@pytest.fixture(scope="session")
def picture_model(tmp_path_factory):
    """A version that takes [B, 12, 10, 3] pixels, with heat-maps."""
    path = tmp_path_factory.mktemp("picture") / "picture"
    return tfgig.export_saved_model(
        image_model(shape=SHAPE), path, {"ig": tfgig.PathIntegral(steps=4)}
    )


@pytest.fixture(scope="session")
def numbers():
    """float32 [40, 4]."""
    return np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)


@pytest.fixture(scope="session")
def tables(tmp_path_factory, numbers):
    """The numbers in every format of tables, by its name; row 5 has no third number in texts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("tables")
    names = [f"n{i}" for i in range(4)]
    table = pa.table({"key": list(range(40)), "numbers": numbers.tolist()})
    table = table.append_column("wide", pa.array(["x" * 50] * 40))
    for i, name in enumerate(names):
        table = table.append_column(name, pa.array(numbers[:, i]))
    pq.write_table(table, folder / "rows.parquet", row_group_size=9)
    lines = ['note,"a ""quoted"" name",' + ",".join(names)]
    lines += [f'"two\nlines",{i},' + ",".join(map(repr, map(float, row)))
              for i, row in enumerate(numbers)]  # fmt: skip
    (folder / "rows.csv").write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")
    text = [json.dumps({"key": i, "numbers": row.tolist()}) for i, row in enumerate(numbers)]
    (folder / "rows.jsonl").write_text("\n".join(text) + "\n")
    with tf.io.TFRecordWriter(str(folder / "rows.tfrecord")) as writer:
        for row in numbers:
            value = tf.train.Feature(float_list=tf.train.FloatList(value=row))
            example = tf.train.Example(features=tf.train.Features(feature={"numbers": value}))
            writer.write(example.SerializeToString())
    return folder
