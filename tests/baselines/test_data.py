import json

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.cases import CLASSES, objective, quadratic, run
from tfgig.arrays import Array
from tfgig.baselines import Constant, DatasetSample, DatasetStatistic, Several
from tfgig.methods import PathIntegral
from tfgig.paths import Straight
from tfgig.spec import from_config, to_config

DATA = np.random.default_rng(0).integers(0, 4, (9, 5, 2)).astype(np.float32)
INPUTS = tf.zeros([3, 5, 2])


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("mean", DATA.mean(0)),
        ("median", np.median(DATA, 0)),
        ("mode", scipy.stats.mode(DATA, 0).mode),
    ],
)
def test_statistics_of_each_value(statistic, expected):
    baseline = DatasetStatistic.of(DATA, statistic)
    assert (baseline.statistic, baseline.examples) == (statistic, 9)
    found = baseline(INPUTS, None)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, np.broadcast_to(expected, (1, 3, 5, 2)), rtol=1e-6)


def test_a_sample_is_drawn_once_and_none_twice():
    baseline = DatasetSample.of(DATA, samples=5, seed=1)
    found = baseline(INPUTS, None).numpy()
    assert found.shape == (5, 3, 5, 2)
    np.testing.assert_array_equal(found[:, 0], found[:, 2])
    which = [np.flatnonzero((example == DATA).all((1, 2))).item() for example in found[:, 0]]
    assert len(set(which)) == 5
    assert DatasetSample.of(DATA, 5, seed=1) == baseline
    assert DatasetSample.of(DATA, 5, seed=2) != baseline


@pytest.mark.parametrize("make", [DatasetStatistic.of, lambda data: DatasetSample.of(data, 3)])
def test_they_are_read_back_equal(make):
    baseline = make(DATA)
    again = from_config(json.loads(json.dumps(to_config(baseline))))
    assert again == baseline
    assert hash(again) == hash(baseline)
    np.testing.assert_array_equal(again(INPUTS, None), baseline(INPUTS, None))


def test_expected_gradients_are_the_mean_over_the_data():
    model = objective(quadratic((5, 2)), (5, 2))
    inputs = DATA[:2] * 60
    data = DatasetSample.of(DATA * 50, samples=4)
    found = run(model, PathIntegral(Straight(data), steps=5, internal_batch_size=3), inputs)
    several = Several([Constant(example) for example in np.asarray(data.examples)])
    expected = run(model, PathIntegral(Straight(several), steps=5), inputs)
    for key in ("attributions", "baseline_score"):
        scale = np.abs(expected[key]).max()
        np.testing.assert_allclose(found[key], expected[key], rtol=0, atol=1e-5 * scale)
    # Complete to the mean score of the data: the midpoint rule is exact on a quadratic.
    assert np.abs(found["delta"]).max() < 1e-5 * np.abs(found["score"]).max()
    assert CLASSES > 1


def test_arrays_are_frozen_and_compared_by_content():
    array = Array(DATA)
    assert array == Array(DATA.copy())
    assert array != Array(DATA.reshape(5, 9, 2))
    assert array != Array(DATA + 1)
    copy = np.asarray(array)
    copy[:] = 7
    np.testing.assert_array_equal(np.asarray(array), DATA)
    assert repr(array) == "Array(shape=(9, 5, 2))"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DatasetStatistic.of([]), r"DatasetStatistic\.of\(data\) needs at least one ex"),
        (lambda: DatasetStatistic.of(DATA, "max"), r"one of \('mean', 'median', 'mode'\).*'max'"),
        (lambda: DatasetStatistic.of([np.nan]), "must be finite"),
        (lambda: DatasetSample.of(np.zeros((0, 3))), r"DatasetSample\.of\(data\) needs at least"),
        (lambda: DatasetSample.of(DATA, 10), r"draws from 9 examples.*Received: 10"),
        (lambda: DatasetSample.of(DATA, 0), r"samples.*at least 1.*Received: 0"),
        (lambda: DatasetSample(np.zeros((0, 3))), "at least one example"),
        (lambda: DatasetStatistic.of("pictures"), r"array of numbers.*'pictures'"),
    ],
)
def test_mistakes_name_the_fix(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_data_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(5, 2\).*Received: a value of shape \(4, 2\)"):
        DatasetStatistic.of(DATA[:, :4])(INPUTS, None)
