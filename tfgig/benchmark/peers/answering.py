"""What runs in a peer's environment: it answers what `running` asks, a line of JSON for each.

It imports NumPy and the peer, whose Python may be older than this project allows.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import numpy as np

from tfgig.benchmark.peers.base import Peer

_TRIALS = 2  # of each; the faster counts, as other work only makes one slower
_POINTS = (8, 16, 32, 64)  # a call, of which the fastest is taken


class Answering:
    """Answers questions about one peer.

    Args:
        peer: The peer with its network.
        images: What is explained, [rows, height, width, 3].
    """

    def __init__(self, peer: Peer, images: np.ndarray):
        self._peer = peer
        self._images = images
        self._bare_points: dict[tuple[int, ...], int] = {}  # the fastest of some choices
        self._runs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {}

    def versions(self) -> str:
        """The versions of what is measured."""
        names = [self._peer.name, "tensorflow", "torch", "numpy"]
        installed = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
        told = [f"{name} {installed[name]}" for name in names if name in installed]
        return ", ".join([*told, f"Python {platform.python_version()}"])

    def methods(self) -> list[str]:
        """What the peer computes."""
        return list(self._peer.methods())

    def prepare(self, name: str, gradients: int) -> tuple[int, float]:
        """Traces a method and the bare gradients, and finds how many points a call suit each.

        Returns:
            How many points a call of the method, and the share of the bare gradients' points that
            the method needs; their last call is full.
        """
        explain, images = self._peer.methods()[name], self._images
        needed = len(images) * gradients
        choices = (1,) if name in self._peer.one_by_one else _POINTS

        def bare(points: int, total: int) -> Callable[[], Any]:
            given = np.resize(images, (points, *images.shape[1:]))
            return lambda: [self._peer.gradients(given) for _ in range(-(-total // points))]

        explained = {points: lambda p=points: explain(images, gradients, p) for points in choices}
        points = _fastest(explained)
        if choices not in self._bare_points:
            sizes = {size: bare(size, max(choices)) for size in choices}
            self._bare_points[choices] = _fastest(sizes)
        bare_points = self._bare_points[choices]
        self._runs[name] = bare(bare_points, needed), explained[points]
        return min(points, needed), needed / (bare_points * -(-needed // bare_points))

    def seconds(self, name: str) -> list[float]:
        """How long the bare gradients of a method take, and the method."""
        return [_seconds(run) for run in self._runs[name]]


def _fastest(runs: Mapping[int, Callable[[], Any]]) -> int:
    """Which of some runs takes least time once it has been traced."""
    taken = {}
    for size, run in runs.items():
        run()
        taken[size] = min(_seconds(run) for _ in range(_TRIALS))
    return min(taken, key=lambda size: taken[size])


def _seconds(run: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def main(module: str, name: str, network: str, shape: str) -> None:
    """Answers questions on standard input until it ends.

    Args:
        module: Where the peer's class is, in this package.
        name: That class.
        network: Which network.
        shape: Of the images, as JSON.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    images = np.random.default_rng(0).uniform(-1, 1, json.loads(shape)).astype(np.float32)
    answering = None
    for line in sys.stdin:
        question, *arguments = json.loads(line)
        try:
            if answering is None:
                of = getattr(importlib.import_module(f"tfgig.benchmark.peers.{module}"), name)
                answering = Answering(of(network), images)
            told = {"answer": getattr(answering, question)(*arguments)}
        except Exception as error:  # whatever it is, it is told, and the next question answered
            words = traceback.format_exception_only(type(error), error)[-1]
            told = {"error": words.strip()}
        print(json.dumps(told), file=answers, flush=True)
