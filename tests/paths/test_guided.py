import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.cases import deviation, objective, quadratic, run
from tfgig.baselines import Constant
from tfgig.methods import PathIntegral
from tfgig.paths import Anchored, Ends, Guided, Step, Straight
from tfgig.paths.choosing import SELECTIONS, nth_by_bisection
from tfgig.quadratures import Left

SHAPE = (4, 3, 2)
INPUTS = np.random.default_rng(0).uniform(0, 255, (3, *SHAPE)).astype(np.float32)


def advance(path, steps, gradients, start, inputs):
    """The points [W, N] of a walk whose gradients are given, step by step."""
    ends = Ends(tf.constant(start, tf.float64), tf.constant(inputs, tf.float64))
    state, points = path.begin(ends), []
    alphas = tf.range(steps + 1, dtype=tf.float64) / steps
    for lower, upper in itertools.pairwise(alphas):
        gradient = tf.constant(gradients, tf.float32)
        state = path.advance(Step(lower, upper), state, gradient, ends)
        points.append(path.point(state, ends).numpy())
    return points


# Which features move, by hand


def test_the_lowest_gradients_move_first():
    path = Guided(fraction=0.25, max_distance=1.0)
    points = advance(path, 4, [[3.0, -1.0, 2.0, 4.0]], np.zeros((1, 4)), np.ones((1, 4)))
    # floor(0.25 * 3) + 1 = 1 feature at a time, by its absolute gradient: each step closes one.
    expected = [[0, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    np.testing.assert_allclose(np.concatenate(points), expected, atol=1e-12)


def test_equal_gradients_move_together():
    path = Guided(fraction=0.1, max_distance=1.0)
    points = advance(path, 2, [[1.0, 1.0, 1.0, 2.0]], np.zeros((1, 4)), np.ones((1, 4)))
    np.testing.assert_allclose(points[0], [[2 / 3, 2 / 3, 2 / 3, 0]], atol=1e-12)


def test_a_feature_that_lags_behind_catches_up():
    path = Guided(fraction=0.25, max_distance=0.25)
    points = advance(path, 4, [[0.0, 1.0, 2.0, 9.0]], np.zeros((1, 4)), np.ones((1, 4)))
    for step, point in enumerate(points, start=1):
        assert (np.abs(point - step / 4) <= 0.25 + 1e-12).all()
    assert points[1][0, 3] == pytest.approx(0.25)  # steepest of all, and never chosen


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("max_distance", [0.0, 0.02, 0.3, 1.0])
def test_every_step_covers_its_share_of_the_way(fraction, max_distance):
    random = np.random.default_rng(0)
    start, inputs = random.normal(size=(2, 5, 40))
    points = advance(
        Guided(fraction=fraction, max_distance=max_distance),
        10,
        random.normal(size=(5, 40)),
        start,
        inputs,
    )
    total = np.abs(inputs - start).sum(1)
    for step, point in enumerate(points, start=1):
        left = np.abs(inputs - point).sum(1)
        np.testing.assert_allclose(left, total * (1 - step / 10), atol=1e-7 * total.max())


# Several steps to a choice


@pytest.mark.parametrize("steps", [12, 11])
def test_a_choice_is_kept_for_its_steps(steps):
    """As many choices lead along the same path; the steps between divide it evenly."""
    random = np.random.default_rng(0)
    start, inputs, gradients = random.normal(size=(3, 2, 30))
    chosen = advance(Guided(max_distance=0.3), 4, gradients, start, inputs)
    path = Guided(max_distance=0.3, steps_per_choice=3)
    points = [start, *advance(path, steps, gradients, start, inputs)]
    if steps == 12:
        np.testing.assert_allclose(points[3::3], chosen, atol=1e-6)
    # The last choice ends there, be it of fewer steps.
    np.testing.assert_allclose(points[-1], inputs, atol=1e-6)
    for first in range(0, steps, 3):
        ways = np.diff(points[first : first + 4], axis=0)
        np.testing.assert_allclose(ways, np.broadcast_to(ways[0], ways.shape), atol=1e-6)


def test_more_steps_to_a_choice_are_more_exact():
    model = objective(quadratic(SHAPE), SHAPE)

    def gap(steps_per_choice, steps):
        path = Guided(fraction=0.1, max_distance=1.0, steps_per_choice=steps_per_choice)
        return np.abs(
            run(model, PathIntegral(path, quadrature=Left(), steps=steps), INPUTS)["delta"]
        )

    # The path of 5 choices, whose integral the left rule approaches as 1/n.
    np.testing.assert_allclose(gap(4, 20), gap(1, 5) / 4, rtol=1e-2)


# How the lowest gradients are found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bisection_finds_what_sorting_does(dtype):
    random = np.random.default_rng(0)
    values = np.stack(
        [
            random.normal(size=50) * np.logspace(-40, 30, 50),
            random.integers(-2, 3, 50),  # ties
            np.where(random.uniform(size=50) < 0.5, random.uniform(size=50), np.inf),
            np.zeros(50),
        ]
    ).astype(dtype)
    for n in (0, 1, 24, 49):
        found = nth_by_bisection(tf.constant(values), tf.constant(n))
        # TensorFlow's kernels take subnormal numbers for 0.
        tiny = np.finfo(dtype).tiny
        np.testing.assert_allclose(found, np.sort(values, 1)[:, n], rtol=0, atol=tiny)


def test_both_selections_lead_along_the_same_path():
    random = np.random.default_rng(1)
    start, inputs, gradients = random.normal(size=(3, 4, 60))
    gradients = np.round(gradients, 1)  # ties
    default, bisecting = (
        advance(Guided(fraction=0.2, max_distance=0.3, selection=how), 5, gradients, start, inputs)
        for how in SELECTIONS
    )
    np.testing.assert_array_equal(bisecting, default)


# Where it is the straight line


@pytest.mark.parametrize("parameters", [{"fraction": 1.0}, {"max_distance": 0.0}])
def test_the_limits_are_the_straight_line(parameters):
    model = objective(quadratic(SHAPE), SHAPE)
    baseline = Constant((0.0, 100.0))
    expected, found, trapezoid = (
        run(model, PathIntegral(path, quadrature=quadrature, steps=8), INPUTS)["attributions"]
        for path, quadrature in (
            (Straight(baseline), Left()),
            (Guided(baseline, **parameters), Left()),
            (Guided(baseline, **parameters), None),
        )
    )
    # Points rounded to float32 once, and other products in the sums.
    assert deviation(found, expected) < 1e-5
    assert deviation(trapezoid, expected) > 1e-3  # another sum


def test_an_input_that_is_the_baseline_gets_zeros():
    model = objective(quadratic(SHAPE), SHAPE)
    inputs = INPUTS.copy()
    inputs[1] = 7.0
    found = run(model, PathIntegral(Guided(Constant(7.0)), steps=5), inputs)
    assert found["ok"].all()
    np.testing.assert_array_equal(found["attributions"][1], 0)
    assert np.abs(found["attributions"][[0, 2]]).min() > 0


# It always ends


def spoilt(value, where):
    """A model whose gradient is `value` at points of which `where` holds, else all right."""
    smooth = quadratic(SHAPE)

    @tf.custom_gradient
    def through(points):
        bad = where(points)[:, tf.newaxis, tf.newaxis, tf.newaxis]

        def gradient(upstream):
            return tf.where(bad, tf.fill(tf.shape(upstream), value), upstream)

        return tf.identity(points), gradient

    return objective(lambda points: smooth(through(points)), SHAPE)


@pytest.mark.parametrize(
    ("path", "place", "value"),
    [
        (Guided(), "start", np.nan),
        (Guided(), "middle", np.nan),
        (Guided(), "middle", -np.inf),
        (Guided(), "everywhere", np.inf),
        (Anchored(anchors=2), "middle", np.nan),
    ],
)
def test_a_gradient_that_is_not_finite_spoils_its_row_only(path, place, value):
    inputs = INPUTS.copy()
    inputs[1, 0, 0, 0] = 1000.0  # the mark of the row, in proportion to how far it has come
    conditions = {
        "start": lambda points: tf.reduce_all(tf.equal(points, 0), [1, 2, 3]),
        "middle": lambda points: points[:, 0, 0, 0] > 300,
        "everywhere": lambda points: tf.ones(tf.shape(points)[0], tf.bool),
    }
    good = {"start": [], "middle": [0, 2], "everywhere": []}[place]
    method = PathIntegral(path, steps=9, internal_batch_size=2)
    found = run(spoilt(value, conditions[place]), method, inputs)
    np.testing.assert_array_equal(found["ok"], [row in good for row in range(3)])
    assert all(np.isfinite(found[key]).all() for key in ("attributions", "delta"))
    expected = run(objective(quadratic(SHAPE), SHAPE), method, inputs)
    np.testing.assert_allclose(
        found["attributions"][good], expected["attributions"][good], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    "scale",
    [1e-30, 1e-9, 1e9, 1e30, np.logspace(-12, 12, 24).reshape(SHAPE)],
    ids=["1e-30", "1e-9", "1e9", "1e30", "mixed"],
)
def test_rounding_residues_do_not_keep_a_walk_from_its_end(scale):
    random = np.random.default_rng(0)
    inputs = (random.normal(size=(4, *SHAPE)) * scale).astype(np.float32)
    for parameters in ({}, {"fraction": 0.01, "max_distance": 1.0}, {"max_distance": 1e-12}):
        path = Guided(**parameters)
        size = int(np.prod(SHAPE))
        flat = inputs.reshape(4, size)
        gradients = random.normal(size=flat.shape)
        points = advance(path, 7, gradients, np.zeros_like(flat), flat)
        # The reference's tolerance, which is absolute below a length of 1.
        left, total = (np.abs(way).sum(1) for way in (flat - points[-1], flat.astype(float)))
        assert (left <= 2e-9 * np.maximum(total, 1)).all()


def test_all_gradients_zero_move_all_features_alike():
    points = advance(Guided(max_distance=1.0), 4, [[0.0] * 6], np.zeros((1, 6)), np.ones((1, 6)))
    for step, point in enumerate(points, start=1):
        np.testing.assert_allclose(point, step / 4)


# Mistakes


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5, float("nan")])
def test_fraction_is_a_share(fraction):
    with pytest.raises(ValueError, match=rf"fraction.*\(0, 1\].*Received: {fraction}"):
        Guided(fraction=fraction)


@pytest.mark.parametrize("max_distance", [-0.1, 1.1, float("nan")])
def test_max_distance_is_a_share(max_distance):
    with pytest.raises(ValueError, match=rf"max_distance.*\[0, 1\].*Received: {max_distance}"):
        Guided(max_distance=max_distance)


@pytest.mark.parametrize("steps_per_choice", [0, 1.5])
def test_steps_per_choice_are_counted(steps_per_choice):
    with pytest.raises(ValueError, match=rf"at least 1.*Received: {steps_per_choice}"):
        Guided(steps_per_choice=steps_per_choice)


def test_a_selection_is_known():
    with pytest.raises(
        ValueError, match=r"one of \('nth_element', 'bisection'\).*Received: 'sort'"
    ):
        Guided(selection="sort")


def test_the_baseline_is_a_spec():
    with pytest.raises(TypeError, match=r"`baseline` must be one of Constant\(\.\.\.\)"):
        Guided(baseline=0.5)
