"""Times tfgig and its peers in one run: each in its own process, one after another, in turn."""

from __future__ import annotations

import contextlib
import pathlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfgig.benchmark import chart, speed
from tfgig.benchmark.peers.alibi import Alibi
from tfgig.benchmark.peers.base import Peer
from tfgig.benchmark.peers.captum import Captum
from tfgig.benchmark.peers.process import PeerProcess, Prepared
from tfgig.benchmark.peers.saliency import Saliency
from tfgig.benchmark.peers.xplique import Xplique
from tfgig.methods import Method
from tfgig.models import SourceModel
from tfgig.spec import check

PEERS: Mapping[str, type[Peer]] = {p.name: p for p in (Saliency, Xplique, Alibi, Captum)}
OURS = "tfgig"


class Timing(NamedTuple):
    """How one library ran one method.

    Args:
        method: The name of our preset.
        library: "tfgig", in a session as TensorFlow Serving runs it, or a peer's name.
        gradients: How many a row takes.
        points: How many of them in a call of the model; of a peer, the fastest that were tried.
        shares: Of each round, the time of the library's bare gradients over that of the method.
        ratios: Of each round, the time of the method over that of tfgig.
        error: Why the library could not run it; then there are no times.
    """

    method: str
    library: str
    gradients: int
    points: int | None = None
    shares: tuple[float, ...] = ()
    ratios: tuple[float, ...] = ()
    error: str | None = None


def commands(name: str, folder: pathlib.Path) -> str:
    """The commands that make a peer's environment in `folder`."""
    place = shlex.quote(str(folder / name))
    packages = shlex.join(PEERS[name].requirements)
    return f"python{PEERS[name].python} -m venv {place}\n{place}/bin/pip install {packages}"


