"""Smoothing, adaptive noise and the edge detector."""

import dataclasses

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from tests.cases import SHAPE, images, objective, quadratic, run
from tfgig import noise, presets
from tfgig.baselines import Gaussian
from tfgig.methods import AdaptiveTaylor, Edge, GradCAM, Gradient, PathIntegral, Smooth
from tfgig.paths import Straight
from tfgig.quadratures import Left
from tfgig.spec import replace_all

INPUTS = images(3)
SCORES = quadratic(SHAPE)
MODEL = objective(SCORES, SHAPE)
INNER = (Gradient(), PathIntegral(steps=4), presets.get("gradient_x_input"))


def cubes(points):
    """Scores of which no row and no feature knows another: the same in any batch, bit for bit."""
    light = points / 255
    # Not a power, whose last digit depends on where in a vector of the processor a value lies.
    return tf.reduce_sum(light * light * light, [1, 2])[:, :2]


@pytest.mark.parametrize("inner", INNER, ids=["gradient", "ig", "gradient_x_input"])
def test_no_noise_is_the_inner_method_exactly(inner):
    model = objective(cubes, SHAPE)
    if isinstance(inner, PathIntegral):  # one point a call: summed in one order, come what may
        inner = dataclasses.replace(inner, internal_batch_size=1)
    expected = run(model, inner, INPUTS)
    found = run(model, Smooth(inner, samples=7, spread=0.0, internal_batch_size=6), INPUTS)
    for key in ("attributions", "score"):
        np.testing.assert_array_equal(found[key], expected[key])
    squared = run(model, Smooth(inner, 3, 0.0, statistic="squared"), INPUTS)
    np.testing.assert_allclose(squared["attributions"], expected["attributions"] ** 2, rtol=1e-6)
    variance = run(model, Smooth(inner, 3, 0.0, statistic="variance"), INPUTS)
    np.testing.assert_array_equal(variance["attributions"], 0)


@pytest.mark.parametrize("statistic", ["mean", "squared", "variance"])
@pytest.mark.parametrize("relative", [True, False])
def test_the_statistic_of_noisy_gradients_by_hand(statistic, relative):
    """Against a loop over the samples; 7 of them in calls of 2 are ragged."""
    spread = 0.2 if relative else 30.0
    method = Smooth(Gradient(), 7, spread, relative, statistic, seed=3, internal_batch_size=6)
    found = run(MODEL, method, INPUTS)
    sigma = spread * np.ptp(INPUTS, axis=(1, 2, 3), keepdims=True) if relative else spread
    disturbances = noise.normal(7, tf.constant(INPUTS), 3).numpy()
    maps = [run(MODEL, Gradient(), INPUTS + sigma * d)["attributions"] for d in disturbances]
    maps = np.float64(maps)
    expected = {"mean": maps.mean(0), "squared": (maps**2).mean(0), "variance": maps.var(0)}
    scale = np.abs(expected["squared"] if statistic == "variance" else expected[statistic]).max()
    difference = np.abs(found["attributions"] - expected[statistic]).max()
    assert difference < 1e-5 * scale
    assert found["ok"].all()


def test_the_mean_of_a_linear_models_maps_is_its_gradient_whatever_the_noise():
    weights = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    model = objective(lambda x: tf.reduce_sum(x * weights, [1, 2])[:, :1], SHAPE)
    found = run(model, Smooth(Gradient(), 5, 0.5), INPUTS)
    expected = run(model, Gradient(), INPUTS)
    np.testing.assert_allclose(found["attributions"], expected["attributions"], rtol=1e-6)


def test_the_target_is_that_of_the_clean_input():
    """Noise that would change the top class does not change what is explained."""
    inputs = np.full((1, *SHAPE), 100.0, np.float32)
    inputs[0, 0, 0, 0] = 101  # the first class, by little
    score = lambda x: tf.stack([x[:, 0, 0, 0], x[:, 0, 0, 1]], 1)  # noqa: E731
    found = run(objective(score, SHAPE), Smooth(Gradient(), 8, 50.0, relative=False), inputs, -1)
    assert found["target"] == 0
    expected = np.zeros(SHAPE)
    expected[0, 0, 0] = 1
    np.testing.assert_allclose(found["attributions"][0], expected)


def test_smoothing_can_be_smoothed():
    twice = Smooth(Smooth(Gradient(), 2, 0.1), 3, 0.1, seed=1)
    assert twice.gradients == 6
    assert run(MODEL, twice, INPUTS)["ok"].all()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("samples", 0, "samples"),
        ("spread", -0.1, "spread"),
        ("spread", float("inf"), "spread"),
        ("statistic", "median", r"'mean', 'squared', 'variance'"),
        ("seed", 1.5, "seed"),
        ("internal_batch_size", 0, "internal_batch_size"),
    ],
)
def test_mistakes_name_the_field(field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Smooth(), **{field: value})


def test_smooth_takes_a_method():
    with pytest.raises(TypeError, match=r"`inner` must be one of .*Gradient.*Received: 'ig'"):
        Smooth("ig")


def test_smooth_refuses_a_method_that_looks_at_a_layer():
    with pytest.raises(ValueError, match=r"uses a layer.*use it without Smooth.*Received: GradCAM"):
        Smooth(GradCAM())


def test_smooth_taylor_is_the_mean_of_first_order_expansions():
    """`mean over z of g(z) (x - z)`, written out; Goh et al., equation 5."""
    changes = {"path.baseline.samples": 8, "internal_batch_size": 6}
    method = replace_all(presets.get("smooth_taylor"), changes)
    found = run(MODEL, method, INPUTS)
    starts = method.path.baseline(tf.constant(INPUTS), None).numpy()
    terms = [run(MODEL, Gradient(), z)["attributions"] * (INPUTS - z) for z in starts]
    expected = np.mean(np.float64(terms), 0)
    np.testing.assert_allclose(
        found["attributions"], expected, rtol=0, atol=1e-5 * np.abs(expected).max()
    )
    assert not method.complete


