"""The engine: exact where mathematics says so, frugal as promised, and clear about mistakes."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

from tests.cases import objective, quadratic, run, run_python
from tfgig import baselines, paths, quadratures, rules
from tfgig.methods import PathIntegral
from tfgig.spec import members

SIZE = 6
INPUTS = np.random.default_rng(0).normal(size=(3, SIZE)).astype(np.float32) * 100
WEIGHTS = np.random.default_rng(1).normal(size=SIZE).astype(np.float32)
QUADRATURES = [kind() for kind in members(quadratures.Quadrature)]
EVERY_QUADRATURE = pytest.mark.parametrize("quadrature", QUADRATURES, ids=lambda q: q.kind)
# float32 sums of a few terms of the size of the result.
EXACT = 3e-6


def linear(points):
    return tf.linalg.matvec(points, WEIGHTS)[:, tf.newaxis]


def power(degree):
    """The score `sum_i w_i (x_i / 100)^degree`."""
    return lambda points: linear((points / 100) ** degree)


# Analytic cases


@EVERY_QUADRATURE
@pytest.mark.parametrize("steps", [2, 5])
def test_a_linear_score_is_exact(quadrature, steps):
    method = PathIntegral(quadrature=quadrature, steps=steps)
    found = run(objective(linear, [SIZE]), method, INPUTS)
    np.testing.assert_allclose(found["attributions"], WEIGHTS * INPUTS, rtol=EXACT)
    np.testing.assert_allclose(found["delta"], 0, atol=EXACT * np.abs(found["score"]).max())


@pytest.mark.parametrize("quadrature", [quadratures.Midpoint(), quadratures.Trapezoid()])
def test_a_quadratic_score_is_exact(quadrature):
    method = PathIntegral(quadrature=quadrature, steps=7)
    found = run(objective(power(2), [SIZE]), method, INPUTS)
    np.testing.assert_allclose(found["attributions"], WEIGHTS * (INPUTS / 100) ** 2, rtol=EXACT)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_gauss_legendre_is_exact_up_to_its_degree(steps):
    """`steps` nodes integrate gradients of degree `2 steps - 1`, and no higher."""
    method = PathIntegral(quadrature=quadratures.GaussLegendre(), steps=steps)
    for degree, is_exact in ((2 * steps, True), (2 * steps + 1, False)):
        found = run(objective(power(degree), [SIZE]), method, INPUTS[:1])
        expected = WEIGHTS * (INPUTS[:1] / 100) ** degree
        assert np.allclose(found["attributions"], expected, rtol=EXACT) == is_exact


@pytest.mark.parametrize(
    ("quadrature", "factor"),
    # The mean of 2 a over the nodes a: what a quadratic's gradient is worth at 4 steps.
    [(quadratures.Left(), 0.75), (quadratures.Right(), 1.25), (quadratures.Endpoints(), 1.0)],
)
def test_the_one_sided_rules_miss_by_what_they_must(quadrature, factor):
    method = PathIntegral(quadrature=quadrature, steps=4)
    found = run(objective(power(2), [SIZE]), method, INPUTS)
    exact = WEIGHTS * (INPUTS / 100) ** 2
    np.testing.assert_allclose(found["attributions"], factor * exact, rtol=EXACT)


def test_the_score_of_several_baselines_is_their_mean():
    both = baselines.Several((baselines.Constant(0.0), baselines.Constant(50.0)))
    model = objective(quadratic([SIZE]), [SIZE])
    for path in (paths.Straight, paths.Guided):
        method = PathIntegral(path(both), steps=9, internal_batch_size=4)
        found = run(model, method, INPUTS)
        single = [
            run(model, dataclasses.replace(method, path=path(one)), INPUTS)
            for one in both.baselines
        ]
        for key in ("attributions", "baseline_score", "delta"):
            mean = (single[0][key] + single[1][key]) / 2
            scale = np.abs(single[0]["attributions"]).max()
            np.testing.assert_allclose(found[key], mean, rtol=0, atol=EXACT * scale)


# How the work is cut up


@pytest.mark.parametrize(
    "method",
    [
        PathIntegral(steps=10),
        PathIntegral(rule=rules.ImportantDirection(), steps=10),
        PathIntegral(rule=rules.ImportantDirection(), quadrature=quadratures.Left(), steps=10),
        PathIntegral(paths.Guided(), steps=10),
        PathIntegral(paths.Anchored(anchors=2), steps=12),
    ],
    ids=["sweep", "sweep_idgi", "sweep_idgi_left", "walk", "walk_anchored"],
)
def test_the_result_does_not_depend_on_the_size_of_a_call(method):
    model = objective(quadratic([SIZE]), [SIZE])
    inputs = tf.constant(INPUTS)
    bound = model.bind(inputs, tf.constant([0, 1, 2], tf.int64)).objective
    results = [
        # Not in a graph, which would take longer to trace than this takes to run.
        dataclasses.replace(method, internal_batch_size=size).attribute(bound, inputs)
        for size in (None, 1, 2, 3, 7, 100)  # 3 inputs: several steps a call, one, and less
    ]
    scale = np.abs(results[0].attributions).max()
    for result in results[1:]:
        for found, expected in zip(result, results[0], strict=True):
            # Products of other sizes round differently; guided paths pass that on.
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)


class Counting:
    """An objective, `sum x^2 / 2`, that notes how many points each call gets."""

    parts = ()  # one tensor is explained

    def __init__(self, calls=None):
        self.calls = {"score": [], "gradient": []} if calls is None else calls

    def score(self, points):
        self.calls["score"].append(len(points))
        return tf.reduce_sum(points**2, 1) / 2

    def score_and_gradient(self, points):
        self.calls["gradient"].append(len(points))
        return tf.reduce_sum(points**2, 1) / 2, points

    def turns(self, count):
        return count

    def rows(self, index):
        assert index.dtype.is_integer
        return Counting(self.calls)


STRAIGHT, GUIDED = paths.Straight(), paths.Guided()
TWO = paths.Straight(baselines.Several((baselines.Constant(0.0), baselines.Constant(1.0))))
IDGI = rules.ImportantDirection()


@pytest.mark.parametrize("size", [1, 4, 64])
@pytest.mark.parametrize(
    ("method", "per_row"),
    [
        (PathIntegral(STRAIGHT, steps=10), 10),
        (PathIntegral(STRAIGHT, IDGI, quadratures.Left(), steps=10), 10),
        (PathIntegral(STRAIGHT, IDGI, steps=10), 10),
        (PathIntegral(TWO, steps=10), 20),
        (PathIntegral(GUIDED, steps=10), 11),
        (PathIntegral(GUIDED, IDGI, quadratures.Left(), steps=10), 11),
        (PathIntegral(paths.Anchored(anchors=3), steps=12), 16),  # 4 walks of 3 steps
    ],
)
def test_gradients_are_counted(method, per_row, size):
    model, rows = Counting(), 3
    method = dataclasses.replace(method, internal_batch_size=size)
    method.attribute(model, tf.constant(INPUTS))
    assert sum(model.calls["gradient"]) == per_row * rows
    for calls in model.calls.values():
        assert max(calls, default=0) <= size
    # No more calls than the groups of walks and the size of a call make necessary.
    if isinstance(method.path, paths.FixedPath) and size >= per_row * rows:
        assert len(model.calls["gradient"]) == 1


def test_idgi_on_left_edges_needs_two_more_scores_a_row_and_no_more():
    model = Counting()
    PathIntegral(STRAIGHT, IDGI, quadratures.Left(), steps=10).attribute(model, tf.constant(INPUTS))
    # At the input, to end the last step, and at the baseline, for the baseline score.
    assert sum(model.calls["score"]) == 2 * len(INPUTS)


_MEMORY = """
import resource
import numpy as np, tensorflow as tf
from tests.cases import objective, run
from tfgig import paths
from tfgig.methods import PathIntegral

