"""As many steps as a row needs: against integrals of as many steps, row by row."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.cases import Counting, images, objective, run
from tfgig import presets
from tfgig.baselines import Constant, Several
from tfgig.methods import At, Converge, GradCAM, Gradient, PathIntegral, Smooth
from tfgig.paths import Blur, Guided, Straight
from tfgig.quadratures import GaussLegendre, Left, Midpoint, Right, Trapezoid
from tfgig.rules import ImportantDirection

SHAPE = (4, 4, 3)
# Of ever less contrast: the first row needs the most steps.
INPUTS = images(4, SHAPE) * np.float32([1.0, 0.6, 0.3, 0.05])[:, None, None, None]
_WAVES = tf.constant(np.random.default_rng(0).normal(size=(48, 5)), tf.float32)
MODEL = objective(lambda x: tf.sin(tf.reshape(x, [-1, 48]) @ _WAVES / 60), SHAPE)
PILOT = PathIntegral(steps=8, internal_batch_size=4)

run = functools.partial(run, graph=True)


def pilot(**changes):
    return dataclasses.replace(PILOT, **changes)


def assert_close(found, expected, keys=("attributions", "baseline_score"), tolerance=1e-5):
    for key in keys:
        atol = tolerance * np.abs(expected[key]).max()
        np.testing.assert_allclose(found[key], expected[key], rtol=0, atol=atol, err_msg=key)


@pytest.mark.parametrize(
    ("quadrature", "steps", "finest", "most"),
    [
        (Midpoint(), 8, Trapezoid(), 65),
        (Trapezoid(), 9, Trapezoid(), 65),
        (Left(), 8, Left(), 64),
        (Right(), 8, Right(), 64),
    ],
)
def test_nodes_that_nest_are_those_of_one_fine_sum(quadrature, steps, finest, most):
    method = Converge(pilot(quadrature=quadrature, steps=steps), 1e-9, 64)
    assert (method.fewest_gradients, method.gradients) == (steps, most)
    assert_close(
        run(MODEL, method, INPUTS), run(MODEL, pilot(quadrature=finest, steps=most), INPUTS)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"quadrature": GaussLegendre()},
        {"rule": ImportantDirection(), "quadrature": Left()},
        {"path": Guided(), "quadrature": Trapezoid()},
    ],
)
def test_what_does_not_nest_starts_anew_at_powers_of_two(changes):
    method = Converge(pilot(**changes), 0.05, 64)
    found = run(MODEL, method, INPUTS)
    levels = [run(MODEL, pilot(**changes, steps=8 * 2**level), INPUTS) for level in range(4)]
    for row in range(len(INPUTS)):
        of = [level["error"][row] for level in levels]
        (level,) = np.flatnonzero(np.isclose(of, found["error"][row], rtol=1e-3))
        expected = levels[level]["attributions"][row]
        np.testing.assert_allclose(
            found["attributions"][row], expected, rtol=0, atol=1e-4 * np.abs(expected).max()
        )
        assert of[level] <= 0.05 or level == 3
        assert of[0] > 0.05 or level == 0


def test_rows_go_on_until_they_are_exact_enough_and_no_further():
    method, exact = Converge(PILOT, 0.02, 256), run(MODEL, pilot(steps=1000), INPUTS)
    found = run(MODEL, method, INPUTS)
    assert (found["error"] <= 0.02).all()
    features = (1, 2, 3)
    true = np.abs(found["attributions"] - exact["attributions"]).sum(features)
    assert (true <= 0.02 * np.abs(exact["attributions"]).sum(features)).all()
    counts = [taken(method, [row]) for row in range(len(INPUTS))]
    assert counts[0] > counts[-1]
    assert set(counts) <= {8, 17, 33, 65, 129, 257}
    assert taken(method, range(len(INPUTS))) == sum(counts)  # who is done is asked no more


def taken(method, rows):
    """How many gradients rows take together."""
    calls, inputs = [], tf.constant(INPUTS[list(rows)])
    bound = MODEL.bind(inputs, tf.zeros([len(inputs)], tf.int64)).objective
    tf.function(lambda: method.attribute(Counting(bound, calls), inputs)[0], autograph=False)()
    return sum(calls)


@pytest.mark.parametrize("path", [Straight(), Guided()])
def test_a_row_does_not_know_its_neighbours(path):
    method = Converge(pilot(path=path, quadrature=None), 0.05, 64)
    together = run(MODEL, method, INPUTS)
    for row in (0, 2):
        alone = run(MODEL, method, INPUTS[row : row + 1])
        assert_close(
            {key: value[row : row + 1] for key, value in together.items()},
            alone,
            ("attributions", "baseline_score", "error"),
            1e-4,
        )


def test_a_row_that_needs_more_says_so():
    found = run(MODEL, Converge(PILOT, 1e-4, 16), INPUTS)
    assert found["ok"].all()
    assert found["error"][0] > 1e-4
    coarse = run(MODEL, Converge(PILOT, 1e-4, 8), INPUTS)  # the pilot and nothing else
    assert_close(coarse, run(MODEL, PILOT, INPUTS), ("attributions", "error", "delta"))


def test_several_baselines_are_refined_together():
    path = Straight(Several((Constant(0.0), Constant(30.0))))
    method = Converge(pilot(path=path), 1e-9, 32)
    assert method.gradients == 2 * 33
    expected = run(MODEL, pilot(path=path, quadrature=Trapezoid(), steps=33), INPUTS)
    assert_close(run(MODEL, method, INPUTS), expected)


def test_converging_can_be_smoothed():
    method = Smooth(Converge(PILOT, 0.05, 64), samples=3, spread=0.0)
    assert (method.fewest_gradients, method.gradients) == (24, 3 * 65)
    keys = ("attributions", "error", "delta")
    assert_close(run(MODEL, method, INPUTS), run(MODEL, method.inner, INPUTS), keys)


def test_images_from_blurred_ones():
    method = Converge(pilot(path=Blur(max_sigma=3.0)), 1e-9, 32)
    found = run(MODEL, method, INPUTS)
    fine = run(MODEL, dataclasses.replace(method.inner, steps=200), INPUTS)
    assert np.abs(found["attributions"] - fine["attributions"]).sum() < 0.05 * (
        np.abs(fine["attributions"]).sum()
    )


def test_rows_that_cannot_be_explained_take_the_pilot_alone():
    roots = objective(lambda x: tf.reduce_sum(tf.sqrt(x), [1, 2]), SHAPE)  # no slope at 0
    found = run(roots, Converge(pilot(quadrature=Trapezoid()), 1e-3, 64), INPUTS)
    assert not found["ok"].any()
    calls, inputs = [], tf.constant(INPUTS)
    bound = roots.bind(inputs, tf.zeros([4], tf.int64)).objective
    method = Converge(pilot(quadrature=Trapezoid()), 1e-3, 64)
    method.attribute(Counting(bound, calls), inputs)
    assert sum(calls) == 8 * 4


def test_a_warm_up_runs_every_operation_once():
    """Of a batch of which no row is readable, a turn of the pilot and one of what follows."""
    calls, inputs = [], tf.constant(INPUTS)
    bound = MODEL.bind(inputs, tf.zeros([4], tf.int64), (), tf.zeros([4], tf.bool)).objective
    Converge(PILOT, 0.01).attribute(Counting(bound, calls), inputs)
    assert calls == [4, 4]


@pytest.mark.parametrize("tolerance", [0, 1, -0.1, float("nan"), float("inf")])
def test_a_tolerance_is_a_share(tolerance):
    with pytest.raises(
        ValueError, match=r"tolerance=...\) must be a relative error above 0 and below 1"
    ):
        Converge(PILOT, tolerance)


@pytest.mark.parametrize("most", [7, 8.5, True])
def test_the_most_steps_are_no_fewer_than_the_pilots(most):
    with pytest.raises(ValueError, match=r"most_steps=...\) must be a whole number of at least 8"):
        Converge(PILOT, most_steps=most)


@pytest.mark.parametrize("inner", [Gradient(), GradCAM(), Smooth(PILOT), At("a", PILOT)])
def test_only_an_integral_has_more_steps(inner):
    with pytest.raises(ValueError, match=r"PathIntegral\(...\).*Smooth\(Converge\(...\)\)"):
        Converge(inner)


def test_a_method_is_a_method():
    with pytest.raises(TypeError, match=r"`inner` must be one of"):
        Converge("ig")


def test_the_presets_are_composed_of_their_integrals():
    for name in ("ig", "blur_ig"):
        method, fixed = presets.get(f"{name}_converged"), presets.get(name)
        assert dataclasses.replace(method.inner, steps=fixed.steps) == fixed
