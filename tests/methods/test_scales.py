"""Several scales in one map: by hand, complete at each place, one signature."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.cases import deviation
from tfgig.methods import At, GradCAM, PathIntegral, Scales, Smooth
from tfgig.methods.scales import combined, largest
from tfgig.spec import from_config, to_config

L = keras.layers
IMAGES = np.random.default_rng(3).uniform(0, 255, (3, 96, 112, 3)).astype(np.float32)
IG = PathIntegral(steps=24)


@pytest.fixture(scope="module")
def model():
    """Blocks at 24 x 28 and 12 x 14 positions, and a last convolution at 6 x 7."""
    values = image = keras.Input((96, 112, 3), name="image")
    values = L.Rescaling(1 / 255)(values)
    for name, stride in (("fine", 4), ("middle", 2), ("coarse", 2)):
        values = L.Conv2D(4, 3, stride, "same", activation="tanh", name=f"{name}_conv")(values)
        inner = L.Conv2D(4, 3, padding="same", activation="tanh", name=f"{name}_inner")(values)
        values = L.Add(name=name)([values, inner])
    pooled = L.GlobalAveragePooling2D(name="features")(values)
    return keras.Model(image, L.Dense(4, activation="softmax", name="scores")(pooled))


def explained(model, method, images=IMAGES):
    return {k: v.numpy() for k, v in tfgig.Explainer(model, method)(images).items()}


def test_the_geometric_mean_by_hand():
    first = np.array([[4.0, 0.0]], np.float32).reshape(1, 1, 2, 1)
    second = np.array([[1.0, 3.0]], np.float32).reshape(1, 1, 2, 1)
    found = combined([tf.constant(first), tf.constant(second)]).numpy().ravel()
    # Divided by their means, 2 and .0, .5 and 1.5, each .001 more.
    np.testing.assert_allclose(found, np.sqrt([2.001 * 0.501, 0.001 * 1.501]), rtol=1e-5)
    nothing = combined([tf.zeros([1, 1, 2, 1]), tf.constant(second)]).numpy().ravel()
    assert nothing[1] > nothing[0] > 0  # a place that says nothing leaves the others' order


def test_the_largest_keeps_its_sign():
    found = largest([tf.constant([0.1, -3.0, 0]), tf.constant([-0.2, 2.0, 0])])
    np.testing.assert_allclose(found, [-0.2, -3.0, 0])


def test_each_place_is_as_alone_and_complete(model):
    found = explained(model, Scales(IG))
    for name, shape in {
        "fine": (24, 28, 4),
        "middle": (12, 14, 4),
        "coarse_conv": (6, 7, 4),
    }.items():
        alone = explained(model, At(name, IG))
        assert alone["attributions"].shape == (3, *shape)
        for key in ("attributions", "baseline_score"):
            assert deviation(found[f"{key}_{name}"], alone[key]) < 1e-4
        total = found[f"attributions_{name}"].sum((1, 2, 3))
        change = found["score"] - found[f"baseline_score_{name}"]
        np.testing.assert_allclose(total - change, found[f"delta_{name}"], atol=1e-5)
        assert (np.abs(found[f"delta_{name}"]) < 0.02 * np.abs(change)).all()
    deltas = np.stack([found[f"delta_{name}"] for name in ("fine", "middle", "coarse_conv")])
    np.testing.assert_array_equal(np.abs(found["delta"]), np.abs(deltas).max(0))


def test_the_map_is_the_geometric_mean_of_the_places_maps(model):
    found = explained(model, Scales(IG, places=("middle", "coarse")))
    assert found["attributions"].shape == IMAGES.shape
    assert set(found) >= {"attributions_middle", "delta_coarse"}
    assert "attributions_fine" not in found
    product = 1.0
    for name in ("middle", "coarse"):
        explainer = tfgig.Explainer(model, At(name, IG))
        strengths = np.maximum(found[f"attributions_{name}"], 0).sum(-1, keepdims=True)
        over = explainer.place.layout.laid_over(tf.constant(strengths), tf.constant([96, 112]))
        product *= over / over.numpy().mean((1, 2, 3), keepdims=True) + 0.001
    for channel in range(3):
        assert deviation(found["attributions"][..., channel], np.sqrt(product[..., 0])) < 1e-4


def test_a_row_that_cannot_be_explained_harms_no_other(model):
    images = IMAGES.copy()
    images[1, 5, 5, 0] = np.nan
    explain = tf.function(tfgig.Explainer(model, Scales(IG)))
    found, clean = explain(images), explain(IMAGES)
    np.testing.assert_array_equal(found["ok"], [True, False, True])
    for key, value in found.items():
        if value.dtype.is_floating:
            assert not value[1].numpy().any(), key
            np.testing.assert_allclose(value[0], clean[key][0], rtol=1e-4, atol=1e-6)


def test_one_export_has_the_map_the_places_and_the_picture(model, tmp_path):
    directory = tfgig.export_saved_model(model, tmp_path / "model", {"scales": Scales(IG)})
    loaded = tf.saved_model.load(str(directory))
    found = loaded.signatures["explain_scales"](
        image=tf.constant(IMAGES), target=tf.constant([-1, -1, -1], tf.int64)
    )
    expected = explained(model, Scales(IG))
    assert set(found) == set(expected)
    for key in ("attributions", "attributions_fine", "delta_coarse_conv"):
        assert deviation(found[key].numpy(), expected[key]) < 1e-3
    assert "heatmap_scales" in loaded.signatures


def test_what_is_no_scale_is_refused(model):
    with pytest.raises(ValueError, match=r"does not map onto it. Places: .*'features'"):
        tfgig.Explainer(model, Scales(IG, places=("fine", "features")))
    with pytest.raises(ValueError, match="bypasses"):
        tfgig.Explainer(model, Scales(IG, places=("fine_inner",)))
    for wrong in (
        lambda: Scales(At("fine", IG)),
        lambda: Scales(GradCAM()),
        lambda: Scales(IG, places=("fine", "fine")),
        lambda: Smooth(Scales(IG)),
    ):
        with pytest.raises(ValueError, match="Received"):
            wrong()
    method = Scales(Smooth(IG, samples=2), places=("fine", "coarse"))
    assert from_config(to_config(method)) == method
    assert method.gradients == 2 * 2 * 24
    assert not method.complete
