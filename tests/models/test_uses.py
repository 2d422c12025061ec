"""Layers that are used twice, that hold whole numbers, or that fill in what is missing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tfgig.serving import SessionModel

L = keras.layers
IG = tfgig.PathIntegral(steps=20, quadrature=tfgig.quadratures.GaussLegendre())
IDS = {name: np.array([[1], [3]], np.int32) for name in ("one", "two")}
CITIES = {"city": np.array([["a"], ["?"]], object), "numbers": np.ones((2, 2), np.float32)}


def scores(hidden):
    return L.Dense(2, activation="softmax")(L.Dense(4, activation="tanh")(hidden))


def sharing():
    """A classifier of two categories of one kind."""
    inputs = [keras.Input((1,), dtype="int32", name=name) for name in ("one", "two")]
    embedding = L.Embedding(5, 3, name="embedding")
    looked_up = [L.Flatten()(embedding(category)) for category in inputs]
    return keras.Model(inputs, scores(L.Concatenate()(looked_up)))


def looking_up(mode):
    city = keras.Input((1,), dtype="string", name="city")
    numbers = keras.Input((2,), name="numbers")
    found = L.StringLookup(vocabulary=["a", "b"], output_mode=mode, name="lookup")(city)
    hidden = L.Concatenate()([keras.ops.cast(found, "float32"), numbers])
    return keras.Model([city, numbers], scores(hidden))


class Imputing(L.Layer):
    """One in the place of what is missing."""

    def call(self, x):
        return tf.where(tf.math.is_nan(x), tf.ones_like(x), x)


def imputing():
    numbers = keras.Input((3,), name="numbers")
    return keras.Model(numbers, scores(Imputing(name="impute")(numbers)))


def saved(model, path):
    model.export(path, verbose=False)
    return path


@pytest.mark.parametrize("layer", [None, "embedding", ("one", "two")])
def test_an_embedding_of_two_inputs(layer):
    source = tfgig.load_model(sharing(), layer=layer)
    found = tfgig.Explainer(source, IG)(IDS, target=1)
    prefix = "attributions_embedding_" if layer == "embedding" else "attributions_"
    assert source.cut.attribution_names == (f"{prefix}one", f"{prefix}two")
    parts = [found[name].numpy().reshape(2, -1).sum(1) for name in source.cut.attribution_names]
    np.testing.assert_allclose(sum(parts), found["score"] - found["baseline_score"], atol=1e-5)
    assert source.cut.left_out == ()


def test_an_embedding_of_two_inputs_that_was_saved(tmp_path):
    path = saved(sharing(), tmp_path / "model")
    assert tfgig.load_model(path).cut.attribution_names == ("attributions_one", "attributions_two")
    with pytest.raises(ValueError, match="of all uses of a layer") as refusal:
        tfgig.load_model(path, layer="embedding")
    scopes = str(refusal.value).partition("saves: ")[2].partition(". Give")[0].split(", ")
    assert len(tfgig.load_model(path, layer=tuple(scopes)).cut.parts) == 2


@pytest.mark.parametrize("mode", ["one_hot", "count"])
@pytest.mark.parametrize("layer", ["lookup", ("lookup", "numbers")])
def test_a_one_hot_layer_of_whole_numbers_is_a_place(tmp_path, mode, layer):
    model = looking_up(mode)
    live = tfgig.Explainer(tfgig.load_model(model, layer=layer), IG)(CITIES, target=1)
    name = "attributions" if layer == "lookup" else "attributions_lookup"
    assert (np.count_nonzero(live[name], 1) == 1).all()
    np.testing.assert_allclose(live["delta"], 0, atol=1e-5)
    path = saved(model, tmp_path / "model")
    again = tfgig.Explainer(tfgig.load_model(path, layer=layer), IG)(CITIES, target=1)
    np.testing.assert_allclose(again[name], live[name], rtol=1e-4, atol=1e-6)


def test_ids_that_are_looked_up_are_no_place():
    ids = keras.Input((1,), dtype="string", name="city")
    found = L.StringLookup(vocabulary=["a", "b"], name="lookup")(ids)
    model = keras.Model(ids, scores(L.Flatten()(L.Embedding(4, 3)(found))))
    with pytest.raises(ValueError, match="this layer's output never becomes float"):
        tfgig.load_model(model, layer="lookup")


def test_what_is_missing_is_explained_behind_the_models_own_imputation(tmp_path):
    model = imputing()
    rows = np.array([[1, np.nan, 2], [0, 1, 2]], np.float32)
    with pytest.raises(ValueError, match="layer behind the model's own imputation"):
        tfgig.Explainer(model, IG)(rows)
    source = tfgig.load_model(model, layer="impute")
    found = tfgig.Explainer(source, IG)(rows, target=1)
    whole = tfgig.Explainer(model, IG)(np.nan_to_num(rows, nan=1), target=1)
    np.testing.assert_allclose(found["attributions"], whole["attributions"], rtol=1e-5)
    with pytest.raises(ValueError, match="must be finite"):
        tfgig.Explainer(source, IG)(np.full((1, 3), np.inf, np.float32))
    exported = tfgig.export_saved_model(source, tmp_path / "export", {"ig": IG})
    with SessionModel(exported) as served:
        answer = served.run("explain_ig", numbers=rows, target=np.array([1]))
        assert answer["ok"].all()
        infinite = np.full((1, 3), np.inf, np.float32)
        assert not served.run("explain_ig", numbers=infinite, target=np.array([1]))["ok"].any()
