"""Rows are rows: wherever a row's numbers could be another's, it is refused, or right."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.models import sources
from tfgig.exported.description import read_description
from tfgig.models.inspection import inspect_model
from tfgig.serving.deployment.contract import check_contract

IG = tfgig.PathIntegral(steps=8)
RANDOM = np.random.default_rng(11)
TABLE = RANDOM.normal(size=(64, 4)).astype(np.float32)
SLOPE = RANDOM.normal(size=(4, 3)).astype(np.float32)
TEXT = tf.TensorSpec([None], tf.string, "text")
VECTOR = tf.TensorSpec([None, 4], tf.float32, "x")
L = keras.layers


def saved(path, function, *specs):
    """A SavedModel of `function(module, *inputs)`, whose module has a table and a slope."""
    made = tf.Module()
    made.table, made.slope = tf.Variable(TABLE), tf.Variable(SLOPE)
    made.serve = tf.function(lambda *inputs: function(made, *inputs), input_signature=specs)
    tf.saved_model.save(made, str(path), signatures=made.serve)
    return path


def bag_of_words(module, text):
    words = tf.strings.split(text).to_sparse()
    ids = tf.strings.to_hash_bucket_fast(words.values, 64)
    ids = tf.SparseTensor(words.indices, ids, words.dense_shape)
    mean = tf.nn.safe_embedding_lookup_sparse(module.table, ids, combiner="mean")
    return {"scores": tf.nn.softmax(mean @ module.slope)}


def sparse_features(module, examples):
    """As TensorFlow Transform fills in what is missing."""
    kind = tf.io.VarLenFeature(tf.float32)
    found = tf.io.parse_example(examples, {"age": kind, "height": kind})
    columns = []
    for name, missing in (("age", 0.5), ("height", -1.0)):
        sparse = found[name]
        sparse = tf.SparseTensor(sparse.indices, sparse.values, [sparse.dense_shape[0], 1])
        columns.append(tf.squeeze(tf.sparse.to_dense(sparse, missing), axis=1))
    return {"scores": tf.nn.softmax(tf.tanh(tf.stack(columns, 1) @ module.slope[:2]))}


def flat_body(module, ids):
    rows = tf.gather(module.table, tf.reshape(ids, [-1]), name="look_up")
    body = tf.tanh(rows @ module.slope, name="body")
    folded = tf.reshape(body, [tf.shape(ids)[0], -1, 3], name="folded")
    return {"scores": tf.nn.softmax(tf.reduce_mean(folded, 1))}


def normalised(module, x):
    hidden = x @ module.slope
    mean, variance = tf.nn.moments(hidden, [0])
    return {"scores": tf.nn.softmax(tf.nn.batch_normalization(hidden, mean, variance, 0, 1, 1e-3))}


def fused(module, x):
    hidden = tf.reshape(x @ module.slope, [-1, 1, 1, 3])
    hidden, _, _ = tf.compat.v1.nn.fused_batch_norm(
        hidden, tf.ones([3]), tf.zeros([3]), epsilon=1e-3, is_training=True
    )
    return {"scores": tf.nn.softmax(hidden[:, 0, 0])}


def dropped(module, x):
    return {"scores": tf.nn.softmax(tf.nn.dropout(x, 0.1) @ module.slope)}


def branching(module, x):
    return {"scores": tf.cond(x[0, 0] > x[-1, 0], lambda: x, lambda: 2 * x) @ module.slope}


def padded(module, text):
    words = tf.strings.split(text).to_tensor("")
    rows = tf.gather(module.table, tf.strings.to_hash_bucket_fast(words, 64), name="look_up")
    return {"scores": tf.nn.softmax(tf.reduce_mean(tf.tanh(rows), 1) @ module.slope)}


def masked(module, text):
    words = tf.strings.split(text).to_tensor("")
    rows = tf.gather(module.table, tf.strings.to_hash_bucket_fast(words, 64), name="look_up")
    mask = tf.cast(words != "", tf.float32)[..., tf.newaxis]
    mean = tf.reduce_sum(mask * tf.tanh(rows), 1) / tf.reduce_sum(mask, 1)
    return {"scores": tf.nn.softmax(mean @ module.slope)}


REFUSED = {
    "the batch is normalised": (normalised, VECTOR, None, r"'scores' depends.*training=False"),
    "fused normalisation": (fused, VECTOR, None, r"FusedBatchNormV3.*over the batch.*training"),
    "dropout": (dropped, VECTOR, None, r"RandomUniform.*draws random numbers.*training=False"),
    "a branch": (branching, VECTOR, None, r"'scores' depends on other rows"),
    "texts of the batch's length": (padded, TEXT, "look_up", r"pad them to a fixed length"),
    "a row for each word": (
        bag_of_words,
        TEXT,
        "embedding_lookup/embedding_lookup_sparse/embedding_lookup",
        r"layer='embedding_lookup/embedding_lookup_sparse'.*must have the batch",
    ),
    "a row for each position": (
        flat_body,
        tf.TensorSpec([None, None], tf.int32, "ids"),
        "body",
        r"layer='folded'.*'body' has \d+ rows for a batch of 3",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_rows_that_are_none_are_refused(tmp_path, name):
    function, spec, layer, message = REFUSED[name]
    saved(tmp_path / "model", function, spec)
    with pytest.raises(ValueError, match=message):
        tfgig.load_model(tmp_path / "model", layer=layer)


SUGGESTED = {
    "bag of words": (bag_of_words, TEXT, np.array(["two one", "two", "two one a b"])),
    "a row for each position": (
        flat_body,
        tf.TensorSpec([None, None], tf.int32, "ids"),
        np.array([[1, 2], [3, 3], [1, 3]]),
    ),
    "masked": (masked, TEXT, np.array(["two one", "two", "two one a b"])),
}


@pytest.mark.parametrize("name", SUGGESTED)
def test_the_layer_that_is_suggested_is_taken_and_its_rows_are_rows(tmp_path, name):
    function, spec, asked = SUGGESTED[name]
    saved(tmp_path / "model", function, spec)
    with pytest.raises(ValueError, match=r"has no float input.*layer='") as refusal:
        tfgig.load_model(tmp_path / "model")
    layer = str(refusal.value).split("layer='")[1].split("'")[0]
    explainer = tfgig.Explainer(tfgig.load_model(tmp_path / "model", layer=layer), IG)
    check_rows(explainer, asked, target=1)


def check_rows(explainer, asked, target):
    """Each row alone is as in the batch."""
    together = explainer(asked, target=target)
    assert together["ok"].numpy().all()
    for row in range(len(asked)):
        alone = explainer(asked[row : row + 1], target=target)
        for key, value in alone.items():
            beside, value = together[key].numpy()[row], value.numpy()[0]
            if key == "token_text":  # as far as a shorter text goes
                assert not any(beside[len(value) :])
                assert list(value) == list(beside[: len(value)])
                continue
            if beside.ndim == 2:  # likewise
                np.testing.assert_allclose(beside[len(value) :], 0, atol=1e-6)
                beside = beside[: len(value)]
            np.testing.assert_allclose(value, beside, rtol=1e-4, atol=1e-6)


def test_a_bag_of_ids_is_explained_token_by_token_where_its_tokens_have_places(tmp_path):
    """A Keras bag has a place a token; a sparse one has one a row, and says as much in all."""

    def sparse(module, ids):
        bag = tf.sparse.from_dense(ids)
        mean = tf.nn.safe_embedding_lookup_sparse(module.table, bag, combiner="mean", name="bag")
        return {"scores": mean @ module.slope}

    ids = keras.Input((5,), dtype="int64", name="ids")
    words = L.Embedding(64, 4, mask_zero=True, name="words")(ids)
    model = keras.Model(ids, L.Dense(3, use_bias=False)(L.GlobalAveragePooling1D()(words)))
    model.set_weights([TABLE, SLOPE])
    asked = np.array([[3, 5, 7, 0, 0], [2, 2, 9, 4, 1]])
    found = tfgig.Explainer(model, IG, layer="words")(asked, target=1)
    counts = (asked > 0).sum(1)[:, np.newaxis]
    tokens = np.where(asked > 0, TABLE[asked] @ SLOPE[:, 1] / counts, 0)
    np.testing.assert_allclose(np.sum(found["attributions"], -1), tokens, atol=1e-5)

    saved(tmp_path / "model", sparse, tf.TensorSpec([None, 5], tf.int64, "ids"))
    combined = tfgig.load_model(tmp_path / "model", layer="bag/embedding_lookup_sparse")
    whole = tfgig.Explainer(combined, IG)(asked, target=1)
    np.testing.assert_allclose(np.sum(whole["attributions"], -1), tokens.sum(-1), atol=1e-5)


def example(**features):
    made = tf.train.Example()
    for key, value in features.items():
        made.features.feature[key].float_list.value.append(value)
    return made.SerializeToString()


def test_a_value_that_is_missing_is_a_row_like_any_other(tmp_path):
    saved(tmp_path / "model", sparse_features, tf.TensorSpec([None], tf.string, "examples"))
    source = tfgig.load_model(tmp_path / "model")
    assert [spec.name for spec in source.cut.explained] == ["age", "height"]
    asked = np.array(
        [example(age=1.0, height=2.0), example(height=-2.0), example(age=0.3), example()], object
    )
    check_rows(tfgig.Explainer(source, IG), asked, target=2)
    points, *_ = tf.function(source.cut.front, autograph=False)(tf.constant(asked))
    np.testing.assert_allclose(points, [[1.0, 2.0], [0.5, -2.0], [0.3, -1.0], [0.5, -1.0]])


@pytest.mark.parametrize("dtype", [tf.int32, tf.float32])
def test_ragged_inputs_are_refused(tmp_path, dtype):
    def serve(module, ragged):
        values = tf.ragged.map_flat_values(
            lambda x: tf.gather(module.table, tf.cast(x, tf.int32)), ragged
        )
        return {"scores": tf.reduce_mean(values, 1) @ module.slope}

    saved(tmp_path / "model", serve, tf.RaggedTensorSpec([None, None], dtype))
    with pytest.raises(ValueError, match=r"Ragged inputs.*padded to a fixed length.*begin and end"):
        tfgig.load_model(tmp_path / "model")


def test_a_live_model_whose_layers_train_is_refused():
    class Norm(L.Layer):
        def __init__(self, inner, **options):
            super().__init__(**options)
            self.inner = inner

        def call(self, x):
            return self.inner(x, training=True)

    for inner in (L.BatchNormalization(), L.Dropout(0.2)):
        inputs = keras.Input((4,), name="x")
        model = keras.Model(inputs, L.Dense(3)(Norm(inner)(L.Dense(4)(inputs))))
        with pytest.raises(ValueError, match=r"depends on other rows|changes between calls"):
            tfgig.load_model(model)


def recurrent():
    inputs = keras.Input((5, 4), name="x")
    return keras.Model(inputs, L.Dense(3)(L.LSTM(3)(inputs)))


def test_what_the_graph_shows_is_not_tried_and_what_it_does_not_is(monkeypatch):
    inputs = keras.Input((12, 12, 3), name="image")
    hidden = L.MaxPooling2D()(L.BatchNormalization()(L.Conv2D(4, 3, activation="relu")(inputs)))
    plain = keras.Model(inputs, L.Dense(3, activation="softmax")(L.Flatten()(hidden)))
    tried = []
    monkeypatch.setattr("tfgig.models.graphs.rows.try_rows", lambda *_: tried.append(1) or 1 / 0)
    assert tfgig.load_model(plain).cut.doubt is None
    assert not tried
    with pytest.raises(ZeroDivisionError):
        tfgig.load_model(recurrent())


def lines(module, text):
    values = tf.strings.to_number(tf.strings.split(tf.strings.substr(text, 3, 99), ";").values)
    return {"scores": tf.tanh(tf.reshape(values, [-1, 4], name="numbers")) @ module.slope}


LINES = np.array(["x: 1;2;3;4", "y: 4;3;2;1", "z: 0;1;0;1"])


def test_a_doubt_is_said_and_an_example_ends_it(tmp_path):
    saved(tmp_path / "model", lines, TEXT)
    with pytest.warns(UserWarning, match=r"unknown whether rows depend.*example="):
        source = tfgig.load_model(tmp_path / "model", layer="numbers")
    assert source.cut.doubt is not None
    (report,) = inspect_model(str(tmp_path / "model")).signatures.values()
    assert report.obstacle is None
    assert "unknown whether rows depend" in report.doubt
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = tfgig.load_model(tmp_path / "model", layer="numbers", example=LINES)
    assert source.cut.doubt is None
    check_rows(tfgig.Explainer(source, IG), LINES, target=0)


def test_a_doubt_goes_into_an_export_and_the_linter_tells_it(tmp_path):
    saved(tmp_path / "model", lines, TEXT)
    methods = {"gradient": tfgig.methods.Gradient()}
    for name, example in (("doubted", None), ("tried", LINES)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source = tfgig.load_model(tmp_path / "model", layer="numbers", example=example)
            version = tfgig.export_saved_model(source, tmp_path / name, methods, warmup=())
        doubt = read_description(version).endpoints["explain_gradient"].doubt
        told = [f for f in check_contract(version) if "unknown whether rows depend" in str(f)]
        assert (doubt is not None) == (name == "doubted")
        assert [f.subject for f in told] == ["explain_gradient"] * (name == "doubted")


def test_an_example_is_what_the_model_takes():
    model = sources.dense_model(keras)
    with pytest.raises(ValueError, match=r"two or three different rows"):
        tfgig.load_model(model, example=sources.X[:1])
    with pytest.raises(ValueError, match=r"Did you mean 'features'"):
        tfgig.load_model(model, example={"feature": sources.X})
    with pytest.raises(ValueError, match=r"must have shape \(None, 4\)"):
        tfgig.load_model(model, example=sources.X[:, :2])
    assert tfgig.load_model(model, example={"features": sources.X}).cut.doubt is None


def two_heads(module, x):
    scores = tf.nn.softmax(tf.tanh(x @ module.slope))
    return {"scores": scores, "relative": scores / tf.reduce_sum(scores, 0)}


def test_one_of_two_outputs_may_mix_rows_as_long_as_the_other_is_explained(tmp_path):
    saved(tmp_path / "model", two_heads, VECTOR)
    source = tfgig.load_model(tmp_path / "model")
    targets = [tfgig.targets.ClassScore(output_name=name) for name in ("scores", "relative")]
    check_rows(tfgig.Explainer(source, IG, targets[0]), sources.X, target=1)
    with pytest.raises(ValueError, match=r"'relative' depends on other rows"):
        tfgig.Explainer(source, IG, targets[1])
