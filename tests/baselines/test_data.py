import json

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.cases import CLASSES, objective, quadratic, run
from tfgig import Explainer
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


# Several inputs


TABLE = {"numbers": DATA[:, 0], "more": DATA[:, 1:3] + 10}  # [9, 2] and [9, 2, 2]


def two_inputs():
    """score = sum(more * 10) + sum(numbers), of two inputs that lie side by side."""
    numbers, more = keras.Input((2,), name="numbers"), keras.Input((2, 2), name="more")
    add = keras.layers.Lambda(
        lambda both: (
            tf.reduce_sum(both[0], 1, keepdims=True)
            + 10 * tf.reduce_sum(both[1], [1, 2])[:, tf.newaxis]
        )
    )
    return keras.Model({"numbers": numbers, "more": more}, add([numbers, more]))


def at_baseline(baseline):
    method = PathIntegral(Straight(baseline), steps=3)
    given = {"numbers": np.zeros([1, 2], np.float32), "more": np.zeros([1, 2, 2], np.float32)}
    return Explainer(two_inputs(), method)(given)


@pytest.mark.parametrize(
    "make",
    [
        DatasetStatistic.of,
        lambda data: DatasetStatistic.of(data, "mode"),
        lambda data: DatasetSample.of(data, 3),
        lambda data: Constant({"more": 10.5, "numbers": [1, 2]}),
    ],
)
def test_several_inputs_have_baselines_by_their_names(make):
    baseline = make(TABLE)
    given = baseline.examples if isinstance(baseline, DatasetSample) else baseline.value
    values = {name: np.asarray(value, np.float64) for name, value in given}
    sizes = {"numbers": 2, "more": 4}
    expected = sum(
        weight * (values[name] + np.zeros(TABLE[name].shape[1:])).reshape(-1, sizes[name]).sum(1)
        for name, weight in (("numbers", 1), ("more", 10))
    )
    found = at_baseline(baseline)
    np.testing.assert_allclose(found["baseline_score"], expected.mean(), rtol=1e-5)
    assert found["attributions_more"].shape == (1, 2, 2)
    again = from_config(json.loads(json.dumps(to_config(baseline))))
    assert again == baseline
    assert hash(again) == hash(baseline)


def test_what_is_drawn_for_several_inputs_belongs_together():
    drawn = dict(DatasetSample.of(TABLE, 4, seed=2).examples)
    rows = [
        np.flatnonzero((example == TABLE["numbers"]).all(1)).tolist()
        for example in np.asarray(drawn["numbers"])
    ]
    for example, candidates in zip(np.asarray(drawn["more"]), rows, strict=True):
        assert any(np.array_equal(example, TABLE["more"][row]) for row in candidates)


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        (DatasetStatistic.of(np.ones([9, 6])), "by name.*order of a single array"),
        (DatasetSample.of(np.ones([9, 6]), 2), "by name.*order of a single array"),
        (Constant([1.0] * 6), "by name.*order of a single array"),
        (DatasetStatistic.of({"numbers": TABLE["numbers"]}), r"more, numbers.*\['numbers'\]"),
        (Constant({"numbers": [1, 2, 3], "more": 0}), r"'numbers' must be a number.*\(2,\)"),
    ],
)
def test_baselines_of_several_inputs_that_do_not_fit(baseline, message):
    with pytest.raises(ValueError, match=message):
        at_baseline(baseline)


def test_one_number_is_for_all_inputs():
    assert at_baseline(Constant(2.0))["baseline_score"][0] == 2 * 2 + 10 * 4 * 2


def test_inputs_have_as_many_examples():
    with pytest.raises(ValueError, match="same number of examples for each input"):
        DatasetStatistic.of({**TABLE, "more": DATA[:5, 1:3]})
