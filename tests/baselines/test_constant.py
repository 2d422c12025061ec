import numpy as np
import pytest
import tensorflow as tf

from tfgig.baselines import Constant, Several

INPUTS = tf.zeros([2, 4, 5, 3])


@pytest.mark.parametrize(
    "value",
    [0.0, 7, (1.0, 2.0, 3.0), np.arange(60.0).reshape(4, 5, 3), np.arange(5.0).reshape(5, 1)],
    ids=["default", "number", "colour", "array", "row"],
)
def test_constant_fills_every_input(value):
    found = Constant(value)(INPUTS, None)
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, np.broadcast_to(value, (1, 2, 4, 5, 3)))


def test_lists_and_arrays_are_the_same_spec():
    assert Constant([1, 2, 3]) == Constant(np.float32([1, 2, 3])) == Constant((1.0, 2.0, 3.0))
    assert hash(Constant([1, 2, 3])) == hash(Constant((1, 2, 3)))


@pytest.mark.parametrize("value", [(1.0, 2.0), np.zeros((2, 4, 5, 3)), np.zeros((3, 5, 4))])
def test_other_shapes_are_refused(value):
    with pytest.raises(ValueError, match=r"a number, a colour.*\(4, 5, 3\).*Received"):
        Constant(value)(INPUTS, None)


@pytest.mark.parametrize("value", [np.nan, np.inf, (0.0, np.nan)])
def test_a_baseline_is_finite(value):
    with pytest.raises(ValueError, match=r"must be finite.*Received"):
        Constant(value)


def test_several_lie_one_after_another():
    found = Several([Constant(1.0), Constant((2.0, 3.0, 4.0)), Several((Constant(5.0),))])(
        INPUTS, None
    )
    assert found.shape == (3, 2, 4, 5, 3)
    np.testing.assert_array_equal(found[:, 1, 2, 3], [[1, 1, 1], [2, 3, 4], [5, 5, 5]])


@pytest.mark.parametrize("baselines", [(), Constant(0.0)])
def test_several_needs_at_least_one(baselines):
    with pytest.raises(ValueError, match="at least one baseline"):
        Several(baselines)


def test_several_takes_baselines():
    with pytest.raises(TypeError, match=r"`baselines` must be one of Constant.*Received: 0\.0"):
        Several((0.0, 1.0))
