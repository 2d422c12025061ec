"""Searched baselines, on models whose boundaries are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.cases import objective, run
from tfgig.baselines import Constant, MaximumEntropy, NearestBoundary, Several
from tfgig.methods import PathIntegral
from tfgig.paths import Straight
from tfgig.targets import ClassScore, CustomScore, Margin, Threshold

SIZE = 4
RANDOM = np.random.default_rng(0)
WEIGHTS = RANDOM.normal(size=(SIZE, 2)).astype(np.float32)
BIAS = np.float32([0.3, -0.4])
INPUTS = RANDOM.normal(size=(5, SIZE)).astype(np.float32) * 3


def linear(points):
    return tf.nn.softmax(points @ WEIGHTS + BIAS)


def bound(forward, target=ClassScore(), inputs=INPUTS):
    model = objective(forward, inputs.shape[1:], target)
    requested = tf.fill([len(inputs)], tf.constant(-1, tf.int64))
    return model.bind(tf.constant(inputs), requested).objective


def logits(points):
    return points @ WEIGHTS + BIAS


def test_the_boundary_of_a_linear_model_is_hit_at_its_nearest_point():
    found = NearestBoundary(refinements=16)(tf.constant(INPUTS), bound(logits)).numpy()
    assert found.shape == (1, *INPUTS.shape)
    normal = WEIGHTS[:, 0] - WEIGHTS[:, 1]
    margin = INPUTS @ normal + BIAS[0] - BIAS[1]
    nearest = INPUTS - (margin / (normal @ normal))[:, None] * normal
    np.testing.assert_allclose(found[0], nearest, atol=1e-4)


def test_the_boundary_of_a_circle():
    """Inside the unit circle one class, outside the other: the nearest point is on the ray."""

    def circle(points):
        outside = tf.reduce_sum(points**2, 1) - 1.0
        return tf.stack([outside, -outside], 1)

    inputs = np.float32([[0.3, 0.1], [2.0, -1.0], [0.0, 0.8], [5.0, 5.0]])
    found = NearestBoundary()(tf.constant(inputs), bound(circle, inputs=inputs))[0].numpy()
    nearest = inputs / np.linalg.norm(inputs, axis=1, keepdims=True)
    np.testing.assert_allclose(found, nearest, atol=0.02)
    # Just across: the decision there is the other one.
    before, after = (circle(tf.constant(x)).numpy().argmax(1) for x in (inputs, found))
    assert (before != after).all()


def test_attributions_from_the_boundary_add_up_to_the_margin():
    model = objective(logits, [SIZE], Margin())
    method = PathIntegral(Straight(NearestBoundary(refinements=16)), steps=2)
    found = run(model, method, INPUTS, -1)
    assert found["ok"].all()
    np.testing.assert_allclose(found["baseline_score"], 0, atol=1e-3)
    np.testing.assert_allclose(found["attributions"].sum(1), found["score"], rtol=1e-3)


def test_a_single_output_has_a_threshold_for_a_boundary():
    single = lambda points: (points @ WEIGHTS)[:, :1]  # noqa: E731
    found = NearestBoundary(Threshold(0.7), refinements=16)(
        tf.constant(INPUTS), bound(single, CustomScore(lambda output, _: output[:, 0]))
    )[0]
    np.testing.assert_allclose(single(found)[:, 0], 0.7, atol=1e-3)
    with pytest.raises(ValueError, match=r"Margin.*NearestBoundary\(crossing=Threshold\(level\)"):
        NearestBoundary()(tf.constant(INPUTS), bound(single))


def test_a_row_alone_finds_what_it_finds_in_a_batch_and_stays_in_range():
    inputs = np.clip(INPUTS, -2.0, 2.0)
    anywhere = NearestBoundary()(tf.constant(inputs), bound(logits, inputs=inputs)).numpy()
    assert np.abs(anywhere).max() > 2.5  # the range is no idle bound
    baseline = NearestBoundary(value_range=(-2.0, 2.0))
    together = baseline(tf.constant(inputs), bound(logits, inputs=inputs))[0].numpy()
    for row in range(len(inputs)):
        one = inputs[row : row + 1]
        alone = baseline(tf.constant(one), bound(logits, inputs=one))[0, 0]
        np.testing.assert_allclose(alone, together[row], atol=1e-5)
    assert np.abs(together).max() <= 2.0 + 1e-6


def test_the_output_that_is_explained_is_searched():
    """Unless the baseline names another, of a model that has several."""
    inputs = keras.Input([SIZE])
    kernels = {"p": WEIGHTS, "q": WEIGHTS[:, ::-1] * [[1], [2], [3], [4]]}
    outputs = [
        keras.layers.Dense(2, use_bias=False, name=name, kernel_initializer=lambda *_, k=k, **__: k)
        for name, k in kernels.items()
    ]
    model = keras.Model(inputs, [dense(inputs) for dense in outputs])
    for baseline in (NearestBoundary(refinements=16), MaximumEntropy()):
        method = PathIntegral(Straight(baseline), steps=4)
        for name in kernels:
            explainer = tfgig.Explainer(model, method, Margin(output_name=name))
            np.testing.assert_allclose(explainer(INPUTS)["baseline_score"], 0, atol=1e-2)
    other = NearestBoundary(Margin(output_name="q"), refinements=16)
    method = PathIntegral(Straight(other), steps=4)
    found = tfgig.Explainer(model, method, Margin(output_name="p"))(INPUTS)
    assert np.abs(found["baseline_score"]).max() > 0.1


def test_no_boundary_no_harm():
    found = NearestBoundary(steps=3)(
        tf.constant(INPUTS),
        bound(lambda points: tf.stack([points[:, 0] * 0 + 1, points[:, 0] * 0], 1)),
    )
    np.testing.assert_array_equal(found[0], INPUTS)


def test_maximum_entropy_leaves_all_classes_equally_likely():
    weights = RANDOM.normal(size=(SIZE, 3)).astype(np.float32)

    def forward(points):
        return tf.nn.softmax(tf.tanh(points @ weights) * 4 + tf.constant([1.0, 0.0, -1.0]))

    def scores(points):  # as the source of a model that ends in logits
        return tf.tanh(points @ weights) * 4 + tf.constant([1.0, 0.0, -1.0])

    found = MaximumEntropy(steps=60)(tf.constant(INPUTS), bound(scores))
    assert found.shape == (1, *INPUTS.shape)
    np.testing.assert_allclose(forward(found[0]), 1 / 3, atol=2e-3)
    np.testing.assert_allclose(found[0, 0], found[0, 4], atol=1e-3)  # one start, one end
    two = MaximumEntropy(Several((Constant(0.0), Constant(0.5))), steps=60)
    found = two(tf.constant(INPUTS), bound(scores))
    assert two.count == found.shape[0] == 2
    np.testing.assert_allclose(forward(tf.reshape(found, [-1, SIZE])), 1 / 3, atol=1e-2)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: NearestBoundary(0.5), TypeError, r"`crossing` must be one of ClassScore"),
        (lambda: NearestBoundary(steps=0), ValueError, r"NearestBoundary\(steps=.*Received: 0"),
        (lambda: NearestBoundary(refinements=-1), ValueError, r"refinements.*Received: -1"),
        (lambda: NearestBoundary(overshoot=2), ValueError, r"overshoot.*Received: 2"),
        (lambda: MaximumEntropy(0.0), TypeError, r"`start` must be one of .*Constant"),
        (lambda: MaximumEntropy(steps=True), ValueError, r"MaximumEntropy\(steps=.*True"),
    ],
)
def test_mistakes_name_the_field(make, error, message):
    with pytest.raises(error, match=message):
        make()
