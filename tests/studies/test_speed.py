"""What the engine adds to the model's own gradients: minutes, so only with `-m slow`."""

import dataclasses
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tfgig.objective import ModelObjective
from tfgig.targets import ClassScore

CALL = 8  # points a call, on both sides
PAIRS = 5


@pytest.fixture(scope="module")
def model():
    return keras.applications.MobileNetV2(weights=None)


@pytest.fixture(scope="module")
def bare(model):
    """As many calls of score and gradient as asked for, at 8 points each, in one graph."""
    source = tfgig.load_model(model)
    objective = ModelObjective(source.cut.forward, ClassScore(), source.cut.points)
    points = tf.constant(photographs(CALL))
    target = tf.fill([CALL], tf.constant(5, tf.int64))

    @tf.function(autograph=False)
    def evaluate(calls):
        def turn(k, total):
            share = tf.cast(k, tf.float32) / tf.cast(calls, tf.float32)
            scores, gradients = objective.score_and_gradient(points * share, target)
            return k + 1, total + scores[0] + gradients[0, 0, 0, 0]

        loop = (lambda k, _: k < calls, turn, (0, 0.0))
        return tf.while_loop(*loop, parallel_iterations=1)[1]

    return lambda calls: evaluate(tf.constant(calls))


def photographs(count):
    return np.random.default_rng(0).uniform(-1, 1, (count, 224, 224, 3)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "steps", "rows", "extra", "limit"),
    [
        ("ig", 48, 1, 0, 1.10),
        ("ig", 24, 8, 0, 1.10),
        ("guided_ig", 200, 8, 1, 1.25),  # and the selection of features, at every step
    ],
)
def test_time_beyond_the_gradients(model, bare, preset, steps, rows, extra, limit):
    method = dataclasses.replace(tfgig.presets.get(preset), steps=steps, internal_batch_size=CALL)
    explainer, inputs = tfgig.Explainer(model, method), photographs(rows)
    points = (steps + extra) * rows
    calls = points // CALL
    # Pairs of 200 steps take minutes each: fewer, but long enough to average over noise.
    pairs = PAIRS if steps < 100 else 2
    bare(1)
    explainer(inputs[:1])  # traces both
    ratios = []
    for _ in range(pairs):
        begin = time.perf_counter()
        bare(calls)
        between = time.perf_counter()
        explainer(inputs)
        end = time.perf_counter()
        ratios.append((end - between) / (between - begin) * calls * CALL / points)
    print(f"{preset}, {steps} steps, {rows} rows: {np.median(ratios):.3f} of {np.round(ratios, 3)}")
    assert np.median(ratios) <= limit
