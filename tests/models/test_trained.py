"""Two classifiers that were really trained, exported, and explained to within one per cent."""

import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests import run_requests
from tests.cases import run_python

IG = tfgig.PathIntegral(steps=200)
WORDS = ("the", "film", "was", "a", "plot", "with", "good", "great", "bad", "awful", "not", "and")
LENGTH = 8
LABELS = {"good": 1, "great": 1, "bad": -1, "awful": -1}


def sentences(count, seed):
    """Sentences of one to eight words, and whether their last judging word is a kind one."""
    random = np.random.default_rng(seed)
    texts, kind = [], []
    while len(texts) < count:
        words = random.choice(WORDS, random.integers(3, LENGTH + 1)).tolist()
        judging = [LABELS[word] for word in words if word in LABELS]
        if judging:
            texts.append(" ".join(words))
            kind.append(judging[-1] > 0)
    return np.array(texts), np.array(kind, np.int64)


def table(count, seed):
    """Two inputs, and whether the first feature of one and that of the other have one sign."""
    random = np.random.default_rng(seed)
    first, second = random.normal(size=(2, count, 3)).astype(np.float32)
    return {"first": first, "second": second}, (first[:, 0] * second[:, 0] > 0).astype(np.int64)


def train(model, x, y, epochs):
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=epochs, batch_size=64, verbose=0)
    return model


@pytest.fixture(scope="module")
def reader():
    """A bidirectional LSTM that reads text; its vocabulary is a lookup table of its own."""
    keras.utils.set_random_seed(0)
    texts, kind = sentences(600, seed=1)
    split = keras.layers.TextVectorization(output_sequence_length=LENGTH, vocabulary=list(WORDS))
    text = keras.Input((), dtype="string", name="text")
    hidden = split(text)
    hidden = keras.layers.Embedding(len(WORDS) + 2, 6, mask_zero=True, name="embedding")(hidden)
    hidden = keras.layers.Bidirectional(keras.layers.LSTM(8))(hidden)
    model = keras.Model(text, keras.layers.Dense(2, activation="softmax")(hidden), name="reader")
    return train(model, tf.constant(texts), kind, epochs=12)


@pytest.fixture(scope="module")
def tabular():
    keras.utils.set_random_seed(0)
    given, same = table(1000, seed=1)
    inputs = {name: keras.Input((3,), name=name) for name in given}
    hidden = keras.layers.Concatenate()(list(inputs.values()))
    hidden = keras.layers.Dense(24, activation="tanh")(hidden)
    hidden = keras.layers.Dense(12, activation="tanh")(hidden)
    scores = keras.layers.Dense(2, activation="softmax")(hidden)
    return train(keras.Model(inputs, scores, name="tabular"), given, same, epochs=25)


@pytest.fixture(scope="module")
def served(reader, tabular, tmp_path_factory):
    """The answers of a fresh process to both exports."""
    place = tmp_path_factory.mktemp("trained")
    texts, _ = sentences(8, seed=2)
    given, _ = table(8, seed=2)
    sources = {
        "reader": (tfgig.load_model(reader, layer="embedding"), {"text": texts.astype(object)}),
        "tabular": (tfgig.load_model(tabular), given),
    }
    requests = []
    for name, (source, asked) in sources.items():
        version = tfgig.export_saved_model(source, place / name, {"ig": IG})
        asked = {**asked, "target": np.full([8], -1)}
        requests.append((str(version), "explain_ig", asked))
        if name == "reader":
            requests.append((str(version), "tokens_ig", asked))
    (place / "requests").write_bytes(pickle.dumps(requests))
    run_python(run_requests.__file__, place / "requests", place / "answers")
    answers = pickle.loads((place / "answers").read_bytes())
    return dict(zip(("reader", "tokens", "tabular"), answers, strict=True))


