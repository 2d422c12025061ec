import numpy as np
import pytest
import tensorflow as tf

from tfgig.baselines import Constant
from tfgig.paths import Ends, Straight


def test_points_and_displacements():
    start, inputs = np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype(np.float32)
    ends, alpha = Ends(tf.constant(start), tf.constant(inputs)), tf.constant([0.0, 0.25, 1.0])
    path = Straight()
    expected = start + np.float32([0, 0.25, 1]).reshape(3, 1, 1) * (inputs - start)
    # float32, one rounding.
    np.testing.assert_allclose(path.point(alpha, ends), expected, atol=1e-6)
    moved = path.displacement(tf.zeros([3]), alpha, ends)
    np.testing.assert_allclose(moved, expected - start, atol=1e-6)


def test_the_start_is_the_baseline():
    starts = Straight(Constant((1.0, 2.0))).starts(tf.zeros([3, 4, 2]), None)
    np.testing.assert_array_equal(starts, np.broadcast_to([1.0, 2.0], (1, 3, 4, 2)))


def test_the_baseline_is_a_spec():
    with pytest.raises(TypeError, match=r"`baseline` must be one of .*Several\(\.\.\.\)"):
        Straight("black")
