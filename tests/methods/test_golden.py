"""Parity with the reference implementations, by arrays that these computed in float64."""

import dataclasses
import functools
import math
import re

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from tests.cases import deviation, golden, run
from tfgig import presets
from tfgig.baselines import Constant
from tfgig.image import gaussian_blur
from tfgig.methods import PathIntegral
from tfgig.paths import Guided, Straight
from tfgig.quadratures import Endpoints, GaussLegendre, Left, Midpoint, Right, Trapezoid
from tfgig.rules import ImportantDirection, Riemann

FILES = ("vector", "image", "ties")
# Of the largest attribution. The points are float32, as a model's inputs are, and the
# attributions leave in float32: 1e-7 each, over up to 200 steps.
TOLERANCE = 5e-6
GUIDED = [
    (name, steps, fraction, distance)
    for name in FILES
    for steps, fraction, distance in ((200, 0.25, 0.02), (50, 0.1, 0.1), (50, 0.1, 1.0))
]
GUIDED_AND_STRAIGHT = [*GUIDED, *((name, 25, 0.25, 0.0) for name in FILES)]

load = functools.cache(golden)


def explain(name, method):
    arrays, model = load(name)
    explanation = run(model, method, arrays["x"][np.newaxis], int(arrays["target"]), graph=True)
    explanation = {key: value[0] for key, value in explanation.items()}
    assert explanation["ok"]
    # Scores of order one, rounded to float32.
    assert explanation["score"] == pytest.approx(float(arrays["score"]), rel=1e-6)
    return explanation


@functools.cache
def guided(name, steps, fraction, distance, rule=Riemann(), quadrature=Left()):
    path = Guided(Constant(load(name)[0]["baseline"]), fraction, distance)
    return explain(name, PathIntegral(path, rule, quadrature, steps))


def straight(name, quadrature, steps, rule=Riemann()):
    path = Straight(Constant(load(name)[0]["baseline"]))
    return explain(name, PathIntegral(path, rule, quadrature, steps))


def test_every_array_of_the_files_is_compared():
    keys = {key for name in FILES for key in load(name)[0] if re.match("ig|guided", key)}
    compared = {f"guided_ig_T{t}_f{f}_d{d}" for _, t, f, d in GUIDED_AND_STRAIGHT}
    compared |= {f"{key}_idgi" for key in compared}
    assert keys == compared | {"ig_exact", "ig_endpoints_25", "ig_left_128_idgi"}


@pytest.mark.parametrize("name", ["image", "ties"])
def test_integrated_gradients(name):
    found = straight(name, Endpoints(), 25)
    expected = load(name)[0]["ig_endpoints_25"]
    assert deviation(found["attributions"], expected) <= TOLERANCE


@pytest.mark.parametrize("name", FILES)
def test_idgi_on_the_straight_line(name):
    found = straight(name, Left(), 128, ImportantDirection())
    expected = load(name)[0]["ig_left_128_idgi"]
    assert deviation(found["attributions"], expected) <= TOLERANCE


@pytest.mark.parametrize(("name", "steps", "fraction", "distance"), GUIDED_AND_STRAIGHT)
def test_guided_ig(name, steps, fraction, distance):
    found = guided(name, steps, fraction, distance)
    expected = load(name)[0][f"guided_ig_T{steps}_f{fraction}_d{distance}"]
    assert deviation(found["attributions"], expected) <= TOLERANCE


@pytest.mark.parametrize(("name", "steps", "fraction", "distance"), GUIDED_AND_STRAIGHT)
def test_idgi_on_the_guided_path(name, steps, fraction, distance):
    found = guided(name, steps, fraction, distance, ImportantDirection())
    expected = load(name)[0][f"guided_ig_T{steps}_f{fraction}_d{distance}_idgi"]
    assert deviation(found["attributions"], expected) <= TOLERANCE


@pytest.mark.parametrize(("name", "steps", "fraction", "distance"), GUIDED)
def test_the_trapezoid_is_more_complete_than_the_references_left_rule(
    name, steps, fraction, distance
):
    left = guided(name, steps, fraction, distance)
    trapezoid = guided(name, steps, fraction, distance, quadrature=Trapezoid())
    assert 3 * abs(trapezoid["delta"]) <= abs(left["delta"])


@pytest.mark.parametrize(
    ("quadrature", "order"),
    # How the error falls with the number of steps; for a smooth score, with some room.
    [(Endpoints(), 1), (Left(), 1), (Right(), 1), (Midpoint(), 2), (Trapezoid(), 2)],
)
def test_every_quadrature_approaches_the_integral(quadrature, order):
    exact = load("image")[0]["ig_exact"]
    coarse = deviation(straight("image", quadrature, 16)["attributions"], exact)
    fine = deviation(straight("image", quadrature, 128)["attributions"], exact)
    assert fine < 1.5 * coarse / 8**order + TOLERANCE


@pytest.mark.parametrize("name", FILES)
def test_gauss_legendre_is_at_the_integral_early(name):
    found = straight(name, GaussLegendre(), 32)["attributions"]
    assert deviation(found, load(name)[0]["ig_exact"]) <= TOLERANCE


@pytest.mark.parametrize(
    ("key", "max_sigma", "steps", "spacing"),
    [
        ("blur_ig_s5_n20", 5, 20, "linear"),
        ("blur_ig_s10_n50", 10, 50, "linear"),
        ("blur_ig_s10_n50_sqrt", math.sqrt(10), 50, "sqrt"),
    ],
)
def test_blur_ig(key, max_sigma, steps, spacing):
    path = presets.get("blur_ig_reference").path
    path = dataclasses.replace(path, max_sigma=max_sigma, spacing=spacing)
    found = explain("blur", PathIntegral(path, Riemann(), Right(), steps))
    assert deviation(found["attributions"], load("blur")[0][key]) <= TOLERANCE


def test_blurred_image():
    arrays, _ = load("blur")
    found = gaussian_blur(tf.constant(arrays["x"][np.newaxis]), tf.constant([5.0]), "zero")[0]
    # float64 against float64, in sums of 41 terms.
    np.testing.assert_allclose(found, arrays["blurred_sigma5"], rtol=0, atol=1e-13)
    scipy_blurred = scipy.ndimage.gaussian_filter(arrays["x"], [5, 5, 0], mode="constant")
    np.testing.assert_allclose(scipy_blurred, arrays["blurred_sigma5"], rtol=0, atol=1e-13)
