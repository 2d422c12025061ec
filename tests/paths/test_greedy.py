"""Salient manipulation, by hand."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.cases import objective, run
from tfgig.baselines import Constant
from tfgig.methods import PathIntegral
from tfgig.paths import Anchored, Ends, Greedy, Step

ALPHAS = [0.0, 0.25, 0.5, 0.75]


def walked(direction, gradient, start, end, share=0.1):
    """The points of both walks at a quarter, a half and three quarters of the way."""
    path = Greedy(share=share, direction=direction)
    ends = path.cut(Ends(*(tf.constant(value, tf.float64) for value in (start, end))))
    gradient = tf.constant(np.broadcast_to(gradient, ends.start.shape), tf.float32)
    state, points = path.begin(ends), []
    for lower, upper in itertools.pairwise(tf.constant(ALPHAS, tf.float64)):
        state = path.advance(Step(lower, upper), state, gradient, ends)
        points.append(path.point(state, ends).numpy())
    return points


def test_insertion_moves_the_largest_projection_first():
    # Projections, gradient times way: 3, -2, 1, 2 of four features of length 1.
    points = walked("insertion", [[3.0, 2.0, 1.0, 2.0]], np.zeros((1, 4)), [[1.0, -1, 1, 1]])
    np.testing.assert_allclose(np.concatenate(points), [[1, 0, 0, 0], [1, 0, 0, 1], [1, 0, 1, 1]])


def test_deletion_leads_from_the_input_and_moves_the_smallest_first():
    # From the input back, the projections are -3, 2, -1, -2.
    points = walked("deletion", [[3.0, 2.0, 1.0, 2.0]], np.zeros((1, 4)), [[1.0, -1, 1, 1]])
    expected = [[0, -1, 1, 1], [0, -1, 1, 0], [0, -1, 0, 0]]
    np.testing.assert_allclose(np.concatenate(points), expected, atol=1e-12)


def test_pixels_move_as_a_whole_and_in_part():
    # Two pixels of two channels, lengths 1 + 3 and 2 + 2, projections 10 and 4.
    gradient = [[[1.0, 3.0], [1.0, 1.0]]]
    points = walked("insertion", gradient, np.zeros((1, 2, 2)), [[[1.0, 3.0], [2.0, 2.0]]])
    np.testing.assert_allclose(points[0], [[[0.5, 1.5], [0, 0]]])
    np.testing.assert_allclose(points[1], [[[1, 3], [0, 0]]])
    np.testing.assert_allclose(points[2], [[[1, 3], [1, 1]]])


def test_a_share_of_the_pixels_moves_at_once():
    points = walked("insertion", [[4.0, 3, 2, 1]], np.zeros((1, 4)), np.ones((1, 4)), share=0.5)
    np.testing.assert_allclose(points[0], [[0.5, 0.5, 0, 0]])  # and no further than a step's length


def product(points):
    """Two scores: the product of both features and the first, and the first."""
    first, second = points[:, 0], points[:, 1]
    return tf.stack([first * second + first, first], 1)


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        # First x rises from 0 to 1 at y = 0, then y at x = 1: 1 and 1.
        ("insertion", [1.0, 1.0]),
        # From (1, 1), x falls first, where the gradient is (2, 1): 2 at y = 1, and 0.
        ("deletion", [2.0, 0.0]),
        ("both", [1.5, 0.5]),
    ],
)
def test_attributions_by_hand(direction, expected):
    model = objective(product, (2,))
    path = Greedy(Constant(0.0), share=0.1, direction=direction)
    found = run(model, PathIntegral(path, steps=2 * path.segments), [[1.0, 1.0]])
    np.testing.assert_allclose(found["attributions"], [expected], atol=1e-5)
    assert found["score"] == pytest.approx(2.0)
    assert found["baseline_score"] == pytest.approx(0.0, abs=1e-6)
    assert found["delta"] == pytest.approx(0.0, abs=1e-5)


def test_both_is_the_mean_of_the_two():
    model = objective(lambda x: tf.stack([tf.reduce_sum(tf.sin(x) * x, [1]), x[:, 0]], 1), (6,))
    inputs = np.random.default_rng(0).uniform(-2, 2, (3, 6))
    found = {
        direction: run(model, PathIntegral(Greedy(direction=direction), steps=steps), inputs)
        for direction, steps in [("insertion", 7), ("deletion", 7), ("both", 14)]
    }
    for key in ("attributions", "baseline_score"):
        mean = (found["insertion"][key] + found["deletion"][key]) / 2
        np.testing.assert_allclose(found["both"][key], mean, atol=1e-5)


def test_one_direction_can_be_anchored():
    model = objective(product, (2,))
    found = run(
        model, PathIntegral(Anchored(Greedy(direction="deletion"), 3), steps=32), [[1.0, 1]]
    )
    assert found["delta"] == pytest.approx(0.0, abs=1e-5)
    assert 1.0 < found["attributions"][0, 0] < 2.0  # nearer to the straight line's 1.5
    with pytest.raises(ValueError, match="Give Greedy a direction"):
        Anchored(Greedy())


@pytest.mark.parametrize("options", [{"share": 0}, {"share": 1.5}, {"direction": "forth"}])
def test_refusals(options):
    with pytest.raises(ValueError, match="Received"):
        Greedy(**options)
