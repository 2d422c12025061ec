"""The programs as a user runs them: other processes, files in, files out."""

import json
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from tests.cases import SHAPE, image_model
from tfgig import Endpoint, export_saved_model, load_model, presets
from tfgig.demonstration import scenes
from tfgig.methods import Gradient
from tfgig.targets import ClassScore, CustomScore, RegionScore, Threshold

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "saved_models" / "shapes" / "model.keras"


def program(name, *arguments, cwd=None):
    """Runs tools/<name>.py as the installed tfgig-<name> runs it."""
    code = f"import sys; sys.argv[0] = 'tfgig-{name}'; from tfgig_tools.{name} import run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=1800,
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "shapes"
    done = program(
        "export",
        f"--handle={MODEL}",
        f"--output={path}",
        "--methods=ig,guided_ig",
        "--ig.steps=8",
        "--guided_ig.steps=10",
        "--guided_ig.path.fraction=0.1",
        '--target={"kind": "target.class_score"}',
        "--target.output=probabilities",
    )
    assert done.returncode == 0, done.stderr
    assert "explain_guided_ig" in done.stdout
    assert str(path / "1") in done.stdout
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i, image in enumerate(scenes.compose(2, seed=1, split="test").images):
        Image.fromarray(image).resize((192, 120)).save(folder / f"scene{i}.png")
    (folder / "broken.png").write_bytes(b"not a picture")
    return folder


def test_the_flags_reach_the_export(exported):
    text = (exported / "1" / "assets.extra" / "tfgig.json").read_text()
    endpoint = json.loads(text)["endpoints"]["explain_guided_ig"]
    method, target = endpoint["method"], endpoint["target"]
    assert (method["steps"], method["path"]["fraction"]) == (10, 0.1)
    assert (target["kind"], target["output"]) == ("target.class_score", "probabilities")


def test_explain_goes_on_after_a_broken_image_and_says_so(exported, photos, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(scenes.CLASSES))
    out = tmp_path / "out"
    done = program(
        "explain",
        f"--model={exported}",
        f"--images={photos}/*.png",
        f"--labels={labels}",
        f"--output={out}",
        "--fit=stretch",
        "--json",
    )
    assert done.returncode == 1
    assert json.loads(done.stdout) == json.loads((out / "results.json").read_text())
    assert "broken.png" in done.stderr
    assert "Traceback" not in done.stderr
    images = json.loads((out / "results.json").read_text())["images"]
    assert [pathlib.Path(entry["image"]).name for entry in images] == ["scene0.png", "scene1.png"]
    for i, entry in enumerate(images):
        assert entry["top"][0]["label"] in scenes.CLASSES
        assert set(entry["methods"]) == {"ig", "guided_ig"}
        arrays = np.load(out / f"scene{i}.npz")
        for name, found in entry["methods"].items():
            gap = arrays[name].sum(dtype=np.float64) - (found["score"] - found["baseline_score"])
            assert gap == pytest.approx(found["delta"], abs=1e-5)
            assert found["label"] == entry["top"][0]["label"]
            with Image.open(out / found["picture"]) as picture:
                assert picture.size == (96, 96)


