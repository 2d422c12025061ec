"""What a run writes, that a kill costs nothing, and that parts make a whole."""

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import tfgig
from tests.cases import ROOT, image_model
from tests.evaluation import run_experiment
from tests.evaluation.conftest import SHAPE, lines_of
from tfgig.evaluation.dataset import Directory
from tfgig.evaluation.results import Results
from tfgig.evaluation.running import Elsewhere, Shard, merge, run
from tfgig.metrics import Subject, pixel_saliency
from tfgig.workers import Workers

RUNNER = pathlib.Path(__file__).with_name("run_experiment.py")


@pytest.fixture(scope="module")
def finished(experiment, source, tmp_path_factory):
    directory = tmp_path_factory.mktemp("finished")
    done = []
    results = run(experiment, source, directory, done.append)
    assert sum(done) == 12
    return directory, results


def test_every_example_and_method_once_in_order(finished):
    directory, _ = finished
    pairs = [(line["example"], line["method"]) for line in lines_of(directory)]
    first = [f"image{i:02d}.png" for i in range(8)]
    assert pairs[:16] == [(e, "ig") for e in first] + [(e, "guided_ig") for e in first]
    assert len(pairs) == len(set(pairs)) == 24


def test_a_line_holds_what_the_layer_says(finished, experiment, source):
    directory, _ = finished
    items = list(experiment.dataset.items(SHAPE))
    line = lines_of(directory)[2]
    explainer = tfgig.Explainer(source, experiment.methods["ig"])
    found = explainer(items[2].image[np.newaxis])
    assert line["ok"] is True
    assert line["label"] == 2
    assert line["target"] == int(found["target"][0])
    for key in ("score", "baseline_score", "delta", "error"):
        assert line[key] == pytest.approx(float(found[key][0]), abs=1e-5)
    assert line["metrics"]["localization"]["roc_auc"] is None  # no mask
    assert lines_of(directory)[0]["metrics"]["localization"]["roc_auc"] is not None
    saliency = Results(directory).map("ig", "image02.png")
    np.testing.assert_allclose(
        saliency, pixel_saliency(found["attributions"].numpy())[0], atol=1e-5
    )
    assert Results(directory).map("ig", "image03.png") is None


def test_run_again_it_does_nothing(finished, experiment, source):
    directory, _ = finished
    before = (directory / "results.jsonl").read_bytes()
    changed = os.stat(directory / "results.jsonl").st_mtime_ns
    run(experiment, source, directory)
    assert (directory / "results.jsonl").read_bytes() == before
    assert os.stat(directory / "results.jsonl").st_mtime_ns == changed


@pytest.mark.parametrize("cut", [1, 700, 5001, -1])
def test_a_cut_file_is_completed_to_the_same_bytes(finished, experiment, source, tmp_path, cut):
    directory, _ = finished
    whole = (directory / "results.jsonl").read_bytes()
    (tmp_path / "experiment.json").write_bytes((directory / "experiment.json").read_bytes())
    (tmp_path / "results.jsonl").write_bytes(whole[:cut])
    run(experiment, source, tmp_path)
    assert (tmp_path / "results.jsonl").read_bytes() == whole


def test_merged_parts_are_the_file_of_one_run(finished, experiment, source, tmp_path):
    directory, results = finished
    parts = [tmp_path / "first", tmp_path / "second"]
    done = []
    for place, part in enumerate(parts, 1):
        run(experiment, source, part, done.append, Shard(place, 2))
    assert done == [8, 4] == [Shard(1, 2).size(12), Shard(2, 2).size(12)]
    with pytest.raises(ValueError, match="Received: 'another shard'"):
        run(experiment, source, parts[0])
    merged = merge(experiment, source, tmp_path / "all", parts[::-1])
    assert (tmp_path / "all" / "results.jsonl").read_bytes() == (
        directory / "results.jsonl"
    ).read_bytes()
    for name in ("image00.png", "image02.png"):
        np.testing.assert_array_equal(merged.map("ig", name), results.map("ig", name))


