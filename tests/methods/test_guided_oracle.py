"""Guided IG against an independent implementation, on random smooth models and parameters."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.cases import deviation, objective, run
from tests.methods.guided_oracle import guided_ig
from tfgig.baselines import Constant
from tfgig.methods import PathIntegral
from tfgig.paths import Anchored, Guided
from tfgig.quadratures import Left

SIZE = 48
# Of the largest attribution: points and gradients are float32 on both sides, but the path is
# kept as positions on one and as points on the other.
TOLERANCE = 5e-6


class Model:
    """`tanh(x W) v` in float64 of float32 points; in groups of `ties`, features are alike."""

    def __init__(self, random, ties):
        rows = random.normal(size=(SIZE // ties, 8)) / 4
        self.weights = np.repeat(rows, ties, axis=0)
        self.mixing = random.normal(size=(8, 1))

    def gradient(self, point):
        hidden = np.tanh(np.float32(point).astype(np.float64) @ self.weights)
        return np.float32(self.weights @ ((1 - hidden**2) * self.mixing[:, 0])).astype(np.float64)

    def forward(self, points):
        points = tf.reshape(tf.cast(points, tf.float64), [tf.shape(points)[0], SIZE])
        return tf.tanh(points @ self.weights) @ self.mixing


def draw(seed):
    """A model, inputs, a start and parameters; every other model has equal gradients."""
    random = np.random.default_rng(seed)
    model = Model(random, ties=4 if seed % 2 else 1)
    inputs = np.float32(random.normal(size=(3, SIZE)) * 2).astype(np.float64)
    start = np.float32(random.normal(size=SIZE)).astype(np.float64)
    inputs[1, : SIZE // 3] = start[: SIZE // 3]  # some features have no way to go
    parameters = {
        "fraction": float(random.choice([0.05, 0.1, 0.25, 0.5, 0.9, random.uniform(0.01, 1)])),
        "max_distance": float(random.choice([0.0, 0.02, 0.1, 1.0, random.uniform()])),
    }
    return model, inputs, start, int(random.integers(1, 40)), parameters


@pytest.mark.parametrize("seed", range(12))
def test_guided_ig(seed):
    model, inputs, start, steps, parameters = draw(seed)
    method = PathIntegral(Guided(Constant(start), **parameters), quadrature=Left(), steps=steps)
    found = run(objective(model.forward, [SIZE]), method, inputs)
    assert found["ok"].all()
    for row, row_inputs in enumerate(inputs):
        expected, _ = guided_ig(row_inputs, start, model.gradient, steps, **parameters)
        assert deviation(found["attributions"][row], expected) <= TOLERANCE


@pytest.mark.parametrize("seed", [20, 21])
@pytest.mark.parametrize("anchors", [0, 1, 4])
def test_an_anchored_path_is_the_sum_of_its_segments(seed, anchors):
    model, inputs, start, _, parameters = draw(seed)
    steps_each = 6
    path = Anchored(Guided(Constant(start), **parameters), anchors)
    method = PathIntegral(
        path,
        quadrature=Left(),
        steps=steps_each * (anchors + 1) + anchors,  # what cannot be shared out is left
    )
    found = run(objective(model.forward, [SIZE]), method, inputs)
    for row, row_inputs in enumerate(inputs):
        # The anchors are float32 points, as the starts and the inputs are.
        alphas = np.linspace(0, 1, anchors + 2)[:, np.newaxis]
        corners = np.float32(start + alphas * (row_inputs - start)).astype(np.float64)
        expected = sum(
            guided_ig(end, begin, model.gradient, steps_each, **parameters)[0]
            for begin, end in itertools.pairwise(corners)
        )
        # The anchors' last bits differ, which adds to the tolerance.
        assert deviation(found["attributions"][row], expected) <= 10 * TOLERANCE


def test_the_oracle_reaches_the_input_in_steps_of_equal_length():
    model, inputs, start, _, parameters = draw(3)
    _, points = guided_ig(inputs[0], start, model.gradient, 10, **parameters)
    lengths = [np.abs(inputs[0] - point).sum() for point in points]
    np.testing.assert_allclose(lengths, np.linspace(lengths[0], 0, 11), atol=1e-8)
