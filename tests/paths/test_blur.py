import dataclasses
import itertools

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from tests.cases import image_model, objective, quadratic, run
from tfgig import Explainer
from tfgig.methods import PathIntegral
from tfgig.paths import Blur, Ends

SHAPE = (9, 7, 3)
IMAGES = np.random.default_rng(0).uniform(0, 255, (3, *SHAPE)).astype(np.float32)
ENDS = Ends(tf.zeros([3, *SHAPE]), tf.constant(IMAGES))
MODES = {"reflect": "reflect", "zero": "constant"}


def prepared(path, ends=ENDS):
    """As the engine hands ends to a path."""
    ends = ends._replace(tables=path.tabulate(ends))
    return ends._replace(prepared=path.prepare(ends))


def test_the_speed_changes_no_integral_and_the_log_takes_fewer_steps():
    model = objective(quadratic(SHAPE), SHAPE)

    def explained(spacing, steps):
        method = PathIntegral(Blur(8.0, spacing), steps=steps)
        return run(model, method, IMAGES[:1])["attributions"]

    exact = explained("log", 512)
    size = np.abs(exact).sum()
    np.testing.assert_allclose(explained("linear", 1024), exact, atol=8e-2 * np.abs(exact).max())
    few = {s: np.abs(explained(s, 8) - exact).sum() / size for s in ("log", "linear", "sqrt")}
    assert few["log"] < 0.5 * min(few["linear"], few["sqrt"])


@pytest.mark.parametrize("padding", MODES)
@pytest.mark.parametrize("spacing", ["linear", "sqrt", "log"])
def test_points_are_the_blurred_input(padding, spacing):
    path = Blur(8.0, spacing, padding=padding)
    points = path.point(tf.constant([0.0, 0.75, 1.0], tf.float64), prepared(path))
    quarter = {"linear": 2.0, "sqrt": 4.0, "log": 0.5 * (17**0.25 - 1)}[spacing]
    for point, image, sigma in zip(points, IMAGES, [8.0, quarter, 0.0], strict=True):
        expected = scipy.ndimage.gaussian_filter(image, [sigma, sigma, 0], mode=MODES[padding])
        np.testing.assert_allclose(point, expected, atol=1e-3)  # float32, sums of 255s
    np.testing.assert_array_equal(points[2], IMAGES[2])
    start = path.starts(tf.constant(IMAGES), None)
    assert start.shape == (1, 3, *SHAPE)
    np.testing.assert_allclose(start[0, 0], points[0], atol=1e-4)


@pytest.mark.parametrize("padding", MODES)
def test_displacements_add_up_to_the_whole_way(padding):
    path = Blur(8.0, padding=padding)
    edges = tf.constant(np.linspace(0, 1, 6))
    total = sum(
        path.displacement(tf.fill([3], low), tf.fill([3], high), prepared(path))
        for low, high in itertools.pairwise(edges)
    )
    np.testing.assert_allclose(total, IMAGES - path.starts(ENDS.end, None)[0], atol=1e-3)


def test_a_finite_difference_is_the_tangent():
    lower, upper = (tf.fill([3], tf.constant(alpha, tf.float64)) for alpha in (0.5, 0.5 + 1e-4))
    path = Blur(8.0)
    ends = Ends(*(tf.cast(end, tf.float64) for end in ENDS[:2]))
    curve = path.displacement(lower, upper, prepared(path, ends))
    tangent = Blur(8.0, grad_step=1e-3).displacement(lower, upper, ENDS)
    # Both go wrong by the curvature times their step, relative 1e-3 of a pixel.
    np.testing.assert_allclose(tangent, curve, atol=2e-3 * np.abs(curve).max())


def test_a_constant_image_has_nothing_to_explain():
    model = objective(quadratic(SHAPE), SHAPE)
    found = run(model, PathIntegral(Blur(), steps=5), np.full((1, *SHAPE), 200.0))
    # Mirrored borders keep a constant image as it is, up to float32's rounding of 200.
    np.testing.assert_allclose(found["attributions"], 0, atol=1e-5)


def test_images_of_one_channel():
    model = image_model(shape=(9, 7, 1))
    explanation = Explainer(model, PathIntegral(Blur(4.0), steps=4))(IMAGES[..., :1])
    assert explanation["attributions"].shape == (3, 9, 7, 1)
    assert np.abs(explanation["attributions"]).max() > 0


@pytest.mark.parametrize("shape", [(5,), (4, 4), (2, 4, 4, 3)])
def test_other_inputs_are_refused(shape):
    model = objective(quadratic(shape), shape)
    with pytest.raises(ValueError, match=r"use Straight or Guided.*Received"):
        run(model, PathIntegral(Blur()), np.zeros((1, *shape)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_sigma", 0.0),
        ("max_sigma", -1.0),
        ("max_sigma", float("nan")),
        ("max_sigma", float("inf")),
        ("spacing", "even"),
        ("scale", 0.0),
        ("scale", float("inf")),
        ("padding", "same"),
        ("grad_step", 0.0),
        ("grad_step", -0.1),
    ],
)
def test_mistakes_name_the_field(field, value):
    with pytest.raises(ValueError, match=rf"Blur\({field}=\.\.\.\).*Received"):
        dataclasses.replace(Blur(), **{field: value})
