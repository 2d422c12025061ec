import numpy as np
import pytest
import tensorflow as tf

from tfgig.image.resize import resize_bilinear


@pytest.mark.parametrize("size", [(9, 5), (3, 4), (1, 1), (40, 31)])
def test_it_is_tensorflows_own(size):
    maps = tf.constant(np.random.default_rng(0).normal(size=(2, 3, 4, 2)), tf.float32)
    np.testing.assert_allclose(
        resize_bilinear(maps, tf.constant(size)), tf.image.resize(maps, size), atol=1e-6
    )


def test_an_empty_batch_stays_empty():
    assert resize_bilinear(tf.zeros([0, 3, 4, 1]), tf.constant([6, 5])).shape == (0, 6, 5, 1)
