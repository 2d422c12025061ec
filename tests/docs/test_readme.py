"""The commands of the README do what it says."""

import re
import shlex

import pytest
import tensorflow as tf

import tfgig
from tests.cases import ROOT, image_model, images
from tests.tools.test_programs import program

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A directory of a user's, with the model that the README exports."""
    image_model(name="flowers").save(tmp_path / "flowers.keras")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answers(directory):
    loaded = tf.saved_model.load(str(directory))
    assert {"serving_default", "explain_ig", "explain_guided_ig", "heatmap_ig"} <= set(
        loaded.signatures
    )
    explain = loaded.signatures["explain_ig"]
    return explain(image=tf.constant(images(1)), target=tf.constant([-1], tf.int64))["ok"].numpy()


def test_exporting_on_the_command_line(folder):
    (command,) = re.findall(
        r"^    tfgig-export (--handle=flowers\.keras .*)$", README, re.MULTILINE
    )
    arguments = shlex.split(command.replace("/models/", "models/"))
    done = program("export", *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert answers(folder / "models" / "flowers" / "1").all()


def test_exporting_in_python(folder):
    (call,) = re.findall(
        r'^    (tfgig\.export_saved_model\(model, "/models/flowers".*\))$', README, re.MULTILINE
    )
    exec(call.replace("/models/", "models/"), {"tfgig": tfgig, "model": image_model()})
    assert answers(folder / "models" / "flowers" / "1").all()


def test_explaining_in_python(folder):
    """The lines up to the picture, as they stand."""
    (lines,) = re.findall(r"^    import tfgig\n\n((?:    .*\n)+)", README, re.MULTILINE)
    names = {"tfgig": tfgig, "model": image_model(), "images": images(1)}
    for line in lines.splitlines():
        exec(line.strip(), names)
    assert (folder / "why.png").stat().st_size > 1000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert "://" in link or (page.parent / link).exists(), link
