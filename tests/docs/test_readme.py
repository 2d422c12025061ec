"""The commands of the README do what it says."""

import re
import shlex

import pytest
import tensorflow as tf

import tfgig
from tests.cases import ROOT, image_model, images
from tests.tools.test_programs import program

README = (ROOT / "README.md").read_text(encoding="utf-8")


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