def found(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The interpreters of the peers that have an environment in `folder`, by name."""
    places = {name: folder / name / "bin" / "python" for name in PEERS}
    return {name: place for name, place in places.items() if place.exists()}


class _Ours:
    """What is timed here: methods in a session, and their bare gradients."""

    def __init__(
        self,
        limits: speed.Limits,
        methods: Mapping[str, Method],
        run: Callable[[str], Any],
    ):
        self._limits = {name: limits.of(method) for name, method in methods.items()}
        self._run = run
        self.methods = tuple(methods)

    def prepare(self, method: str, gradients: int) -> Prepared:
        limit = self._limits[method]
        for run in (limit.run, lambda: self._run(method)):
            run()  # traces, and optimises the graph
        return Prepared(limit.points, limit.part)

    def seconds(self, method: str) -> tuple[float, float]:
        bare, _ = speed.seconds(self._limits[method].run)
        taken, _ = speed.seconds(lambda: self._run(method))
        return bare, taken


def measure(
    network: str,
    source: SourceModel,
    methods: Mapping[str, Method],
    inputs: Sequence[np.ndarray],
    peers: Mapping[str, pathlib.Path],
    rounds: int = 5,
    told: Callable[[str], None] = lambda what: None,
) -> tuple[list[Timing], dict[str, str]]:
    """Times each method in a session and in every peer that has it, in as many gradients.

    Args:
        network: The name of a network that the peers have.
        source: That network, loaded here.
        methods: What is timed, by the names of presets.
        inputs: The rows that are explained, [rows, ...]; the peers draw others of that shape.
        peers: The interpreter of each peer's environment, by name.
        rounds: How often everything is timed.
        told: Called with what is begun.

    Returns:
        The timings, and the versions of each peer, or why it cannot be started.

    Raises:
        ValueError: a peer does not know the network, no peer that starts knows a method, or there
            is a GPU, which not all of them would use.
    """
    check(rounds >= 1, "`rounds` is a whole number of at least 1.", rounds)
    for name in peers:
        check(
            network in PEERS[name].networks,
            f"{PEERS[name].title} is timed on {', '.join(PEERS[name].networks)}.",
            network,
        )
    check(
        not tf.config.list_physical_devices("GPU"),
        "Peers are timed on the CPU. Hide the GPU: CUDA_VISIBLE_DEVICES=-1.",
        "a GPU",
    )
    timings: list[Timing] = []
    with contextlib.ExitStack() as stack:
        asked, versions = {}, {}
        for name, python in peers.items():
            told(f"starting {PEERS[name].title}")
            peer = stack.enter_context(PeerProcess(python, PEERS[name], network, inputs[0].shape))
            try:
                peer.start()
            except ChildProcessError as error:
                told(str(error))
                versions[name] = str(error)
                continue
            asked[name], versions[name] = peer, peer.versions
        for method in methods:
            able = [name for name, peer in asked.items() if method in peer.methods]
            every = ", ".join(asked) or "no library"
            check(len(able) > 0, f"Of {every}, none computes this method.", method)
        runs = stack.enter_context(speed.running(source, methods, inputs, ["session"]))
        ours = _Ours(speed.Limits(source, inputs), methods, runs["session"])
        for method, of in methods.items():
            told(method)
            able = [name for name, peer in asked.items() if method in peer.methods]
            libraries: dict[str, _Ours | PeerProcess] = {OURS: ours, **{n: asked[n] for n in able}}
            timings += _in_turn(method, of.gradients, libraries, rounds, told)
    return timings, versions


def _in_turn(
    method: str,
    gradients: int,
    libraries: Mapping[str, _Ours | PeerProcess],
    rounds: int,
    told: Callable[[str], None],
) -> list[Timing]:
    """The timings of one method; of a library that fails, its error."""
    ready: dict[str, Prepared] = {}
    errors: dict[str, str] = {}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in libraries}

    def prepare(name):
        ready[name] = libraries[name].prepare(method, gradients)

    def seconds(name):
        taken[name].append(libraries[name].seconds(method))

    for ask in (prepare, *[seconds] * rounds):
        for name in libraries:
            if name in errors:
                continue
            try:
                ask(name)
            except ChildProcessError as error:
                told(str(error))
                errors[name] = str(error)
    timings = []
    of_ours = np.array(taken[OURS])
    for name in libraries:
        if name in errors:
            timings.append(Timing(method, name, gradients, error=errors[name]))
            continue
        times = np.array(taken[name])  # [rounds, 2], the bare gradients and the method
        shares = times[:, 0] / times[:, 1] * ready[name].part
        ratios = times[:, 1] / of_ours[:, 1]
        of_rounds = tuple(shares.tolist()), tuple(ratios.tolist())
        timings.append(Timing(method, name, gradients, ready[name].points, *of_rounds))
    return timings


def render(timings: Sequence[Timing]) -> str:
    """A table in Markdown: of each method and library the share, and its time beside tfgig's."""
    heads = ("method", "gradients", "library", "points a call", "share of its bare gradients")
    lines = [f"| {' | '.join([*heads, 'time, tfgig = 1'])} |", "|" + "---|" * 6]
    for timing in timings:
        cells = [f"`{timing.method}`", timing.gradients, title(timing.library)]
        if timing.error is None:
            cells += [timing.points, speed.spread(timing.shares), speed.spread(timing.ratios)]
        else:
            cells += ["", timing.error, ""]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def draw(timings: Sequence[Timing], file: str) -> None:
    """Draws each method's times beside tfgig's as bars, one for each library.

    Args:
        timings: As `measure` returns them.
        file: The picture's file: .png, .pdf, .svg, ...
    """
    groups: dict[str, dict[str, Sequence[float]]] = {}
    for timing in timings:
        if timing.error is None:
            groups.setdefault(timing.method, {})[title(timing.library)] = timing.ratios
    chart.bars(groups, "time, tfgig in a session = 1", file)


def title(library: str) -> str:
    """What a library is called."""
    return OURS if library == OURS else PEERS[library].title
