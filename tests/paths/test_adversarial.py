"""Walks to other classes, by hand on linear scores."""

import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests.cases import objective, run
from tfgig.methods import PathIntegral
from tfgig.paths import Adversarial, Anchored
from tfgig.quadratures import Left
from tfgig.rules import Riemann
from tfgig.targets import Evenness

WEIGHTS = np.array([[2.0, 0.0, 0.0], [0.0, 1.0, -1.0], [0.0, 0.0, 1.5]], np.float32)


def linear(points):
    """Three scores; that of class 1 rises with the second feature and falls with the third."""
    return points @ tf.constant(WEIGHTS.T)


def method(steps, **options):
    return PathIntegral(Adversarial(**options), Riemann(), Left(), steps)


def test_a_walk_that_leaves_the_score_as_it_is():
    # Scores (2 x0, x1 - x2, 1.5 x2). Of 0 the first other class is 1: x1 rises, x2 falls, and the
    # explained score does not change.
    inputs = np.float32([[0.3, 0.2, 0.2]])
    found = run(objective(linear, (3,)), method(10, classes=1, value_range=(-9, 9)), inputs)
    np.testing.assert_allclose(found["attributions"], [[0, 0, 0]], atol=1e-6)
    assert found["baseline_score"] == pytest.approx(0.6, abs=1e-6)


def test_the_explained_score_falls_along_the_walk():
    model = objective(lambda x: linear(x) - 0.5 * x[:, :1], (3,))
    found = run(model, method(20, classes=1, step=0.05), [[0.3, 0.1, 0.5]], target=2)
    # Towards class 0, 1.5 x0, from class 2, 1.5 x2 - .5 x0: x0 rises by .05 of the range .4 at each
    # step until 2 x0 > .75, so to .38, where class 2 has lost .5 * .08.
    np.testing.assert_allclose(found["attributions"], [[0.04, 0, 0]], atol=1e-5)
    assert found["score"] == pytest.approx(0.6, abs=1e-5)
    assert found["baseline_score"] == pytest.approx(0.56, abs=1e-5)
    assert found["delta"] == pytest.approx(0, abs=1e-6)


def test_walks_end_after_their_steps_and_points_stay_in_the_range():
    model = objective(lambda x: linear(x) - 0.5 * x[:, :1], (3,))
    found = run(model, method(2, classes=1, step=0.05), [[0.3, 0.1, 0.5]], target=2)
    np.testing.assert_allclose(found["attributions"], [[0.02, 0, 0]], atol=1e-5)
    far = method(3, classes=1, step=1.0, value_range=(0, 0.35))
    found = run(objective(lambda x: linear(x) - x[:, :1], (3,)), far, [[0.1, 0.1, 0.34]], target=2)
    # Class 2 is 1.5 x2 - x0, and x0 goes to .35, where class 0 is on top.
    np.testing.assert_allclose(found["attributions"], [[0.25, 0, 0]], atol=1e-5)


def test_every_other_class_has_a_walk_and_none_the_explained_one():
    path = Adversarial(classes=3)

    class Known:
        classes, target = 7, tf.constant([2] * 3, tf.int64)

    np.testing.assert_array_equal(path._rivals(Known, tf.range(3)), [0, 3, 5])
    Known.classes, Known.target = 3, tf.constant([0, 0], tf.int64)
    np.testing.assert_array_equal(path._rivals(Known, tf.range(2)), [1, 2])
    starts = path.starts(tf.zeros([4, 5]), Known)
    assert starts.shape == (2, 4, 5)  # as many as there are


def test_rows_are_explained_apart():
    model = objective(lambda x: tf.sin(3 * linear(x)), (3,))
    inputs = np.random.default_rng(0).uniform(-1, 1, (5, 3)).astype(np.float32)
    together = run(model, method(5), inputs, target=-1)
    for row in range(5):
        alone = run(model, method(5), inputs[row : row + 1], target=-1)
        for key, value in alone.items():
            np.testing.assert_allclose(together[key][row], value[0], atol=1e-5, err_msg=key)


@pytest.mark.parametrize("options", [{"classes": 0}, {"step": 0}, {"value_range": (1, 0)}])
def test_refusals(options):
    with pytest.raises(ValueError, match="Received"):
        Adversarial(**options)


def test_it_needs_other_classes_and_leads_nowhere_in_particular():
    model = objective(linear, (3,), target=Evenness())
    with pytest.raises(ValueError, match="other classes"):
        run(model, method(2), [[0.3, 0.2, 0.2]])
    with pytest.raises(ValueError, match="chooses its own end"):
        Anchored(Adversarial())
    assert tfgig.PathIntegral(Adversarial(classes=4), steps=3).gradients == 4 * (3 * 2 + 1)