def test_what_an_unfinished_part_lacks_is_done_in_the_merge(finished, experiment, source, tmp_path):
    whole = (finished[0] / "results.jsonl").read_bytes()
    run(experiment, source, tmp_path / "second", shard=Shard(2, 2))
    cut = tmp_path / "first"
    cut.mkdir()
    config = {**experiment.config(source), "shard": [1, 2]}
    config["dataset"] = {**config["dataset"], "path": "/another/machines/folder"}
    (cut / "experiment.json").write_text(json.dumps(config))
    (cut / "results.jsonl").write_bytes(whole[:3000])
    merge(experiment, source, tmp_path / "all", [cut, tmp_path / "second"])
    assert (tmp_path / "all" / "results.jsonl").read_bytes() == whole


@pytest.mark.parametrize(("keep", "maps", "cut"), [("all", 9, 5001), ("top_5", 3, 0)])
def test_batches_that_are_judged_elsewhere(experiment, source, tmp_path, keep, maps, cut):
    chosen = dataclasses.replace(experiment, keep=keep, maps=maps)
    here, there = tmp_path / "here", tmp_path / "there"
    run(chosen, source, here)
    whole = (here / "results.jsonl").read_bytes()
    there.mkdir()
    (there / "results.jsonl").write_bytes(whole[:cut])
    done = []
    run(chosen, source, there, done.append, elsewhere=Elsewhere(Workers(), run_experiment.load))
    assert done == [8, 4]
    assert (there / "results.jsonl").read_bytes() == whole
    shown = {path.name for path in (here / "maps").iterdir()}
    assert len(shown) == 2 * maps
    written = {path.name for path in (there / "maps").iterdir()}
    assert written <= shown
    assert cut or written == shown


def test_a_model_of_other_weights_elsewhere_is_refused(experiment, source, tmp_path):
    with pytest.raises(ValueError, match="other weights"):
        run(experiment, source, tmp_path, elsewhere=Elsewhere(Workers(), run_experiment.other))


def test_parts_that_do_not_fit_are_refused(finished, experiment, source, tmp_path):
    other = dataclasses.replace(experiment, keep="top_5")
    with pytest.raises(ValueError, match=r"belongs to another experiment. Received: 'keep'"):
        merge(other, source, tmp_path / "other", [finished[0]])
    with pytest.raises(ValueError, match="This directory has no experiment"):
        merge(experiment, source, tmp_path / "all", [tmp_path])
    changed = tmp_path / "changed"
    changed.mkdir()
    (changed / "experiment.json").write_text(json.dumps(experiment.config(source)))
    text = (finished[0] / "results.jsonl").read_text()
    (changed / "results.jsonl").write_text(text.replace('"score": 0.', '"score": 1.', 1))
    with pytest.raises(ValueError, match=r"differs from another part. Received: 'image00.png'"):
        merge(experiment, source, tmp_path / "all", [finished[0], changed])
    with pytest.raises(ValueError, match="i of n"):
        run(experiment, source, tmp_path / "none", shard=Shard(3, 2))
    with pytest.raises(ValueError, match="No image to evaluate"):
        run(experiment, source, tmp_path / "none", shard=Shard(3, 3))


