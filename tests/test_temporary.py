"""Temporary directories, and what killed processes leave of them."""

import os
import signal
import subprocess
import sys

import pytest

from tests.cases import ROOT
from tfgig.export.publish import Version
from tfgig.temporary import TemporaryDirectory, abandoned, remove_all

# A program that makes directories as others do, and then hangs. Without TensorFlow, to be quick.
HANGS = """
import importlib.util, pathlib, sys, time
spec = importlib.util.spec_from_file_location("temporary", sys.argv[1])
temporary = importlib.util.module_from_spec(spec)
spec.loader.exec_module(temporary)
held = [temporary.TemporaryDirectory(p, pathlib.Path(sys.argv[2])) for p in sys.argv[3:]]
(held[0].path / "7").mkdir()
(held[0].path / "7" / "half").write_text("x" * 1000)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def killed(tmp_path):
    """Runs a program that makes temporary directories in `tmp_path`; returns it, and `kill`."""

    def start(*prefixes):
        arguments = [sys.executable, "-c", HANGS, ROOT / "tfgig" / "temporary.py", tmp_path]
        process = subprocess.Popen([*arguments, *prefixes], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    started = []
    yield start
    for process in started:
        process.kill()
        process.communicate()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_one_is_removed_when_it_is_let_go(tmp_path):
    with TemporaryDirectory("tfgig-", tmp_path) as directory:
        (directory.path / "file").write_text("x")
        assert directory.path.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
    kept = TemporaryDirectory("tfgig-", tmp_path)
    remove_all()
    assert not kept.path.exists()


def test_what_a_killed_process_leaves_is_removed_by_the_next(tmp_path, killed):
    process = killed("tfgig-")
    (tmp_path / "tfgig-file").write_text("not a directory")
    (tmp_path / "mine").mkdir()
    (tmp_path / "tfgig-link").symlink_to(tmp_path / "mine")
    with TemporaryDirectory("tfgig-", tmp_path):
        assert list(abandoned("tfgig-", tmp_path)) == []  # both are held
    assert sum(path.is_dir() for path in tmp_path.glob("tfgig-????????")) == 1
    kill(process)
    assert len(list(abandoned("tfgig-", tmp_path))) == 1
    with TemporaryDirectory("tfgig-", tmp_path):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "tfgig-file", "tfgig-link"]


def test_others_directories_are_let_be(tmp_path, monkeypatch):
    TemporaryDirectory("tfgig-", tmp_path).hand_over()
    assert len(list(abandoned("tfgig-", tmp_path))) == 1
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert list(abandoned("tfgig-", tmp_path)) == []


def test_a_version_that_a_killed_export_left_half_written_goes(tmp_path, killed):
    kill(killed(".incoming-"))
    with Version(tmp_path, None, overwrite=False).incoming() as directory:
        (directory / "file").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    assert (tmp_path / "1" / "file").is_file()


def test_a_version_whose_exchange_was_cut_short_comes_back(tmp_path, killed):
    kill(killed(".outgoing-"))  # it had moved version 7 away, and nothing into its place
    assert not (tmp_path / "7").exists()
    with Version(tmp_path, 8, overwrite=False).incoming():
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["7", "8"]
    assert (tmp_path / "7" / "half").is_file()


def test_an_exchange_that_is_interrupted_keeps_the_version(tmp_path, monkeypatch):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "old").write_text("x")
    rename = os.rename

    def interrupted(source, destination):
        rename(source, destination)
        monkeypatch.setattr(os, "rename", rename)
        raise SystemExit(143)  # the version has just been moved away

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(SystemExit), Version(tmp_path, 1, overwrite=True).incoming():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    assert (tmp_path / "1" / "old").is_file()
