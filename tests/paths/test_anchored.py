import numpy as np
import pytest
import tensorflow as tf

from tfgig.baselines import Constant
from tfgig.paths import Anchored, Ends, Guided, Straight


def test_segments_follow_each_other_along_the_straight_line():
    start, inputs = np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype(np.float32)
    cut = Anchored(anchors=2).cut(Ends(tf.constant(start), tf.constant(inputs)))
    begins, ends = (np.reshape(part, (3, 3, 4, 2)) for part in cut[:2])  # segment-major
    np.testing.assert_array_equal(begins[0], start)
    np.testing.assert_array_equal(ends[-1], inputs)
    np.testing.assert_array_equal(begins[1:], ends[:-1])
    # float32, thirds.
    np.testing.assert_allclose(ends[0], start + (inputs - start) / 3, atol=1e-6)


def test_the_start_is_that_of_the_path_within():
    inputs = tf.zeros([2, 5])
    starts = Anchored(Guided(Constant(3.0))).starts(inputs, None)
    np.testing.assert_array_equal(starts, np.full((1, 2, 5), 3.0))


@pytest.mark.parametrize("anchors", [-1, 1.5, "2"])
def test_anchors_are_counted(anchors):
    with pytest.raises(ValueError, match=r"Anchored\(anchors=\.\.\.\)"):
        Anchored(anchors=anchors)


def test_only_adaptive_paths_are_anchored_and_only_once():
    with pytest.raises(TypeError, match=r"`path` must be one of .*Guided\(\.\.\.\)"):
        Anchored(Straight())
    with pytest.raises(ValueError, match="itself anchored"):
        Anchored(Anchored())
