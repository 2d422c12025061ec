"""Spectral paths against components taken apart by NumPy, and values worked out by hand."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.cases import objective, quadratic, run
from tfgig.baselines import Constant
from tfgig.methods import PathIntegral
from tfgig.paths import Ends, Spectral, Straight

SHAPE = (4, 6, 2)


def prepared(path, start, end):
    ends = Ends(tf.constant(start, tf.float32), tf.constant(end, tf.float32))
    ends = ends._replace(tables=path.tabulate(ends))
    return ends._replace(prepared=path.prepare(ends))


def test_two_components_by_hand():
    # D = diag(4, 2): q = 1 and 1/2. With overlap 1/2 the gates open at 0 and at 1/4.
    end = np.diag([4.0, 2.0])[np.newaxis, :, :, np.newaxis]
    path = Spectral(overlap=0.5)
    ends = prepared(path, np.zeros_like(end), end)
    for alpha, expected in [
        (0, (0, 0)),
        (0.25, (2, 0)),
        (0.5, (4, 1)),
        (0.75, (4, 2)),
        (1, (4, 2)),
    ]:
        point = path.point(tf.constant([alpha], tf.float32), ends)[0, :, :, 0]
        np.testing.assert_allclose(point, np.diag(expected), atol=1e-5)
    lower, upper = tf.constant([0.25]), tf.constant([0.5])
    moved = path.displacement(lower, upper, ends)[0, :, :, 0]
    np.testing.assert_allclose(moved, np.diag([2, 1]), atol=1e-5)


def test_two_frequencies_by_hand():
    # A constant (frequency 0, q = 1) of 3, and the highest frequency along the rows (r = 1, q = 0).
    high = np.cos(np.pi * (np.arange(3) + 0.5) * 2 / 3)
    end = (3 + high)[np.newaxis, :, np.newaxis, np.newaxis]
    path = Spectral(transform="cosine", overlap=0.5)
    ends = prepared(path, np.zeros_like(end), end)
    point = path.point(tf.constant([0.5]), ends)[0, :, 0, 0]
    np.testing.assert_allclose(point, [3, 3, 3], atol=1e-5)
    point = path.point(tf.constant([0.75]), ends)[0, :, 0, 0]
    np.testing.assert_allclose(point, 3 + high / 2, atol=1e-5)


def test_singular_components_as_numpy_takes_them_apart():
    start, end = np.random.default_rng(0).normal(size=(2, 3, *SHAPE)).astype(np.float32)
    path, alpha = Spectral(), np.float32([0.1, 0.5, 0.8])
    found = path.point(tf.constant(alpha), prepared(path, start, end)).numpy()
    for w in range(3):
        for c in range(2):
            u, s, vt = np.linalg.svd(np.float64(end - start)[w, :, :, c], full_matrices=False)
            gates = np.clip((alpha[w] - 0.6 * (1 - s / s[0])) / 0.4, 0, 1)
            expected = start[w, :, :, c] + (u * (gates * s)) @ vt
            np.testing.assert_allclose(found[w, :, :, c], expected, atol=1e-4)


@pytest.mark.parametrize("transform", ["svd", "cosine"])
def test_it_leads_from_start_to_end_and_displacements_add_up(transform):
    start, end = np.random.default_rng(1).normal(size=(2, 2, *SHAPE)).astype(np.float32)
    path = Spectral(transform=transform)
    ends = prepared(path, start, end)
    np.testing.assert_allclose(path.point(tf.zeros([2]), ends), start, atol=1e-5)
    np.testing.assert_array_equal(path.point(tf.ones([2]), ends), end)
    edges = [0.0, 0.3, 0.55, 1.0]
    moved = sum(
        path.displacement(tf.fill([2], a), tf.fill([2], b), ends)
        for a, b in itertools.pairwise(edges)
    )
    np.testing.assert_allclose(moved, end - start, atol=1e-5)


@pytest.mark.parametrize("transform", ["svd", "cosine"])
def test_with_full_overlap_it_is_the_straight_line(transform):
    model = objective(quadratic(SHAPE), SHAPE)
    inputs = np.random.default_rng(2).uniform(0, 255, (2, *SHAPE)).astype(np.float32)
    baseline = Constant(7.0)
    found, expected = (
        run(model, PathIntegral(path, steps=8), inputs)["attributions"]
        for path in (Spectral(baseline, transform, overlap=1.0), Straight(baseline))
    )
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("options", [{"transform": "fourier"}, {"overlap": 0}, {"overlap": 1.1}])
def test_refusals(options):
    with pytest.raises(ValueError, match="Received"):
        Spectral(**options)


def test_images_only():
    with pytest.raises(ValueError, match="use Straight or Guided"):
        Spectral().starts(tf.zeros([2, 5]), None)
