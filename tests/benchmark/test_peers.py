"""Peers: another library is asked in its own process, its errors are told, and it is compared."""

import pathlib
import shutil
import sys

import pytest

import tfgig
from tests import cases
from tests.tools.test_programs import program
from tfgig.benchmark import models
from tfgig.benchmark.peers import process, running
from tfgig.benchmark.peers.answering import Answering
from tfgig.benchmark.peers.base import Peer

# A library that needs NumPy alone. It prints, as libraries do, and fails in one of its methods.
LIBRARY = """
import numpy as np
from tfgig.benchmark.peers.base import Peer

class Library(Peer):
    name = "numpy"
    title = "A library"

    def __init__(self, network):
        print("ready")
        self.asked = []

    def gradients(self, images):
        self.asked.append(len(images))
        return np.cos(images)

    def methods(self):
        return {"ig": self.ig, "blur_ig": self.fails}

    def ig(self, images, steps, points):
        path = np.linspace(0, 1, steps * len(images)).reshape(-1, 1, 1, 1) * images[:1]
        parts = [self.gradients(path[k:k + points]) for k in range(0, len(path), points)]
        return images * np.concatenate(parts).mean(0)

    def fails(self, images, steps, points):
        raise ArithmeticError("no blur today")
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A peer whose file lies in a copy of the package, and whose Python is this one."""
    here = tmp_path / "tfgig" / "benchmark"
    shutil.copytree(process._PACKAGE / "benchmark", here)
    (here / "peers" / "library.py").write_text(LIBRARY)
    made = {"__name__": "tfgig.benchmark.peers.library"}
    exec(LIBRARY, made)
    monkeypatch.setattr(process, "_PACKAGE", here.parent)
    monkeypatch.setattr(running, "PEERS", {"numpy": made["Library"]})
    return made["Library"]


def measured(methods, rounds=2, network="mobilenet_v2"):
    source = tfgig.load_model(cases.image_model())
    python = pathlib.Path(sys.executable)
    return running.measure(
        network, source, methods, [cases.images(2)], {"numpy": python}, rounds=rounds
    )


def test_a_library_is_timed_in_its_own_process(library, tmp_path):
    timings, versions = measured({"ig": tfgig.PathIntegral(steps=10)})
    ours, theirs = timings
    assert versions["numpy"].startswith("numpy ")
    assert (ours.library, theirs.library) == ("tfgig", "numpy")
    assert ours.ratios == (1.0, 1.0)
    for timing in timings:
        assert (timing.method, timing.gradients) == ("ig", 10)
        assert len(timing.shares) == 2
        assert min(*timing.shares, *timing.ratios) > 0
    assert "| `ig` | 10 | A library |" in running.render(timings)
    running.draw(timings, str(tmp_path / "peers.png"))
    assert (tmp_path / "peers.png").stat().st_size > 5000


def test_what_it_cannot_run_is_told_and_the_rest_is_timed(library):
    steps = tfgig.PathIntegral(steps=10)
    timings, _ = measured({"blur_ig": steps, "ig": steps}, rounds=1)
    told = {(timing.method, timing.library): timing.error for timing in timings}
    failed = told.pop(("blur_ig", "numpy"))
    assert failed.endswith("cannot run it: ArithmeticError: no blur today")
    assert set(told.values()) == {None}
    assert f"| A library |  | {failed} |" in running.render(timings)


def test_a_library_that_does_not_start_leaves_the_others_in_peace(library, monkeypatch):
    file = process._PACKAGE / "benchmark" / "peers" / "broken.py"
    file.write_text(LIBRARY.replace("import numpy as np", "import nothing_such"))
    broken = type("Library", (library,), {"__module__": "tfgig.benchmark.peers.broken"})
    monkeypatch.setattr(running, "PEERS", {"broken": broken, "numpy": library})
    python = pathlib.Path(sys.executable)
    timings, versions = running.measure(
        "mobilenet_v2",
        tfgig.load_model(cases.image_model()),
        {"ig": tfgig.PathIntegral(steps=10)},
        [cases.images(1)],
        {"broken": python, "numpy": python},
        rounds=1,
    )
    assert "No module named 'nothing_such'" in versions["broken"]
    assert [timing.library for timing in timings] == ["tfgig", "numpy"]


def test_a_library_that_dies_is_told_with_its_last_words(library):
    file = process._PACKAGE / "benchmark" / "peers" / "library.py"
    dies = 'import os, sys; print("out of luck", file=sys.stderr); sys.stderr.flush(); os._exit(7)'
    file.write_text(LIBRARY.replace('raise ArithmeticError("no blur today")', dies))
    timings, _ = measured({"blur_ig": tfgig.PathIntegral(steps=10)})
    ours, theirs = timings
    assert ours.error is None
    assert "it ended with status 7, and its last words were: out of luck" in theirs.error


@pytest.mark.parametrize(
    ("method", "network", "message"),
    [
        ("ig", "text_transformer", "A library is timed on mobilenet_v2, inception_v3"),
        ("guided_ig", "mobilenet_v2", "Of numpy, none computes this method"),
    ],
)
def test_what_it_does_not_know_is_refused(library, method, network, message):
    with pytest.raises(ValueError, match=message):
        measured({method: tfgig.PathIntegral(steps=10)}, network=network)


def test_bare_gradients_are_as_many_as_the_method_takes(library):
    peer = library("mobilenet_v2")
    answering = Answering(peer, cases.images(3))
    points, part = answering.prepare("ig", 10)
    assert points in (8, 16, 30)  # of 30 gradients no more than 30
    peer.asked.clear()
    bare, method = answering.seconds("ig")
    assert min(bare, method) > 0
    size = peer.asked[0]
    calls = -(-30 // size)
    assert peer.asked[:calls] == [size] * calls
    assert sum(peer.asked[calls:]) == 30
    assert part == 30 / (size * calls)


@pytest.mark.parametrize("peer", running.PEERS.values())
def test_every_peer_says_what_it_needs(peer):
    assert issubclass(peer, Peer)
    assert any(peer.name in requirement for requirement in peer.requirements)
    command = running.commands(peer.name, pathlib.Path("a folder"))
    assert f"python{peer.python} -m venv 'a folder/{peer.name}'" in command
    assert set(peer.networks) <= set(models.NETWORKS)


def test_the_program_says_how_to_make_environments(tmp_path):
    here = ["peers", f"--environments={tmp_path}", f"--output={tmp_path}"]
    done = program("benchmark", *here)
    assert done.returncode == 1
    assert done.stderr.startswith("error: There is no environment of a peer.")
    assert f"{tmp_path}/captum/bin/pip install captum" in done.stderr
    done = program("benchmark", *here, "--blur_ig.path.max_sigma=20")
    assert done.returncode == 1
    assert "Leave out --blur_ig.path.max_sigma. Received: 20.0." in done.stderr
