"""Features of `tf.Example` keep their names, whatever parses them."""

import numpy as np
import pytest
import tensorflow as tf

import tfgig

WEIGHTS = np.random.default_rng(3).normal(size=(4, 2)).astype(np.float32)
ROWS = [{"age": 3, "place": [0.5, -1.0], "rooms": 2}, {"age": 1, "place": [0.0, 2.0], "rooms": 4}]
WHOLE, FLOATS = tf.int64, tf.io.FixedLenFeature([2], tf.float32)
FIXED = {
    "age": tf.io.FixedLenFeature([1], WHOLE),
    "place": FLOATS,
    "rooms": tf.io.FixedLenFeature([], WHOLE),
}


def dense(found):
    age, rooms = (tf.cast(tf.reshape(found[n], [-1, 1]), tf.float32) for n in ("age", "rooms"))
    return tf.nn.softmax(tf.tanh(tf.concat([age, found["place"], rooms], 1) @ WEIGHTS))


def batch(examples):
    return tf.io.parse_example(examples, FIXED)


def row_by_row(examples):
    specs = {name: tf.TensorSpec(kind.shape, kind.dtype) for name, kind in FIXED.items()}
    return tf.map_fn(
        lambda one: tf.io.parse_single_example(one, FIXED), examples, fn_output_signature=specs
    )


def row_by_row_as_floats(examples):
    def parsed(one):
        found = tf.io.parse_single_example(one, FIXED)
        return {name: tf.cast(value, tf.float32) for name, value in found.items()}

    specs = {name: tf.TensorSpec(kind.shape, tf.float32) for name, kind in FIXED.items()}
    return tf.map_fn(parsed, examples, fn_output_signature=specs)


def sparse(examples):
    found = tf.io.parse_example(examples, {**FIXED, "age": tf.io.VarLenFeature(WHOLE)})
    one = tf.SparseTensor(found["age"].indices, found["age"].values, [tf.size(examples), 1])
    return {**found, "age": tf.sparse.to_dense(one)}


def ragged(examples):
    found = tf.io.parse_example(examples, {**FIXED, "age": tf.io.RaggedFeature(WHOLE)})
    return {**found, "age": found["age"].to_tensor(shape=[None, 1])}


def as_tensorflow_1(examples):
    age, rooms, place = tf.raw_ops.ParseExample(
        serialized=examples,
        names=tf.constant([], tf.string),
        sparse_keys=[],
        dense_keys=[b"age", b"rooms", b"place"],
        dense_defaults=[tf.constant([], dtype) for dtype in (WHOLE, WHOLE, tf.float32)],
        sparse_types=[],
        dense_shapes=[[1], [], [2]],
    ).dense_values
    return {"age": age, "rooms": rooms, "place": place}


def example(row):
    whole = {name: tf.train.Int64List(value=[row[name]]) for name in ("age", "rooms")}
    features = {name: tf.train.Feature(int64_list=value) for name, value in whole.items()}
    place = tf.train.FloatList(value=row["place"])
    features["place"] = tf.train.Feature(float_list=place)
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


@pytest.mark.parametrize(
    "parse", [batch, row_by_row, row_by_row_as_floats, sparse, ragged, as_tensorflow_1]
)
@pytest.mark.filterwarnings("error")  # rows are made up that the model takes
def test_features_keep_their_names(tmp_path, parse):
    made = tf.Module()
    made.serve = tf.function(
        lambda examples: {"scores": dense(parse(examples))},
        input_signature=[tf.TensorSpec([None], tf.string, "examples")],
    )
    tf.saved_model.save(made, str(tmp_path), signatures=made.serve)
    source = tfgig.load_model(tmp_path)
    names = {"attributions_age", "attributions_place", "attributions_rooms"}
    assert set(source.cut.attribution_names) == names
    found = tfgig.Explainer(source, "gradient")(np.array([example(row) for row in ROWS]), target=1)
    features = tf.constant([[row["age"], *row["place"], row["rooms"]] for row in ROWS], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(features)
        parts = {"age": features[:, 0], "place": features[:, 1:3], "rooms": features[:, 3]}
        score = dense(parts)[:, 1]
    expected = tape.gradient(score, features).numpy()
    parts = [found[f"attributions_{name}"] for name in ("age", "place", "rooms")]
    flat = np.concatenate([np.reshape(part, [len(ROWS), -1]) for part in parts], 1)
    np.testing.assert_allclose(flat, expected, rtol=1e-4, atol=1e-7)