inputs = np.random.default_rng(0).normal(size=(1, 256, 256, 3)).astype(np.float32)
model = objective(lambda x: tf.reduce_sum(tf.tanh(x), [1, 2])[:, :1], inputs.shape[1:])

def peak(path, steps):
    run(model, PathIntegral(path, steps=steps, internal_batch_size=4), inputs, graph=True)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

for path, steps in ((paths.Straight(), 512), (paths.Guided(), 256)):
    peak(path, 16)
    print(peak(path, 16), peak(path, steps))
"""


def test_memory_does_not_grow_with_steps():
    """One point is 768 KiB in float32: 512 of them, or 256 in float64, would be 384 MiB."""
    for line in run_python("-c", _MEMORY).stdout.splitlines():
        few, many = map(int, line.split())
        assert many - few < 96  # MiB; what the allocator keeps moves by a few


# Mistakes


@pytest.mark.parametrize("steps", [0, -1, 1.5, "10", None])
def test_steps_must_be_a_whole_number(steps):
    with pytest.raises(ValueError, match=rf"whole number of at least 1.*{re.escape(repr(steps))}"):
        PathIntegral(steps=steps)


@pytest.mark.parametrize("size", [0, -1, 1.5, "8"])
def test_internal_batch_size_must_be_a_whole_number(size):
    with pytest.raises(ValueError, match=rf"`internal_batch_size`.*{re.escape(repr(size))}"):
        PathIntegral(internal_batch_size=size)


def test_true_is_not_a_number_of_steps():
    with pytest.raises(ValueError, match="whole number"):
        PathIntegral(steps=True)


@pytest.mark.parametrize("quadrature", [q for q in QUADRATURES if q.step_ends is None])
def test_an_adaptive_path_refuses_quadratures_between_its_points(quadrature):
    with pytest.raises(ValueError, match=r"Trapezoid\(\), Left\(\) or Right\(\)"):
        PathIntegral(paths.Guided(), quadrature=quadrature)


def test_a_trapezoid_of_one_step_is_refused():
    with pytest.raises(ValueError, match=r"at least 2 .*Received: 1"):
        PathIntegral(quadrature=quadratures.Trapezoid(), steps=1)
    assert PathIntegral(paths.Guided(), steps=1).nodes == quadratures.Trapezoid()


def test_every_segment_of_an_anchored_path_needs_a_step():
    with pytest.raises(ValueError, match=r"at least 21 .*Received: 20"):
        PathIntegral(paths.Anchored(anchors=20), steps=20)


@pytest.mark.parametrize(
    ("field", "value", "choice"),
    [
        ("path", "straight", r"Straight\(\.\.\.\)"),
        ("path", paths.Straight, r"Guided\(\.\.\.\)"),
        ("rule", quadratures.Left(), r"Riemann\(\.\.\.\)"),
        ("rule", None, r"ImportantDirection\(\.\.\.\)"),
        ("quadrature", rules.Riemann(), r"GaussLegendre\(\.\.\.\)"),
        ("quadrature", "midpoint", r"Midpoint\(\.\.\.\)"),
    ],
)
def test_parts_of_the_wrong_family_are_refused(field, value, choice):
    with pytest.raises(TypeError, match=f"`{field}` must be one of .*{choice}.*Received"):
        PathIntegral(**{field: value})


def test_defaults_are_the_paths_own():
    assert PathIntegral().nodes == quadratures.Midpoint()
    assert PathIntegral(paths.Blur()).nodes == quadratures.Midpoint()
    assert PathIntegral(paths.Guided()).nodes == quadratures.Trapezoid()
    assert PathIntegral().steps == 50