@pytest.mark.parametrize("name", ["reader", "tabular"])
def test_attributions_add_up_to_within_one_per_cent(served, name):
    found = served[name]
    assert found["ok"].all()
    change = np.abs(found["score"] - found["baseline_score"])
    # The largest change of the batch: where a score hardly changes, a share of it says nothing.
    assert np.abs(found["delta"]).max() < 0.01 * change.max()


def test_the_reader_learned_and_looks_at_the_judging_words(reader, served):
    texts, kind = sentences(300, seed=3)
    assert (reader.predict(tf.constant(texts), verbose=0).argmax(1) == kind).mean() > 0.9
    tokens, attributions = served["tokens"]["tokens"], served["reader"]["attributions"]
    np.testing.assert_allclose(tokens, attributions.sum(2), atol=1e-6)
    assert set(served["tokens"]) - {"tokens"} == set(served["reader"]) - {"attributions"}
    texts, hits = texts[:100], 0
    few = tfgig.PathIntegral(steps=20, internal_batch_size=500)
    found = tfgig.Explainer(reader, few, layer="embedding")(texts)["attributions"]
    for text, of_text in zip(texts, np.abs(found.numpy().sum(2)), strict=True):
        words = text.split()
        hits += words[int(of_text[: len(words)].argmax())] in LABELS
        assert not of_text[len(words) :].any()
    assert hits >= 70


def test_the_table_was_learned_and_its_deciding_features_count(tabular, served):
    given, same = table(300, seed=3)
    assert (tabular.predict(given, verbose=0).argmax(1) == same).mean() > 0.9
    for name in ("attributions_first", "attributions_second"):
        assert np.abs(served["tabular"][name]).mean(0).argmax() == 0


def test_a_text_module_in_a_directory_of_the_hub_format(tmp_path):
    """Strings in, split and looked up in a vocabulary file; explained at what is looked up."""
    vocabulary = tmp_path / "vocabulary.txt"
    vocabulary.write_text("\n".join(WORDS))

    class Sentiment(tf.Module):
        def __init__(self):
            super().__init__()
            rows = tf.lookup.TextFileInitializer(
                tf.saved_model.Asset(str(vocabulary)),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            self.table = tf.lookup.StaticVocabularyTable(rows, 1)
            random = np.random.default_rng(0)
            self.embedding = tf.Variable(random.normal(size=(len(WORDS) + 1, 4)), dtype=tf.float32)
            self.slope = tf.Variable(random.normal(size=(4, 3)), dtype=tf.float32)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "sentences")])
        def __call__(self, sentences):
            words = tf.strings.split(sentences).to_tensor("")[:, :LENGTH]
            with tf.name_scope("look_up"):
                vectors = tf.gather(self.embedding, self.table.lookup(words))
            mask = tf.cast(words != "", tf.float32)[..., tf.newaxis]
            mean = tf.reduce_sum(mask * tf.tanh(vectors), 1) / tf.reduce_sum(mask, 1)
            return tf.nn.softmax(mean @ self.slope)

    module = Sentiment()
    tf.saved_model.save(module, str(tmp_path / "module"))
    with pytest.raises(ValueError, match=r"layer='look_up/Gather'.*'sentences' \(string\)"):
        tfgig.load_model(tmp_path / "module")
    source = tfgig.load_model(tmp_path / "module", layer="look_up")
    texts = np.array(["the plot was good", "a bad film and not awful"])
    found = tfgig.Explainer(source, IG)(texts)
    assert found["attributions"].shape == (2, 6, 4)
    change = np.abs(found["score"] - found["baseline_score"])
    assert np.abs(found["delta"]).max() < 0.01 * change.max()
    version = tfgig.export_saved_model(source, tmp_path / "export", {"ig": IG})
    assert (version / "assets" / "vocabulary.txt").is_file()
    signature = tf.saved_model.load(str(version)).signatures["explain_ig"]
    again = signature(sentences=tf.constant(texts), target=tf.constant([-1, -1], tf.int64))
    np.testing.assert_allclose(again["attributions"], found["attributions"], atol=1e-6)