def test_gradient_x_input_is_what_it_says():
    found = run(MODEL, presets.get("gradient_x_input"), INPUTS)
    expected = INPUTS * run(MODEL, Gradient(), INPUTS)["attributions"]
    np.testing.assert_allclose(found["attributions"], expected, rtol=1e-5)


def test_edges_against_a_filter_by_hand():
    found = run(MODEL, Edge(), INPUTS)["attributions"]

    def mean_difference(window):
        return np.nanmean(np.abs(window[np.arange(9) != 4] - window[4]))

    for row in range(3):
        for channel in range(3):
            plane = INPUTS[row, ..., channel].astype(np.float64)
            expected = scipy.ndimage.generic_filter(
                plane, mean_difference, 3, mode="constant", cval=np.nan
            )
            np.testing.assert_allclose(found[row, ..., channel], expected, rtol=1e-5)
    flat = run(MODEL, Edge(), np.full_like(INPUTS, 7))
    np.testing.assert_array_equal(flat["attributions"], 0)


def test_edges_need_images():
    with pytest.raises(ValueError, match=r"Edge\(\) needs images.*use Gradient\(\)"):
        run(objective(quadratic((4,)), (4,)), Edge(), np.zeros((1, 4)))


# Adaptive noise


@pytest.fixture(scope="module")
def taylor_maps():
    """SmoothTaylor's own maps, one a spread, and their variations, computed apart."""
    spreads, maps = (0.02, 0.1, 0.5), {}
    for spread in spreads:
        path = Straight(Gaussian(spread, samples=4, seed=2))
        method = PathIntegral(path, quadrature=Left(), steps=1)
        maps[spread] = run(MODEL, method, INPUTS)
    return maps


def variation(attributions):
    """The mean over three scales of the sum of neighbouring differences over the sum."""
    strength = np.abs(np.float64(attributions)).sum(-1)
    found = []
    for _ in range(3):
        differences = sum(np.abs(np.diff(strength, axis=axis)).sum() for axis in (0, 1))
        found.append(differences / strength.sum())
        height, width = strength.shape
        blocks = [
            [strength[i : i + 2, j : j + 2].mean() for j in range(0, width, 2)]
            for i in range(0, height, 2)
        ]
        strength = np.array(blocks)
    return np.mean(found)


def score_without(attributions, image):
    """The mean score of an image whose strongest pixels are its mean colour."""
    strength = np.abs(np.float64(attributions)).sum(-1)
    images = [
        np.where((strength >= np.percentile(strength, p))[..., None], image.mean((0, 1)), image)
        for p in (98, 95, 90, 80, 70, 60)
    ]
    return run(MODEL, Gradient(), np.array(images))["score"].mean()


@pytest.mark.parametrize("measure", ["sensitivity", "variation"])
def test_adaptive_taylor_takes_the_best_map_of_each_image(taylor_maps, measure):
    method = AdaptiveTaylor(
        tuple(taylor_maps), measure=measure, samples=4, seed=2, internal_batch_size=6
    )
    found = run(MODEL, method, INPUTS)
    for row in range(len(INPUTS)):
        measured = {
            spread: variation(m["attributions"][row])
            if measure == "variation"
            else score_without(m["attributions"][row], INPUTS[row])
            for spread, m in taylor_maps.items()
        }
        best = min(measured, key=measured.get)
        for key in ("attributions", "baseline_score", "delta"):
            expected = taylor_maps[best][key][row]
            scale = np.abs(taylor_maps[best]["score"]).max()
            np.testing.assert_allclose(found[key][row], expected, rtol=0, atol=1e-5 * scale)
    assert method.gradients == 12


@pytest.mark.parametrize("measure", ["sensitivity", "variation"])
def test_adaptive_taylor_marks_rows_of_which_no_map_is_a_number(measure):
    roots = objective(lambda x: tf.reduce_sum(tf.sqrt(x), [1, 2]), SHAPE)
    found = run(roots, AdaptiveTaylor((50.0, 2.0), True, measure, 3), INPUTS + 1)
    assert not found["ok"].any()
    # A spread of 50 throws a pixel beyond what this model knows, one of 0.02 does not.
    near = objective(lambda x: SCORES(x) + 0 * tf.sqrt(400 - tf.abs(x[:, 0, 0, :1])), SHAPE)
    for spreads in ((50.0, 0.02), (0.02, 50.0)):
        found = run(near, AdaptiveTaylor(spreads, True, measure, 4), INPUTS)
        assert found["ok"].all()
        expected = run(near, AdaptiveTaylor((0.02,), True, measure, 4), INPUTS)
        np.testing.assert_array_equal(found["attributions"], expected["attributions"])


def test_adaptive_taylor_needs_images_and_spreads():
    with pytest.raises(ValueError, match=r"needs images.*PathIntegral"):
        run(objective(quadratic((4,)), (4,)), AdaptiveTaylor(), np.zeros((1, 4)))
    with pytest.raises(ValueError, match=r"spreads=\.\.\.\) must be a list.*Received: \(\)"):
        AdaptiveTaylor(())
    with pytest.raises(ValueError, match=r"measure=.*'sensitivity', 'variation'.*'beauty'"):
        AdaptiveTaylor(measure="beauty")
    with pytest.raises(ValueError, match=r"spread=.*Received: -1\.0"):
        AdaptiveTaylor((0.1, -1))