def test_explain_draws_in_a_style_and_gathers_regions(exported, photos, tmp_path):
    done = program(
        "explain",
        f"--model={exported}",
        f"--images={photos}/scene0.png",
        f"--output={tmp_path}",
        "--methods=ig",
        "--style=mask",
        "--mask.percentile=80",
        "--mask.opacity=1",
        "--regions",
        "--xrai.ranking=fast",
    )
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "scene0_ig.png") as picture:
        hidden = (np.asarray(picture) == 0).all(-1).mean()
    assert 0.5 < hidden < 0.8  # four fifths, but for the mask's soft edge
    assert (tmp_path / "scene0_ig_regions.png").is_file()
    arrays = np.load(tmp_path / "scene0.npz")
    assert arrays["ig_ranks"].shape == arrays["ig_regions"].shape == (96, 96)
    strengths = [arrays["ig_regions"][arrays["ig_ranks"] == i] for i in (1, 2)]
    assert strengths[0].min() == strengths[0].max() > strengths[1].max()


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Exports whose targets are not numbers of classes, or whose outputs are not [1, classes]."""
    place = tmp_path_factory.mktemp("odd")
    image = image_model().input
    light = keras.layers.Rescaling(1 / 255)(image)
    number = keras.layers.Dense(1, activation="sigmoid")(keras.layers.Flatten()(light))
    places = keras.layers.Conv2D(4, 3, activation="softmax")(light)
    gradient = {"gradient": Gradient()}
    for name, model, methods, target in (
        ("heatmaps", image_model(), [Endpoint("drawn", Gradient(), kind="heatmap")], ClassScore()),
        (
            "hidden",
            image_model(),
            [Endpoint("explain_g", Gradient(), layer="scores")],
            ClassScore(),
        ),
        ("custom", image_model(), gradient, CustomScore(lambda output, _: output[:, 0])),
        ("number", keras.Model(image, number), gradient, Threshold(0.0001)),
        ("pixels", keras.Model(image, places), gradient, RegionScore()),
    ):
        source = load_model(model, value_range=(0, 255))
        export_saved_model(source, place / name, methods, target, warmup=())
    picture = np.random.default_rng(0).integers(0, 256, (*SHAPE[:2], 3))
    Image.fromarray(picture.astype(np.uint8)).save(place / "picture.png")
    for count in (1, 4, 5):
        (place / f"{count}.txt").write_text("\n".join("abcde"[:count]))
    return place


def test_explain_names_classes_where_there_are_classes(odd, tmp_path):
    asked = {"custom": 5, "number": 1, "pixels": 4}
    base = [f"--images={odd}/picture.png"]
    named = [
        [
            *base,
            f"--model={odd}/{name}",
            f"--labels={odd}/{count}.txt",
            f"--output={tmp_path}/{name}",
        ]
        for name, count in asked.items()
    ]
    plain = [*base, f"--model={odd}/pixels", f"--output={tmp_path}/plain"]
    assert refusals("explain", *named, plain) == [[0, ""]] * 4

    def result(name):
        (image,) = json.loads((tmp_path / name / "results.json").read_text())["images"]
        method = image["methods"]["gradient"]
        return [entry["label"] for entry in image["top"]], method["target"], method["label"]

    top, *target = result("custom")
    assert len(top) == 3
    assert set(top) <= set("abcde")
    assert target == [-1, "target -1"]
    assert result("number") == (["a"], 1, "target 1")
    top, number, label = result("pixels")
    assert (top, label) == ([], "abcd"[number])
    assert result("plain") == ([], number, f"class {number}")


def test_explain_refuses_an_export_without_maps_of_pixels(odd, tmp_path):
    names = ("heatmaps", "hidden")
    base = [f"--images={odd}/picture.png", f"--output={tmp_path}"]
    answers = refusals("explain", *([*base, f"--model={odd}/{name}"] for name in names))
    for (status, error), endpoint in zip(answers, ("drawn", "explain_g"), strict=True):
        assert status == 1
        assert f"add some with tfgig-export. Received: {endpoint}." in error


def test_explain_lists_every_preset_without_a_model():
    done = program("explain", "--list")
    assert done.returncode == 0, done.stderr
    for name in presets.names():
        assert f"{name}: {presets.title(name)}; " in done.stdout
    assert "guided_ig: Guided IG; 201 gradients" in done.stdout
    assert "--guided_ig.path.fraction=0.25" in done.stdout
    assert "arXiv:2106.09788" in done.stdout


def refusals(name, *argument_lists):
    """Exit status and standard error of several runs of a program's `main` in one process."""
    code = f"""
import contextlib, io, json, sys
from absl import flags
from absl.testing import flagsaver
from tfgig_tools.program import report_errors
from tfgig_tools import {name} as program
for arguments in json.loads(sys.argv[1]):
    error = io.StringIO()
    with flagsaver.flagsaver(), contextlib.redirect_stderr(error):
        rest = flags.FLAGS(["tfgig-{name}", *arguments])
        status = report_errors(program.main, rest)
    print("\\n" + json.dumps([status, error.getvalue()]))
"""
    texts = json.dumps([list(map(str, arguments)) for arguments in argument_lists])
    done = subprocess.run([sys.executable, "-c", code, texts], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


def test_explain_refuses_with_the_fix(exported, photos, tmp_path):
    base = [f"--model={exported}", f"--output={tmp_path}"]
    image = f"--images={photos}/scene0.png"
    short = tmp_path / "labels.txt"
    short.write_text("one\ntwo\n")
    cases = {
        "Did you mean 'guided_ig'": [*base, image, "--methods=guidedig"],
        "No file matches": [*base, "--images=nothing/*.png"],
        "there is no class 8": [*base, image, "--target=8"],
        "Name images": base,
        "2 names, but the model has 8 classes": [*base, image, f"--labels={short}"],
        "no SavedModel": [f"--model={tmp_path}", image],
        "Name an exported model": [image],
        "--mask.opacity has no effect without --style=mask.": [*base, image, "--mask.opacity=1"],
        "Overlay(opacity=...)": [*base, image, "--overlay.opacity=2"],
    }
    answers = refusals("explain", *cases.values())
    assert len(answers) == len(cases)
    for message, (status, error) in zip(cases, answers, strict=True):
        assert status == 1
        assert message in error


def test_export_refuses_with_the_fix_and_leaves_no_trace(exported):
    base = [f"--output={exported}", f"--handle={MODEL}"]
    before = sorted(exported.rglob("*"))
    cases = {
        "no model file": [f"--output={exported}", "--handle=nowhere.keras"],
        "Did you mean 'ig'": [*base, "--methods=igg"],
        "--ig.steps": [*base, "--ig.steps=0"],
        "two numbers": [*base, "--value_range=0"],
        "already exists": [*base, "--version=1"],
        "accepts only flags": [*base, "model.keras"],
    }
    answers = refusals("export", *cases.values())
    assert len(answers) == len(cases)
    for message, (status, error) in zip(cases, answers, strict=True):
        assert status == 1
        assert message in error
    assert sorted(exported.rglob("*")) == before


def test_help_teaches():
    done = program("export", "--help")
    assert "--handle=model.keras" in done.stdout
    assert "--methods" in done.stdout
    assert re.search(r"--target.<option> +of: output_name, output\n", done.stdout)


def test_scripts_run_from_the_checkout():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "explain.py", "--help"], capture_output=True, text=True
    )
    assert "--images" in done.stdout


def test_the_demonstration_prints_one_table_and_draws_one_sheet(tmp_path):
    methods = ["gradient", "ig", "blur_ig_idgi", "edge"]
    few = ["--images=1", "--shown=1", f"--methods={','.join(methods)}"]
    done = program("demo", *few, f"--keep={tmp_path}/shapes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    rows = {words[0]: words[1:] for words in lines if words and words[0] in presets.names()}
    assert list(rows) == methods
    for name, (score, delta, _, auc, *_) in rows.items():
        assert 0 < float(score) <= 1
        assert 0 <= float(auc) <= 1
        assert (delta == "-") == (not presets.get(name).complete)
    assert (tmp_path / "shapes" / "1" / "saved_model.pb").is_file()
    with Image.open(tmp_path / "tfgig-demo.png") as sheet:
        assert sheet.width > 600
