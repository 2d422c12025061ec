"""How exact an answer says it is, against how exact it is."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.cases import ROOT, images, objective, quadratic, run
from tfgig import load_model
from tfgig.baselines import Constant, Several
from tfgig.demonstration import scenes
from tfgig.methods import Edge, GradCAM, Gradient, PathIntegral, Smooth
from tfgig.methods.error import caution, relative_error
from tfgig.objective import ModelObjective
from tfgig.paths import Anchored, Blur, Guided, Straight
from tfgig.quadratures import Left, Midpoint, Trapezoid
from tfgig.rules import ImportantDirection, Riemann
from tfgig.targets import ClassScore

SHAPE = (4, 4, 3)
INPUTS = images(3, SHAPE)
MODEL = objective(quadratic(SHAPE), SHAPE)


def contributions(steps):
    """Of the nodes of IG from black by the midpoint rule, [steps, rows, ...]."""
    nodes = (np.arange(steps) + 0.5) / steps
    target = tf.zeros([len(INPUTS)], tf.int64)
    gradients = [
        MODEL.score_and_gradient(tf.constant(node * INPUTS, tf.float32), target)[1]
        for node in nodes
    ]
    return np.array(gradients, np.float64) * INPUTS / steps


@pytest.mark.parametrize("steps", [2, 5, 8])
def test_the_error_is_the_difference_of_odd_and_even_nodes(steps):
    found = run(MODEL, PathIntegral(steps=steps, internal_batch_size=3), INPUTS)
    parts = contributions(steps)
    even = steps // 2 * 2  # of an odd number, the last is left out
    difference = parts[0:even:2].sum(0) - parts[1:even:2].sum(0)
    size = np.abs(difference).sum((1, 2, 3)) / np.abs(parts.sum(0)).sum((1, 2, 3))
    np.testing.assert_allclose(found["error"], 0.57 * caution(steps) * size, rtol=1e-4)
    assert found["error"].dtype == np.float32


@pytest.mark.parametrize(
    ("method", "expected"),
    [(Gradient(), 0.0), (Edge(), 0.0), (GradCAM(), 0.0), (Smooth(Gradient(), samples=2), 0.0)]
    + [(PathIntegral(path, steps=1, quadrature=Left()), 1.0) for path in (Straight(), Guided())]
    + [(PathIntegral(Straight(Constant(3.0)), ImportantDirection(), Left(), steps=1), 1.0)],
)
def test_what_is_no_integral_has_no_error_and_one_step_is_unknown(method, expected):
    found = run(MODEL, method, INPUTS)
    np.testing.assert_allclose(found["error"], expected, rtol=1e-6)


@pytest.mark.parametrize("path", [Straight(), Guided(), Anchored(anchors=1), Blur(3.0)])
def test_rows_without_an_answer_have_no_error(path):
    bad = INPUTS.copy()
    bad[1, 0, 0, 0] = np.nan
    found = run(MODEL, PathIntegral(path, steps=8), bad)
    assert found["ok"].tolist() == [True, False, True]
    assert found["error"][1] == 0
    assert (found["error"][[0, 2]] > 0).all()
    # Black is explained by nothing: all zeros, and exact.
    if isinstance(path, Straight):
        nothing = run(MODEL, PathIntegral(path, steps=8), 0 * INPUTS)
        assert nothing["ok"].all()
        assert nothing["error"].tolist() == [0, 0, 0]


def test_errors_that_cannot_be_compared_are_whole():
    maps = tf.constant([[1.0, -3.0], [0.0, 0.0], [0.0, 0.0], [1e-30, 0.0]])
    residual = tf.constant([[0.5, 0.5], [0.0, 0.0], [1.0, 0.0], [3e38, 3e38]])
    np.testing.assert_allclose(relative_error(maps, residual), [0.25, 0, 1, 1])


def test_errors_of_several_baselines_cancel_as_their_integrals_do():
    both = Several((Constant(0.0), Constant(50.0)))
    found = run(MODEL, PathIntegral(Straight(both), steps=8), INPUTS)["error"]
    single = [run(MODEL, PathIntegral(Straight(one), steps=8), INPUTS) for one in both.baselines]
    largest = sum(e["error"] * np.abs(e["attributions"]).sum((1, 2, 3)) for e in single)
    mean = np.abs(sum(e["attributions"] for e in single)).sum((1, 2, 3))
    assert (found <= largest / mean * (1 + 1e-5)).all()
    assert (found > 0).all()


@pytest.mark.parametrize("statistic", ["mean", "squared", "variance"])
def test_smoothing_hands_the_error_on(statistic):
    def smooth(steps, spread):
        inner = PathIntegral(steps=steps)
        return Smooth(inner, samples=4, spread=spread, statistic=statistic)

    if statistic != "variance":  # without noise there is none
        plain = run(MODEL, PathIntegral(steps=8), INPUTS)
        found = run(MODEL, smooth(8, 0.0), INPUTS)["error"]
        if statistic == "mean":
            np.testing.assert_allclose(found, plain["error"], rtol=1e-4)
    coarse, fine = (run(MODEL, smooth(steps, 0.3), INPUTS)["error"] for steps in (8, 64))
    assert (coarse > 4 * fine).all()
    assert (fine > 0).all()


@functools.cache
def shapes():
    """A shipped network, and scenes that it has not seen."""
    file = ROOT / "saved_models" / "shapes" / "model.keras"
    source = load_model(keras.models.load_model(file, compile=False))  # holds the variables
    found = scenes.compose(2, seed=17, split="test").images.astype(np.float32)
    return ModelObjective(source.cut.forward, ClassScore(), source.cut.points), found, source


@functools.cache
def explained(path, rule, quadrature, steps):
    model, inputs, _ = shapes()
    return run(model, PathIntegral(path, rule, quadrature, steps), inputs, -1, graph=True)


@pytest.mark.parametrize(
    ("rule", "quadrature"), [(Riemann(), Midpoint()), (ImportantDirection(), Left())]
)
def test_the_error_of_a_trained_network_is_what_it_says(rule, quadrature):
    exact = explained(Straight(), rule, quadrature, 256)["attributions"]
    for steps in (16, 48):
        found = explained(Straight(), rule, quadrature, steps)
        features = (1, 2, 3)
        gone = np.abs(found["attributions"] - exact).sum(features)
        error = gone / np.abs(exact).sum(features)
        assert (found["error"] > 0.75 * error).all()
        assert (found["error"] < 1.8 * error).all()


def test_the_error_of_an_adaptive_path_is_that_along_it():
    # Half of the trapezoid's and the left sum's difference, which is a bias: the path has chosen
    # by the gradient at the start of each step.
    left = explained(Guided(), Riemann(), Left(), 50)
    trapezoid = explained(Guided(), Riemann(), Trapezoid(), 50)
    features = (1, 2, 3)
    between = np.abs(left["attributions"] - trapezoid["attributions"]).sum(features)
    between /= np.abs(left["attributions"]).sum(features)
    assert (left["error"] > 0.9 * between).all()
    assert (left["error"] > trapezoid["error"]).all()
    assert (trapezoid["error"] > 0.05).all()


class StepByStep(Riemann):
    """The same contributions, of which the sums do not know that they are linear."""

    linear = False


@pytest.mark.parametrize("path", [Guided(), Anchored(anchors=2)])
@pytest.mark.parametrize("steps", [3, 4, 9, 10])
def test_a_sum_of_nodes_is_that_of_their_steps(path, steps):
    nodes, by_steps = (
        run(MODEL, PathIntegral(path, rule, Trapezoid(), steps=steps), INPUTS)
        for rule in (Riemann(), StepByStep())
    )
    for key in ("attributions", "error"):
        np.testing.assert_allclose(nodes[key], by_steps[key], rtol=1e-5, atol=1e-5)
