"""The site is built, and every link of it leads somewhere."""

import os
import re
import subprocess
import sys

import pytest

import tfgig
from tests.cases import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs_jupyter", reason="pip install -e '.[docs]' builds the site")
    pytest.importorskip("mkdocstrings", reason="pip install -e '.[docs]' builds the site")
    output = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(output)],
        cwd=ROOT,
        env={**os.environ, "RUN_TUTORIALS": "false", "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return output


def test_every_public_name_is_in_the_reference(site):
    text = (site / "reference" / "tfgig" / "index.html").read_text(encoding="utf-8")
    found = set(re.findall(r'id="tfgig\.(\w+)"', text)) | set(
        re.findall(r'href="\.\./tfgig\.(\w+)/"', text)
    )
    assert set(tfgig.__all__) <= found


def test_every_tutorial_is_in_it(site):
    for tutorial in (ROOT / "docs" / "tutorials").glob("*.py"):
        assert (site / "tutorials" / tutorial.stem / "index.html").exists()


def test_nothing_is_loaded_from_elsewhere(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)', text)
    assert loaded == []
