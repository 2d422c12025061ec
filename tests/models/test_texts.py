"""Which string came to which position, read off the graph."""

import keras
import numpy as np
import pytest

import tfgig

WORDS = ["[UNK]", "not", "bad"]


def classifier(ids_of, shape=(), positions=4):
    """A model of texts that makes ids of them in its own way."""
    texts = keras.Input(shape, dtype="string", name="text")
    embedded = keras.layers.Embedding(9, 3, name="embedding")(ids_of(texts))
    flat = keras.layers.Flatten()(keras.layers.Reshape((positions, 3))(embedded))
    return keras.Model(texts, keras.layers.Dense(2, activation="softmax")(flat))


def explained(model, *texts):
    explainer = tfgig.Explainer(model, "gradient", layer="embedding")
    return explainer(np.array(texts, object)), explainer


def read(found):
    return [[text.decode() for text in row] for row in found["token_text"].numpy()]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("buckets", [1, 2])
def test_words_and_words_that_are_not_known(masked, buckets):
    table = keras.layers.StringLookup(
        vocabulary=WORDS[1:], num_oov_indices=buckets, mask_token="" if masked else None
    )
    found, explainer = explained(classifier(table, (4,)), ["not", "so", "bad", ""])
    assert read(found) == [["not", "so", "bad", ""]]
    spec = explainer(keras.Input((4,), dtype="string"))["token_text"]
    assert (spec.shape, spec.dtype) == ((None, 4), "string")


def test_a_sentence_that_the_graph_cuts():
    cut = keras.layers.TextVectorization(vocabulary=WORDS[1:], output_sequence_length=4)
    found, _ = explained(classifier(cut), "Not  so\tbad!", "one two three four five", "")
    assert read(found) == [
        ["not", "so", "bad", ""],
        ["one", "two", "three", "four"],
        ["", "", "", ""],
    ]
    assert found["token_text"].shape == found["attributions"].shape[:2]


def test_a_hash_of_strings():
    hashing = keras.layers.Hashing(9)
    found, _ = explained(classifier(hashing, (4,)), ["a", "b", "a", "d"])
    assert read(found) == [["a", "b", "a", "d"]]


def test_where_the_graph_does_not_show_it_there_are_no_texts():
    table = keras.layers.StringLookup(vocabulary=WORDS[1:])

    def doubled(texts):
        return table(texts) * 2

    found, _ = explained(classifier(doubled, (4,)), ["a"] * 4)
    assert read(found) == [["a"] * 4]  # their positions are known before they are computed with
    found, _ = explained(classifier(lambda texts: keras.ops.flip(table(texts), 1), (4,)), ["a"] * 4)
    assert "token_text" not in found