def test_killed_and_resumed_it_writes_the_same_file(finished, experiment, source, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(experiment.config(source)))

    def start(rest, workers):
        return subprocess.Popen(
            [sys.executable, RUNNER, tmp_path / "killed", config, str(rest), str(workers)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        )

    process = start(rest=1.0, workers=2)
    results = tmp_path / "killed" / "results.jsonl"
    deadline = time.monotonic() + 120
    while not (results.is_file() and results.stat().st_size > 0):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    there = results.read_bytes()
    whole = (finished[0] / "results.jsonl").read_bytes()
    assert 0 < len(there) < len(whole)
    assert start(rest=0, workers=0).wait(240) == 0
    assert results.read_bytes() == whole


def test_another_experiment_is_refused_the_directory(finished, experiment, source):
    directory, _ = finished
    other = dataclasses.replace(experiment, keep="top_5")
    with pytest.raises(ValueError, match=r"another directory.*Received: 'another keep'"):
        run(other, source, directory)


def test_another_model_of_the_same_name_is_refused_the_directory(finished, experiment, source):
    directory, _ = finished
    subject = Subject(source, experiment.methods["ig"])
    refused = pytest.raises(ValueError, match="Received: 'another weights'")
    with subject.randomized(1), refused:
        run(experiment, source, directory)


def test_another_reading_of_the_same_model_is_refused_the_directory(finished, experiment):
    other = tfgig.load_model(image_model(shape=SHAPE), value_range=(-1, 1))
    with pytest.raises(ValueError, match="Received: 'another value_range'"):
        run(experiment, other, finished[0])


def test_two_images_of_one_name_are_refused(experiment, source, tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Twice(Directory):
        def items(self, shape):
            yield from [next(super().items(shape))] * 2

    twice = dataclasses.replace(experiment, dataset=Twice(experiment.dataset.path))
    with pytest.raises(ValueError, match=r"have the same name. Received: 'image00.png'"):
        run(twice, source, tmp_path)


def test_images_that_the_model_gets_wrong_are_left_out(experiment, source, tmp_path):
    results = run(dataclasses.replace(experiment, keep="correct"), source, tmp_path)
    predicted = (
        source.model.serve(np.stack([item.image for item in experiment.dataset.items(SHAPE)]))
        .values["scores"]
        .numpy()
    )
    labels = np.array([item.label for item in experiment.dataset.items(SHAPE)])
    wrong = np.flatnonzero(predicted.argmax(1) != labels)
    assert set(results.left_out()) == {f"image{i:02d}.png" for i in wrong}
    assert results.left_out()["image11.png"] == "it has no label"
    assert len(results.records("ig")) == 12 - len(wrong)
    before = (tmp_path / "results.jsonl").read_bytes()
    run(dataclasses.replace(experiment, keep="correct"), source, tmp_path)
    assert (tmp_path / "results.jsonl").read_bytes() == before


def test_an_experiment_of_nothing_is_refused(experiment):
    with pytest.raises(ValueError, match="at least one method"):
        dataclasses.replace(experiment, methods={})


def assert_close(found, expected):
    """The same statistics, of batches of another size, which are summed in another order."""
    if isinstance(expected, dict):
        assert set(found) == set(expected)
        for key, value in expected.items():
            assert_close(found[key], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for pair in zip(found, expected, strict=True):
            assert_close(*pair)
    else:
        assert found == (pytest.approx(expected, rel=1e-3, abs=1e-5) if expected else expected)


def test_an_image_that_cannot_be_read_costs_no_other(
    experiment, source, finished, folder, tmp_path
):
    shutil.copytree(folder, tmp_path / "images")
    cut = tmp_path / "images" / "image03.png"
    cut.write_bytes(cut.read_bytes()[:300])
    some = dataclasses.replace(experiment, dataset=Directory(str(tmp_path / "images")))
    results = run(some, source, tmp_path / "results")
    (name,) = results.unreadable()
    assert name == "image03.png"
    assert "it cannot be read ('" in results.unreadable()[name]
    _, expected = finished
    others = [line for line in expected.lines if line["example"] != name]
    for line, other in zip(results.lines[1:], others, strict=True):
        assert (line["example"], line["method"]) == (other["example"], other["method"])
        assert_close(line["metrics"], other["metrics"])
    assert len(list(Directory(str(tmp_path / "images")).load((24, 20, 3)))) == 11
    again = run(some, source, tmp_path / "results")
    assert again.lines == results.lines
