"""Every cell of the tutorials runs, in order."""

import os
import shlex
import subprocess
import sys
import types
from pathlib import Path

import pytest

from tests.cases import ROOT

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.py"))


def cells(tutorial):
    """Its code, cell by cell."""
    for cell in tutorial.read_text(encoding="utf-8").split("\n# %%")[1:]:
        head, _, body = cell.partition("\n")
        if "[markdown]" not in head:
            yield body


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda tutorial: tutorial.stem)
def test_a_tutorial(tutorial, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    if tutorial.stem == "bulk":
        pytest.importorskip("pyarrow", reason="the extra bulk is not installed")
    shown = []
    notebook = types.SimpleNamespace(display=shown.append, Image=lambda data, width: bytes(data))
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(version_info=(9, 0)))
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = {}
    for number, code in enumerate(cells(tutorial), 1):
        if code.startswith("# !"):
            command = shlex.split(code.strip()[3:].format_map(names))
            programs = Path(sys.executable).parent
            done = subprocess.run(
                [programs / command[0], *command[1:]],
                env=os.environ,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
        else:
            exec(compile(code, f"{tutorial.name}, cell {number}", "exec"), names)
    assert all(picture.startswith(b"\x89PNG") for picture in shown)
