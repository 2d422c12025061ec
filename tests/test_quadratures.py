import numpy as np
import pytest

from tfgig.quadratures import GaussLegendre, Midpoint, Quadrature, Trapezoid
from tfgig.spec import members

EVERY = pytest.mark.parametrize("kind", members(Quadrature), ids=lambda kind: kind.kind)


@EVERY
def test_tables_are_sound_for_any_number_of_steps(kind):
    for steps in range(kind.fewest_steps, 41):
        nodes, edges = kind().cut(steps)
        assert nodes.shape == (steps,)
        assert edges.shape == (steps + 1,)
        assert nodes.dtype == edges.dtype == np.float64
        assert (edges[0], edges[-1]) == (0, 1)
        weights = np.diff(edges)
        assert (weights > 0).all()
        # Each gradient stands for a stretch that it lies in; rounding of 40 sums.
        if kind.kind != "endpoints":
            assert (nodes >= edges[:-1] - 1e-14).all()
            assert (nodes <= edges[1:] + 1e-14).all()
        assert (np.diff(nodes) > 0).all()
        assert nodes[0] >= 0
        assert nodes[-1] <= 1


@EVERY
def test_weights_at_the_ends_of_a_step_sum_to_one(kind):
    if kind.step_ends is not None:
        assert sum(kind.step_ends) == 1


@pytest.mark.parametrize("steps", range(1, 41))
def test_gauss_legendre_integrates_polynomials(steps):
    nodes, edges = GaussLegendre().cut(steps)
    for degree in range(2 * steps):
        # float64, and weights that sum up to 1.
        assert (np.diff(edges) * nodes**degree).sum() == pytest.approx(1 / (degree + 1), abs=1e-13)


def test_small_tables_by_hand():
    np.testing.assert_allclose(Midpoint().cut(2).nodes, [0.25, 0.75])
    nodes, edges = Trapezoid().cut(3)
    np.testing.assert_allclose(nodes, [0, 0.5, 1])
    np.testing.assert_allclose(np.diff(edges), [0.25, 0.5, 0.25])


def test_a_trapezoid_needs_two_ends():
    with pytest.raises(ValueError, match="at least 2"):
        Trapezoid().cut(1)
