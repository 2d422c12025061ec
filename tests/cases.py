"""Models, methods and small tools that many tests share."""

from __future__ import annotations

import functools
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf

import tfgig
from tfgig.methods import Method, PathIntegral, explain
from tfgig.objective import ModelObjective
from tfgig.paths import Path
from tfgig.rules import Rule
from tfgig.spec import leaves, members, replace_all
from tfgig.targets import ClassScore, ModelOutputs

ROOT = pathlib.Path(__file__).parents[1]
GOLDEN = pathlib.Path(__file__).parent / "golden"
SHAPE = (12, 10, 3)
CLASSES = 5


def image_model(last="softmax", shape=SHAPE, name="tiny"):
    """A smooth image classifier of pixels 0 .. 255, the same at every call."""

    def initial(seed, scale=1.0):
        return keras.initializers.VarianceScaling(scale, "fan_avg", seed=seed)

    inputs = keras.Input(shape, name="image")
    hidden = keras.layers.Rescaling(1 / 255)(inputs)
    hidden = keras.layers.Conv2D(
        4, 3, activation="tanh", kernel_initializer=initial(0), name="conv2d"
    )(hidden)
    hidden = keras.layers.Flatten()(hidden)
    dense = keras.layers.Dense(
        CLASSES, activation=last, kernel_initializer=initial(1, 20.0), name="scores"
    )
    return keras.Model(inputs, dense(hidden), name=name)


def images(count, shape=SHAPE, seed=0):
    """Pixels 0 .. 255, float32 [count, *shape]."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, *shape)).astype(np.float32)


def objective(forward, shape, target=ClassScore(), dtype=tf.float32, represent=None):
    """The objective of a function of points [N, *shape] to scores [N, classes].

    `represent` gives the points' representation, [N, D], if they have one.
    """
    points = tf.TensorSpec([None, *shape], dtype)
    return ModelObjective(
        lambda at: ModelOutputs({"scores": forward(at)}, {}), target, points, represent=represent
    )


def run(model, method, inputs, target=0, graph=False):
    """`explain` as arrays; `target` is one class or one a row.

    Few steps take less time than a graph of them takes to trace; the suite in `conformance/`
    compares the two for every method.
    """
    inputs = tf.constant(inputs, tf.float32)
    target = tf.constant(np.broadcast_to(target, [len(inputs)]), tf.int64)
    explaining = functools.partial(explain, model, method)
    if graph:
        explaining = tf.function(explaining, autograph=False)
    return {name: value.numpy() for name, value in explaining(inputs, target).items()}


class Counting:
    """An objective that counts the points of which it is asked for gradients.

    `calls` gets one number for each call, when it is made: in a graph, at each turn of a loop.
    """

    def __init__(self, bound, calls):
        self._bound, self._calls = bound, calls

    def __getattr__(self, name):
        return getattr(self._bound, name)

    def of(self, target):
        return Counting(self._bound.of(target), self._calls)

    def score_and_gradient(self, points):
        return self._counted(points, self._bound.score_and_gradient)

    def approach(self, points, wanted):
        return self._counted(points, lambda p: self._bound.approach(p, wanted))

    def _counted(self, points, ask):
        calls = self._calls
        count = tf.numpy_function(
            lambda n: (calls.append(int(n)), n)[1], [tf.shape(points)[0]], tf.int32
        )
        with tf.control_dependencies([count]):
            return ask(tf.identity(points))

    def rows(self, index):
        return Counting(self._bound.rows(index), self._calls)

    def under(self, target, inputs):
        return Counting(self._bound.under(target, inputs), self._calls)


def quadratic(shape, seed=0):
    """A forward function whose scores are quadratic: `(x W)^2 V + x U`, x scaled to 0 .. 1."""
    random = np.random.default_rng(seed)
    size = int(np.prod(shape))
    squared, mixing, linear = (
        tf.constant(random.normal(size=dimensions) / np.sqrt(dimensions[0]), tf.float32)
        for dimensions in ((size, 6), (6, CLASSES), (size, CLASSES))
    )

    def forward(points):
        points = tf.reshape(points, [tf.shape(points)[0], size]) / 255
        return tf.square(points @ squared) @ mixing + points @ linear

    return forward


def quick(method, steps=12, internal_batch_size=4):
    """A method with fewer steps, and so few points a call that there is a ragged last chunk."""
    changes = {}
    for name, value, _ in leaves(method):
        last = name.split(".")[-1]
        if last == "steps":
            changes[name] = min(value, max(steps, _fewest_steps(method, name)))
        elif last in ("samples", "refinements"):
            changes[name] = min(value, 3)
        elif last == "internal_batch_size":
            changes[name] = internal_batch_size
    return replace_all(method, changes)


def _fewest_steps(method, name):
    """Two for each segment of the path to which these steps belong."""
    for part in name.split(".")[:-1]:
        method = getattr(method, part)
    return 2 * getattr(getattr(method, "path", None), "segments", 1)


def all_methods(steps=12):
    """By name: every preset, and every registered path, rule and method that no preset has."""
    methods = {name: quick(tfgig.presets.get(name), steps) for name in tfgig.presets.names()}
    families = (
        (Path, PathIntegral),
        (Rule, lambda rule: PathIntegral(rule=rule)),
        (Method, lambda method: method),
    )
    for family, compose in families:
        for kind in members(family):
            if not any(specs_in(method, kind) for method in methods.values()):
                methods[f"{family.family}_{kind.kind}"] = quick(compose(kind()), steps)
    return methods


def specs_in(spec, family):
    """The specs of a family that a spec is or holds, at any depth."""
    held = [spec, *(value for _, value, _ in leaves(spec))]
    return [value for value in held if isinstance(value, family)]


def golden(name):
    """The arrays of a golden file, and its model in float64 as an objective."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        arrays = dict(file)
    weights, bias, mixing, offset = (
        tf.constant(arrays[key], tf.float64) for key in ("W1", "b1", "W2", "b2")
    )

    def forward(points):
        points = tf.reshape(points, [tf.shape(points)[0], len(arrays["W1"])])
        return tf.tanh(tf.cast(points, tf.float64) @ weights + bias) @ mixing + offset

    return arrays, objective(forward, arrays["x"].shape)


def deviation(found, expected):
    """The largest deviation, in units of the largest expected value."""
    return np.abs(found - expected).max() / np.abs(expected).max()


def run_python(*arguments, check=True):
    """Runs a fresh Python process in which `tfgig` and `tests` can be imported."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    if check and done.returncode:
        raise RuntimeError(f"{arguments} failed with {done.returncode}:\n{done.stderr}")
    return done
