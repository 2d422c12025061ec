"""The study of all methods: its rows, its table, its seconds."""

import json

import numpy as np
import pytest
from scipy import ndimage

import tfgig
from tests.evaluation.conftest import SHAPE, lines_of
from tfgig.evaluation import choosing, running
from tfgig.evaluation.results import Results
from tfgig.metrics import IntegrationError, Localization, Smoothed
from tfgig.spec import from_config, to_config


def test_every_method_has_a_row_and_some_a_smoothed_one():
    judged = choosing.methods()
    assert set(tfgig.presets.names()) < set(judged)
    assert judged["ig_smoothed"] == Smoothed(tfgig.presets.get("ig"))
    assert list(choosing.methods(["block_ig", "ig"])) == ["block_ig", "ig"]
    with pytest.raises(ValueError, match="Did you mean 'ig_smoothed'"):
        choosing.methods(["ig_smoothd"])
    with pytest.raises(ValueError, match="Did you mean 'deletion'"):
        choosing.measures(["deletions"])


def test_a_map_is_smoothed_as_scipy_does():
    method = Smoothed(tfgig.presets.get("ig"), width=0.1)
    assert from_config(json.loads(json.dumps(to_config(method)))) == method
    attributions = np.random.default_rng(0).normal(size=(2, 24, 20, 3)).astype(np.float32)
    found = method.gather(attributions, attributions)
    for row, image in zip(found, attributions, strict=True):
        expected = ndimage.gaussian_filter(np.abs(image).sum(-1), 2.0, mode="reflect")
        np.testing.assert_allclose(row[..., 0], expected, atol=1e-5)
    with pytest.raises(ValueError, match="width"):
        Smoothed(tfgig.presets.get("ig"), width=0)


def test_a_clock_changes_no_result(experiment, source, tmp_path):
    plain = running.run(experiment, source, tmp_path / "plain")
    told = []
    timed = running.run(
        experiment, source, tmp_path / "timed", clock=lambda *found: told.append(found)
    )
    assert lines_of(plain.directory) == lines_of(timed.directory)
    assert {(method, images) for method, images, *_ in told} == {
        (method, images) for method in experiment.methods for images in (8, 4)
    }
    assert min(min(seconds) for _, _, *seconds in told) > 0


def test_seconds_outlive_a_kill(tmp_path):
    seconds = choosing.Seconds(tmp_path)
    assert seconds.per_image() == {}
    for taken in (8.0, 24.0, 40.0):
        seconds.add("ig", 8, taken, 2 * taken)
    with (tmp_path / choosing.SECONDS).open("a") as file:
        file.write('{"method": "ig", "ima')
    assert choosing.Seconds(tmp_path).per_image() == {"ig": (3.0, 6.0)}


def results_of(directory, values):
    """Results of one metric with those values, by method."""
    lines = [
        {
            "example": f"image{i}",
            "method": method,
            "metrics": {
                "localization": {"roc_auc": value, "centre_prior": None},
                "integration_error": {"error": None if method == "edge" else 0.5},
            },
        }
        for method, row in values.items()
        for i, value in enumerate(row)
    ]
    (directory / "results.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    (directory / "experiment.json").write_text(json.dumps({"methods": dict.fromkeys(values)}))
    return Results(directory)


def test_the_table_marks_the_best_and_what_ties_with_it(tmp_path):
    values = {"ig": [0.6, 0.8], "edge": [0.5, 0.3], "ig_smoothed": [0.5, 0.85]}
    results = results_of(tmp_path, values)
    shown = choosing.measures(["localization", "integration_error"])
    assert [type(m.metric) for m in shown.values()] == [Localization, IntegrationError]
    text = choosing.render(results, choosing.methods(values), shown, {"ig": (0.125, 0.5)}, 200)
    assert text.splitlines() == [
        "| method | ROC-AUC | `error` | gradients | seconds | core seconds |",
        "|---|---|---|---|---|---|",
        "| `ig` | **0.700 ± 0.1** | **0.500 ± 0** | 50 | 0.12 | 0.5 |",
        "| `edge` | 0.400 ± 0.1 | - | 0 | - | - |",
        "| `ig_smoothed` | ~0.675 ± 0.17 | ~0.500 ± 0 | 50 | - | - |",
    ]


def test_maps_are_drawn_with_their_images(experiment, source, tmp_path):
    results = running.run(experiment, source, tmp_path / "run")
    items = list(experiment.dataset.items(SHAPE))[:2]
    kept = [(item.name, item.image, item.mask) for item in items]
    choosing.draw(results, kept, tmp_path / "maps.png", ["ig", "grad_cam"])
    assert (tmp_path / "maps.png").read_bytes().startswith(b"\x89PNG")
