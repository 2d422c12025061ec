"""Runs with worker processes: the file of a run without, whatever happens to the workers."""

import dataclasses
import json

import numpy as np
import pytest

import tfgig
from tests import worker_calls
from tests.evaluation.conftest import SHAPE, lines_of
from tfgig.evaluation.dataset import Directory
from tfgig.evaluation.results import Results
from tfgig.evaluation.running import run
from tfgig.metrics import Example, InformationCurve, Insertion, SimilarityCurve
from tfgig.workers import Call


@pytest.fixture(scope="module")
def with_pictures(experiment):
    metrics = {"information_curve": InformationCurve(), "insertion": Insertion(steps=2)}
    methods = {"ig": tfgig.PathIntegral(steps=2), "gradient": tfgig.presets.get("gradient")}
    return dataclasses.replace(experiment, methods=methods, metrics=metrics)


@pytest.fixture(scope="module")
def alone(with_pictures, source, tmp_path_factory):
    directory = tmp_path_factory.mktemp("alone")
    run(with_pictures, source, directory)
    return directory


def calling(monkeypatch, function, *arguments):
    """Has the metric ask for one call more."""
    asked = InformationCurve.calls

    def calls(self, example, value_range):
        return (*asked(self, example, value_range), Call(function, arguments))

    monkeypatch.setattr(InformationCurve, "calls", calls)


def test_the_file_is_that_of_a_run_without_workers(alone, with_pictures, source, tmp_path):
    done = []
    results = run(with_pictures, source, tmp_path, done.append, workers=2)
    assert done == [8, 4]
    assert (tmp_path / "results.jsonl").read_bytes() == (alone / "results.jsonl").read_bytes()
    for method in ("ig", "gradient"):
        np.testing.assert_array_equal(
            results.map(method, "image01.png"), Results(alone).map(method, "image01.png")
        )
    lengths = [line["metrics"]["information_curve"]["information"] for line in lines_of(alone)]
    assert all(len(length) == 13 for length in lengths)


def test_a_cut_file_is_completed_to_the_same_bytes(alone, with_pictures, source, tmp_path):
    whole = (alone / "results.jsonl").read_bytes()
    (tmp_path / "experiment.json").write_bytes((alone / "experiment.json").read_bytes())
    (tmp_path / "results.jsonl").write_bytes(whole[: len(whole) // 3])
    run(with_pictures, source, tmp_path, workers=2)
    assert (tmp_path / "results.jsonl").read_bytes() == whole


def test_a_worker_that_is_killed_costs_no_row(alone, with_pictures, source, tmp_path, monkeypatch):
    calling(monkeypatch, worker_calls.die_once, str(tmp_path / "marker"))
    run(with_pictures, source, tmp_path / "out", workers=2)
    assert (tmp_path / "marker").exists()
    whole = (alone / "results.jsonl").read_bytes()
    assert (tmp_path / "out" / "results.jsonl").read_bytes() == whole


def test_what_kills_every_worker_is_an_error_that_names_the_row(
    with_pictures, source, tmp_path, monkeypatch
):
    calling(monkeypatch, worker_calls.die, 3)
    with pytest.raises(ChildProcessError, match=r"Received: 'image0\d.png, ig'"):
        run(with_pictures, source, tmp_path, workers=2)


def test_an_error_in_a_worker_is_that_of_a_run_without(
    with_pictures, source, tmp_path, monkeypatch
):
    calling(monkeypatch, worker_calls.fail, 5)
    for workers in (0, 2):
        with pytest.raises(KeyError, match="nothing for 5"):
            run(with_pictures, source, tmp_path / str(workers), workers=workers)


def test_an_error_in_the_data_loses_nothing_before_it(alone, with_pictures, source, tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Breaks(Directory):
        def items(self, shape):
            for i, item in enumerate(super().items(shape)):
                if i == 9:
                    raise OSError("the disk is gone")
                yield item

    breaking = dataclasses.replace(with_pictures, dataset=Breaks(with_pictures.dataset.path))
    for workers in (0, 2):
        directory = tmp_path / str(workers)
        with pytest.raises(OSError, match="the disk is gone"):
            run(breaking, source, directory, workers=workers)
        assert lines_of(directory) == lines_of(alone)[:16]


def test_metrics_share_pictures_and_predictions():
    """As the calls are equal, whichever metric makes them."""
    random = np.random.default_rng(0)
    shown = Example(
        random.uniform(0, 255, SHAPE).astype(np.float32),
        random.normal(size=SHAPE).astype(np.float32),
        0, 1.0, 0.0, 1.0,
    )  # fmt: skip
    entropy = InformationCurve().calls(shown, (0, 255))
    similarity = SimilarityCurve().calls(shown, (0, 255))
    assert similarity == entropy[:1]
    assert SimilarityCurve(seed=1).calls(shown, (0, 255)) != similarity
    predicted = []

    class Sure:
        value_range = (0, 255)

        def predict(self, pictures):
            predicted.append(len(pictures))
            return np.full([len(pictures), 2], 0.5)

    metric, subject, example = InformationCurve(), Sure(), shown._replace(memo={})
    found = [metric.statistics([example], subject) for _ in range(2)]
    assert found[0] == found[1]
    assert json.loads(json.dumps(found[0])) == found[0]
    assert predicted == [15]
