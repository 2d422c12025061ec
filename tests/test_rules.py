import numpy as np
import pytest
import tensorflow as tf

from tests.cases import objective, quadratic, run
from tfgig.methods import PathIntegral
from tfgig.paths import Blur, Guided, Straight
from tfgig.quadratures import Left
from tfgig.rules import ImportantDirection, Riemann

GRADIENT = np.float32([[[3.0, -4.0], [0.0, 1.0]]])
DISPLACEMENT = np.float32([[[1.0, 0.5], [2.0, -3.0]]])


def idgi(gradient, change):
    gradient = tf.constant(gradient, tf.float32)
    return ImportantDirection()(gradient, tf.zeros_like(gradient), tf.constant(change)).numpy()


def test_riemann_by_hand():
    found = Riemann()(GRADIENT, DISPLACEMENT, np.float32([100.0]))
    np.testing.assert_array_equal(found, [[[3.0, -2.0], [0.0, -3.0]]])


def test_important_direction_by_hand():
    np.testing.assert_allclose(
        idgi(GRADIENT, [13.0]), [[[4.5, 8.0], [0.0, 0.5]]], rtol=1e-6
    )  # squares 9, 16, 0, 1 of 26


@pytest.mark.parametrize("scale", [1e-37, 1e-23, 1.0, 1e20, 1e37])
def test_important_direction_neither_underflows_nor_overflows(scale):
    found = idgi(GRADIENT * np.float32(scale), [13.0])
    np.testing.assert_allclose(found, [[[4.5, 8.0], [0.0, 0.5]]], rtol=1e-5)  # float32


def test_rows_of_all_sizes_stand_side_by_side():
    scales = np.float32([1e-23, 0.0, 1e20, 1.0]).reshape(4, 1, 1)
    found = idgi(GRADIENT * scales, [13.0, 13.0, -13.0, 0.0])
    share = np.float32([[4.5, 8.0], [0.0, 0.5]])
    np.testing.assert_allclose(found, [share, 0 * share, -share, 0 * share], rtol=1e-5)


def test_no_gradient_no_contribution():
    np.testing.assert_array_equal(idgi(np.zeros((2, 3, 4)), [1.0, -5.0]), np.zeros((2, 3, 4)))


@pytest.mark.parametrize("path", [Straight(), Guided(), Blur()], ids=lambda path: path.kind)
@pytest.mark.parametrize("quadrature", [Left(), None])
def test_important_direction_telescopes_on_every_path(path, quadrature):
    shape = (5, 4, 2)
    inputs = np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype(np.float32)
    method = PathIntegral(path, ImportantDirection(), quadrature, steps=3)
    found = run(objective(quadratic(shape), shape), method, inputs)
    # Three differences of float32 scores.
    np.testing.assert_allclose(found["delta"], 0, atol=1e-5 * np.abs(found["score"]).max())


def test_a_flat_stretch_contributes_nothing():
    """A score that only starts to move half way: the published code gives NaN for it all."""
    model = objective(lambda x: tf.nn.relu(tf.reduce_sum(x, 1, keepdims=True) - 2), [4])
    method = PathIntegral(Straight(), ImportantDirection(), Left(), steps=8)
    found = run(model, method, np.ones((1, 4)))
    assert found["ok"].all()
    # The step in which it starts to move has its gradient at the flat end, and is lost.
    np.testing.assert_allclose(found["attributions"], np.full((1, 4), 0.5), atol=0.13)


def test_a_linear_rule_looks_at_no_change():
    with pytest.raises(TypeError, match=r"leave `linear` or `uses_change` out.*Doubtful"):

        class Doubtful(Riemann):
            uses_change = True
