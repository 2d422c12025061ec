"""Layers laid over pictures: centres, edges, tokens, sizes."""

import numpy as np
import pytest
import tensorflow as tf

from tfgig.image.layout import Axis, Layout

MAPS = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)


def test_a_position_stands_where_it_looks():
    layout = Layout((3, 4), (24, 32), 0, (Axis(8.0, 7.0), Axis(8.0, 3.5)))
    over = layout.laid_over(tf.constant(MAPS), tf.constant([24, 32])).numpy()
    at, then = MAPS[:, 0, 0], MAPS[:, 0, 1]
    np.testing.assert_allclose(over[:, 7, 3], at, rtol=1e-5)
    np.testing.assert_allclose(over[:, 7, 4], at * 15 / 16 + then / 16, atol=1e-5)
    np.testing.assert_allclose(over[:, 7, 11], at / 16 + then * 15 / 16, atol=1e-5)
    rows = over[:, :, 0]  # at the left edge, which goes on
    np.testing.assert_allclose(rows[:, 11], (MAPS[:, 0, 0] + MAPS[:, 1, 0]) / 2, rtol=1e-5)
    np.testing.assert_allclose(rows[:, 0], MAPS[:, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(rows[:, 23], MAPS[:, 2, 0], rtol=1e-5)


def test_centres_that_share_a_picture_out_are_a_resizing():
    even = Layout((3, 4), (24, 32), 0, (Axis(8.0, 3.5), Axis(8.0, 3.5)))
    for size in ((24, 32), (48, 64), (10, 17)):
        expected = tf.image.resize(MAPS, size)
        np.testing.assert_allclose(
            even.laid_over(tf.constant(MAPS), tf.constant(size)), expected, atol=1e-5
        )
        unknown = even._replace(centres=None)
        np.testing.assert_allclose(
            unknown.laid_over(tf.constant(MAPS), tf.constant(size)), expected, atol=1e-5
        )


def test_tokens_in_front_of_the_grid_are_left_out():
    layout = Layout((3, 4), (24, 32), 2)
    tokens = np.concatenate([np.full((2, 2, 5), 9.0), MAPS.reshape(2, 12, 5)], 1)
    np.testing.assert_array_equal(layout.on_grid(tf.constant(tokens, tf.float32)), MAPS)


@pytest.mark.parametrize("centres", [None, (Axis(8.0, 7.0), Axis(8.0, 3.5))])
def test_a_layout_is_plain_data_and_back(centres):
    layout = Layout((3, 4), (24, 32), 1, centres)
    assert Layout.from_config(layout.to_config()) == layout


def test_no_rows():
    layout = Layout((3, 4), (24, 32), 0, (Axis(8.0, 7.0), Axis(8.0, 3.5)))
    assert layout.laid_over(tf.zeros([0, 3, 4, 5]), tf.constant([6, 7])).shape == (0, 6, 7, 5)
