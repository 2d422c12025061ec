"""What a method asks of the model in a graph, against what it promises."""

import functools

import pytest
import tensorflow as tf

from tests.cases import CLASSES, Counting, all_methods, image_model, images
from tfgig import load_model
from tfgig.methods import PathIntegral, Scales
from tfgig.models.graphs.representation import representation
from tfgig.objective import ModelObjective
from tfgig.paths import AdaptivePath
from tfgig.spec import replace_all
from tfgig.targets import ClassScore

INPUTS = images(3)
# `Scales` takes a model, not an objective; `Adversarial` leads to no more classes than there are.
METHODS = {name: m for name, m in all_methods().items() if not isinstance(m, Scales)}
METHODS["adversarial_ig"] = replace_all(METHODS["adversarial_ig"], {"path.classes": CLASSES - 1})
INTEGRALS = [name for name, method in METHODS.items() if isinstance(method, PathIntegral)]


@pytest.fixture(scope="module")
def calls_of():
    """The points of each gradient call of a method, as a run of its graph makes them."""
    source = load_model(image_model())
    target = ClassScore()
    represent = functools.partial(representation, source.cut.forward, target)
    model = ModelObjective(source.cut.forward, target, source.cut.points, represent=represent)
    found = {}

    def count(name):
        if name not in found:
            found[name] = calls = []

            @tf.function(autograph=False)
            def attributions():
                bound = model.bind(tf.constant(INPUTS), tf.constant([0, 1, 2], tf.int64)).objective
                return METHODS[name].attribute(Counting(bound, calls), tf.constant(INPUTS))[0]

            attributions()
        return found[name]

    yield count
    del source  # it owns the model's variables, and had to live until here


@pytest.mark.parametrize("name", METHODS)
def test_methods_take_the_gradients_that_they_say(calls_of, name):
    method, rows = METHODS[name], len(INPUTS)
    assert method.fewest_gradients * rows <= sum(calls_of(name)) <= method.gradients * rows


@pytest.mark.parametrize("name", INTEGRALS)
def test_integrals_share_calls_as_they_may(calls_of, name):
    """Walks in groups of `internal_batch_size`; fixed paths fill a group's call with nodes."""
    method, calls = METHODS[name], calls_of(name)
    size, path = method.internal_batch_size, method.path
    adaptive = isinstance(path, AdaptivePath)
    walks = len(INPUTS) * path.count * (path.segments if adaptive else 1)
    groups = [min(size, walks - first) for first in range(0, walks, size)]
    if adaptive:
        per_walk = method.steps // path.segments * path.gradients_per_step + 1
        expected = len(groups) * per_walk
    else:
        expected = sum(-(-method.steps // (size // group)) for group in groups)
    searched = path.gradients * len(INPUTS)  # a baseline's own, one call for all rows
    assert len(calls) == expected + searched // len(INPUTS)
    assert max(calls) <= size
