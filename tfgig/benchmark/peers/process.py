"""A peer's process, from this side: it is started, asked and ended."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO, Any, NamedTuple, cast

from tfgig.benchmark.peers.base import Peer

_PACKAGE = pathlib.Path(__file__).parents[2]
# `tfgig` itself imports all that it has, which a peer's environment has not.
_START = """
import sys, types
package = types.ModuleType("tfgig")
package.__path__ = [sys.argv[1]]
sys.modules["tfgig"] = package
from tfgig.benchmark.peers import answering
answering.main(*sys.argv[2:])
"""


class Prepared(NamedTuple):
    """How a library calls the model for a method.

    Args:
        points: How many points a call holds.
        part: The share of the bare gradients' points that the method needs.
    """

    points: int
    part: float


class PeerProcess:
    """A process that answers what `answering` can; a context that ends it.

    Args:
        python: The interpreter of the peer's environment.
        peer: Which peer.
        network: Which network.
        shape: Of the images that it explains, [rows, height, width, 3].
    """

    def __init__(self, python: pathlib.Path, peer: type[Peer], network: str, shape: Sequence[int]):
        self._python = python
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in `__exit__`
        module = peer.__module__.rpartition(".")[2]
        of = (str(_PACKAGE), module, peer.__name__, network, json.dumps(list(shape)))
        self._running = subprocess.Popen(
            [str(python), "-I", "-c", _START, *of],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
        self.methods: tuple[str, ...] = ()
        self.versions = ""

    def start(self) -> None:
        """Imports the library and builds the network.

        Raises:
            ChildProcessError: it cannot, in its own words; so raise the other questions.
        """
        self.methods = tuple(self._ask("methods"))
        self.versions = self._ask("versions")

    def prepare(self, method: str, gradients: int) -> Prepared:
        """Traces a method and its bare gradients, and finds the fastest sizes of their calls."""
        return Prepared(*self._ask("prepare", method, gradients))

    def seconds(self, method: str) -> tuple[float, float]:
        """How long the bare gradients take, and the method."""
        bare, taken = self._ask("seconds", method)
        return bare, taken

    def _ask(self, *question: Any) -> Any:
        with contextlib.suppress(BrokenPipeError):  # it ended, and has said why
            to = cast(IO[str], self._running.stdin)
            print(json.dumps(question), file=to, flush=True)
        line = cast(IO[str], self._running.stdout).readline()
        told = json.loads(line) if line else {"error": self._last_words()}
        if "error" in told:
            raise ChildProcessError(f"{self._python} cannot run it: {told['error']}")
        return told["answer"]

    def _last_words(self) -> str:
        status = self._running.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines() or ["nothing"]
        return f"it ended with status {status}, and its last words were: {lines[-1]}"

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self._running.kill()
        self._running.wait()
        for pipe in (self._running.stdin, self._running.stdout, self._errors):
            with contextlib.suppress(BrokenPipeError):
                cast(IO[str], pipe).close()
