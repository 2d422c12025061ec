"""Benchmarks: what is measured is right, whatever it takes here."""

import gc
import json

import keras
import numpy as np
import pytest
from PIL import Image

import tfgig
from tests import cases
from tests.tools.test_programs import program
from tfgig.benchmark import accuracy, models, speed
from tfgig.methods import At, Converge
from tfgig.paths import Guided


def small():
    return tfgig.load_model(cases.image_model())


def test_every_way_is_timed_beside_as_many_gradients():
    source, methods = small(), {"ig": tfgig.PathIntegral(steps=12)}
    timings = speed.measure(source, methods, [cases.images(2)], rounds=2)
    assert [timing.way for timing in timings] == list(speed.WAYS)
    for timing in timings:
        assert (timing.method, timing.gradients, len(timing.shares)) == ("ig", 12, 2)
        assert 0 < timing.share < 5
        assert len(timing.cpu_shares) == 2
        assert 0 < min(timing.cpu_shares) < 5
        assert timing.seconds > 0
    (layer, *_) = timings
    for clock, shares in {"wall": layer.shares, "cpu": layer.cpu_shares}.items():
        assert f"| `ig` | 12 | {np.median(shares):.2f} (" in speed.render(timings, clock)


def test_a_methods_place_has_gradients_of_its_own():
    methods = {"block": At("conv2d", tfgig.PathIntegral(steps=8))}
    (timing,) = speed.measure(small(), methods, [cases.images(1)], ["layer"], rounds=1)
    assert (timing.method, timing.way) == ("block", "layer")


@pytest.mark.parametrize(
    ("method", "ways", "message"),
    [
        (Converge(tfgig.PathIntegral(steps=8)), ["layer"], "leave this method out"),
        (tfgig.PathIntegral(steps=8), ["python"], "layer, signature, session"),
    ],
)
def test_what_has_no_share_is_refused(method, ways, message):
    with pytest.raises(ValueError, match=message):
        speed.measure(small(), {"any": method}, [cases.images(1)], ways)


def test_the_bare_gradients_are_those_of_the_model():
    evaluate, size = speed.bare(small(), [cases.images(1)])
    gc.collect()  # nothing else keeps the model
    assert size >= 1
    assert np.isfinite(evaluate(2))
    assert evaluate(2) != evaluate(3)  # other points, so nothing is folded away


def test_the_true_error_falls_by_the_steps_and_the_estimate_is_cautious():
    methods = {"ig": tfgig.PathIntegral()}
    errors = accuracy.measure(small(), methods, [cases.images(3)], steps=(8, 32))
    coarse, fine = errors
    assert (coarse.steps, fine.steps, fine.gradients) == (8, 32, 32)
    assert np.median(fine.true) < np.median(coarse.true)
    assert np.all(fine.estimated > 0.5 * fine.true)  # so smooth a model converges faster
    assert np.all(fine.gap < 0.1)
    assert "| `ig` | " in accuracy.render(errors)


def test_gradients_for_a_goal_follow_the_law():
    def errors(gradients, value):
        values = np.full(20, value)
        return accuracy.Errors("a", gradients, gradients, values, values, values)

    falling = [errors(8, 0.4), errors(16, 0.2), errors(64, 0.05)]
    assert accuracy.gradients_for(falling, 0.1) == 32
    assert accuracy.gradients_for(falling, 0.01) == 320
    assert accuracy.gradients_for(falling, 0.5) == 8


def test_models_are_drawn_side_by_side(tmp_path):
    def errors(gradients):
        values = np.full(4, 1 / gradients)
        return accuracy.Errors("ig", gradients, gradients, values, values, values)

    sizes = {}
    for count in (1, 3, 4):
        panels = {f"model {k}": [errors(8), errors(16)] for k in range(count)}
        accuracy.draw(panels, str(tmp_path / "accuracy.png"))
        sizes[count] = Image.open(tmp_path / "accuracy.png").size
    assert sizes[1] == (960, 660)
    assert sizes[3] == (1800, 495)
    assert sizes[4] == (1800, 990)


def test_an_adaptive_path_approaches_no_integral():
    with pytest.raises(ValueError, match="An adaptive path is another with other steps"):
        accuracy.with_steps(tfgig.PathIntegral(Guided()), 8)


@pytest.mark.parametrize("build", [models.vision_transformer, models.text_transformer])
def test_the_transformers_are_explained(build):
    vision = build is models.vision_transformer
    sizes = {"size": 32, "width": 24} if vision else {"length": 6, "words": 10, "width": 24}
    model = build(**sizes, depth=1)
    source = tfgig.load_model(model, layer=None if vision else "embedding")
    rows = models.random_rows(source.inputs, 2, (0, 10))
    found = tfgig.Explainer(source, tfgig.PathIntegral(steps=16))(rows[0])
    total = found["attributions"].numpy().sum(tuple(range(1, found["attributions"].ndim)))
    np.testing.assert_allclose(
        total, found["score"] - found["baseline_score"] + found["delta"], atol=1e-5
    )


def test_rows_of_an_open_shape_are_refused():
    image = keras.Input((None, None, 3), name="image")
    scores = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(image))
    source = tfgig.load_model(keras.Model(image, scores), shape=None)
    with pytest.raises(ValueError, match="give shape="):
        models.random_rows(source.inputs, 1, (0, 1))


def test_the_program_measures_both(tmp_path):
    common = ["--handles=shapes", f"--output={tmp_path}", "--methods=ig", "--ig.steps=8"]
    done = program("benchmark", "speed", *common, "--rounds=1", "--ways=layer")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads((tmp_path / "speed.json").read_text())["shapes"]
    assert (found["method"], found["gradients"]) == ("ig", 8)
    assert (tmp_path / "speed-shapes.png").stat().st_size > 5000
    done = program("benchmark", "accuracy", *common, "--steps=4,8", "--builtin.count=2")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "accuracy.md").read_text() in done.stdout + "\n"
    assert (tmp_path / "accuracy.png").stat().st_size > 5000
    for wrong in (["fast"], ["speed", "--handles=mobilenet"]):
        done = program("benchmark", *wrong, f"--output={tmp_path}")
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
