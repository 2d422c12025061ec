"""What is promised of an installation: the versions it takes, and what an import does."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import tfgig
from tests.cases import ROOT, run_python

PROJECT = (ROOT / "pyproject.toml").read_text()
RUNTIME = PROJECT.partition("[project]")[2]
SHIPPED = sorted((ROOT / "saved_models").glob("*/model.keras"))


def requirement(name):
    (line,) = re.findall(rf'^    "({name}[<>=!].*?)"', PROJECT, re.MULTILINE)
    return Requirement(line).specifier


def test_importing_initialises_nothing():
    """What sets threads or devices must come before TensorFlow's runtime starts."""
    run_python(
        "-c",
        "import tfgig, tfgig.models, tfgig.serving, tfgig.evaluation.running\n"
        "import tensorflow as tf\n"
        "tf.config.threading.set_inter_op_parallelism_threads(1)\n"
        "tf.config.threading.set_intra_op_parallelism_threads(1)\n"
        "(cpu,) = tf.config.list_physical_devices('CPU')\n"
        "halves = [tf.config.LogicalDeviceConfiguration()] * 2\n"
        "tf.config.set_logical_device_configuration(cpu, halves)\n"
        "assert len(tf.config.list_logical_devices('CPU')) == 2\n",
    )


@pytest.mark.parametrize("version", ["3.11.3", "3.12.0", "3.12.1", "3.13.2", "3.14.0"])
def test_versions_of_keras_that_follow_what_a_file_names_are_not_installed(version):
    assert Version(version) not in requirement("keras")


@pytest.mark.parametrize("version", ["3.12.4", "3.14.1", "3.15.1"])  # the first for Python 3.10
def test_versions_of_keras_that_do_not_are(version):
    assert Version(version) in requirement("keras")


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.parent.name)
def test_shipped_models_were_saved_by_the_oldest_keras(file):
    """A later one writes options that the older do not know."""
    with zipfile.ZipFile(file) as archive:
        saved_by = Version(json.loads(archive.read("metadata.json"))["keras_version"])
    assert saved_by == min(Version(s.version) for s in requirement("keras") if s.operator == ">=")


def test_the_oldest_versions_are_the_ones_that_are_tried():
    pins = dict(line.split("==") for line in (ROOT / ".ci" / "lowest.txt").read_text().split())
    for name, bound in re.findall(r'"([\w-]+)(?:\[[\w-]+\])?>=([\d.]+)', RUNTIME):
        if name in pins:
            series = Version(bound).release
            assert Version(pins[name]).release[: len(series)] == series, name


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_wheel_in_an_empty_environment_runs_the_demonstration(tmp_path):
    """As somebody who has never seen the repository installs it."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*_cache", ".venv", ".git", "build"))
    python = tmp_path / "venv" / "bin" / "python"
    steps = [
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, copy],
        [sys.executable, "-m", "venv", tmp_path / "venv"],
    ]
    for step in steps:
        subprocess.run(step, check=True)
    (wheel,) = tmp_path.glob("tfgig-*.whl")
    subprocess.run([python, "-m", "pip", "install", "-q", f"{wheel}[pictures]"], check=True)
    demonstration = [python.with_name("tfgig-demo"), "--images=1", "--methods=gradient,ig"]
    subprocess.run([*demonstration, "--output=demo.png"], check=True, cwd=tmp_path)
    assert (tmp_path / "demo.png").stat().st_size > 10_000


def test_the_source_distribution_holds_what_its_tests_need(tmp_path):
    setuptools = Version(importlib.metadata.version("setuptools"))
    if setuptools not in Requirement(re.findall(r'"(setuptools>=.*?)"', PROJECT)[0]).specifier:
        pytest.skip("setuptools is older than building takes")
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*_cache", ".venv", ".git", "*.pyc"))
    build = "import setuptools.build_meta as build; print(build.build_sdist('..'))"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        held = {name.partition("/")[2] for name in tar.getnames()}
    wanted = {
        "CHANGELOG.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "LICENSE",
        "SECURITY.md",
        "pyproject.toml",
        ".ci/lowest.txt",
    }
    for folder in ("docs", "saved_models", "tests", "tfgig", "tools"):
        files = (path for path in (copy / folder).rglob("*") if path.is_file())
        wanted |= {str(path.relative_to(copy)) for path in files}
    assert wanted <= held


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.*)$", text, re.MULTILINE) == [tfgig.__version__]
