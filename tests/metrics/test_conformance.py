"""What every metric keeps to; a new one is found by its family."""

import json
import math

import numpy as np
import pytest

from tests.metrics.conftest import METHODS
from tfgig.metrics import Metric, Requirement, merge
from tfgig.spec import from_config, members, to_config

QUICK = {"max_sensitivity": {"samples": 2}, "closed_path": {"trips": 1}, "insertion": {"steps": 4}}
METRICS = {kind.kind: kind(**QUICK.get(kind.kind, {})) for kind in members(Metric)}


@pytest.fixture(scope="module")
def found(subjects, examples):
    """By metric and method: the statistics of four examples."""
    return {
        (name, method): metric.statistics(examples[method], subjects[method])
        for name, metric in METRICS.items()
        for method in ("ig", "guided_ig")
    }


def by_name(statistics):
    return {f"example{i}": statistic for i, statistic in enumerate(statistics)}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_metric_is_a_spec_that_json_brings_back(metric):
    assert from_config(json.loads(json.dumps(to_config(metric)))) == metric
    assert isinstance(metric.needs, Requirement)
    assert len(metric.columns) == len({column.name for column in metric.columns})
    assert "References:" in type(metric).__doc__


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_statistics_are_json_and_hold_every_column(metric, found):
    for method in ("ig", "guided_ig"):
        statistics = found[metric.kind, method]
        assert len(statistics) == 4
        assert json.loads(json.dumps(statistics, allow_nan=False)) == statistics
        for statistic in statistics:
            assert {column.name for column in metric.columns} <= set(statistic)
            assert set(statistic) == set(metric.undefined())


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_the_statistics_of_most_examples_are_defined(metric, found):
    if metric.kind in ("information_curve", "similarity_curve"):
        pytest.skip("only of predictions that are sure; see its own tests")
    for method in ("ig", "guided_ig"):
        counts = metric.defined(by_name(found[metric.kind, method]))
        assert min(counts.values()) >= 3, counts


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_merged_shards_equal_the_whole_to_the_last_bit(metric, found):
    whole = by_name(found[metric.kind, "ig"])
    names = list(whole)
    left = {name: whole[name] for name in names[2:]}
    right = json.loads(json.dumps({name: whole[name] for name in reversed(names[:3])}))
    merged = merge(left, right)
    assert set(merged) == set(whole)
    np.testing.assert_equal(metric.aggregate(merged), metric.aggregate(whole))
    assert metric.defined(merged) == metric.defined(whole)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_statistic_does_not_depend_on_its_neighbours(metric, found, subjects, examples):
    alone = metric.statistics(examples["ig"][2:3], subjects["ig"])[0]
    there = found[metric.kind, "ig"][2]
    for column in metric.columns:
        if there[column.name] is None:
            assert alone[column.name] is None
        else:  # convolutions of other batch sizes round otherwise
            assert alone[column.name] == pytest.approx(there[column.name], rel=2e-3, abs=1e-6)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_what_is_undefined_is_left_out(metric, found):
    statistics = by_name(found[metric.kind, "ig"])
    more = {**statistics, "bad": metric.undefined()}
    np.testing.assert_equal(metric.aggregate(more), metric.aggregate(statistics))
    nothing = metric.aggregate({"bad": metric.undefined()})
    assert all(math.isnan(value) for value in nothing.values())
    assert set(nothing) == {column.name for column in metric.columns}
    assert metric.curves({"bad": metric.undefined()}) == {}


def test_shards_that_disagree_are_refused():
    with pytest.raises(ValueError, match=r"do not belong to one experiment. Received: 'a'"):
        merge({"a": {"auc": 0.5}}, {"a": {"auc": 0.6}})


def test_two_methods_are_enough_for_the_above():
    assert {"ig", "guided_ig"} <= set(METHODS)
