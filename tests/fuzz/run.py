"""Gives damaged files to what reads strangers' files, in a process of its own, which must live.

python -m tests.fuzz.run <folder> <seconds> [--seed=N] [target]...

A fault is an exception that is not documented, a trace where words are promised, an example that
takes more than `MEMORY` beside what the process has, or longer than `SLOWEST`, and the end of the
process. What was tried last lies in the folder, as last.txt.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import pathlib
import resource
import sys
import time
import traceback

import absl.logging
import hypothesis
from hypothesis import strategies as st

from tests.fuzz.targets import targets
from tfgig import keras_archive

MEMORY = 700 << 20  # bytes; a file that is read as a model may be unpacked to 256 MiB
ROOM = 6 << 30  # bytes of addresses; whoever asks for more is refused by the system
SLOWEST = 60  # seconds
FEWEST = 5  # examples of each target, however short the time is


def main(folder, seconds, seed, names):
    """Tries every target for its share of the time; returns how many faults there are."""
    faulthandler.enable()
    absl.logging.set_verbosity(absl.logging.FATAL)  # as programs have it
    keras_archive._SECONDS = 10  # over which HDF5 hangs; these files are small
    found = targets(folder)
    found = {name: found[name] for name in names or found}
    faults = 0
    for name, target in found.items():
        tried = _Tried(name, target, folder / "last.txt")
        tried.for_a_while(seconds * target.share / sum(t.share for t in found.values()), seed)
        print(f"{name}: {tried.count} examples, {tried.refused} refused", flush=True)
        assert tried.refused, f"{name}: nothing was refused"
        faults += len(tried.faults)
    return faults


class _Tried:
    """One target, and what came of its examples."""

    def __init__(self, name, target, last):
        self.name, self.target, self.last = name, target, last
        self.count = self.refused = 0
        self.faults = set()

    def for_a_while(self, seconds, seed):
        until = time.monotonic() + seconds

        @hypothesis.settings(
            max_examples=1_000_000, deadline=None, database=None, derandomize=seed is None,
            phases=[hypothesis.Phase.generate], suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        @hypothesis.given(st.randoms(use_true_random=True))
        def call(random):
            if time.monotonic() > until and self.count >= FEWEST:
                raise _Enough
            self.count += 1
            self._one(self.target.example(random))

        with contextlib.suppress(_Enough):
            (call if seed is None else hypothesis.seed(seed)(call))()
        gc.collect()

    def _one(self, example):
        self.last.write_text(f"{self.name}: {example!r}"[:1_000_000])
        faulthandler.dump_traceback_later(SLOWEST, exit=True)
        before = _peak()
        try:
            self.target.call(example)
        except self.target.documented:
            self.refused += 1
        except Exception as error:
            self._fault(error)
        finally:
            faulthandler.cancel_dump_traceback_later()
        taken = _peak() - before
        if taken > MEMORY:
            self._fault(MemoryError(f"it took {taken >> 20} MiB"))

    def _fault(self, error):
        """Each kind of fault is shown once."""
        frames = traceback.extract_tb(error.__traceback__)
        kind = type(error).__name__, *[(f.filename, f.lineno) for f in frames[-1:]]
        if kind not in self.faults:
            self.faults.add(kind)
            trace = "".join(traceback.format_exception(error)[-14:])
            print(f"FAULT of {self.name}:\n{trace}\n{self.last.read_text()[:400]}\n", flush=True)


class _Enough(BaseException):
    """The time is over."""


def _peak():
    """The most memory that the process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _bounded():
    """From here on a file that asks for far too much is refused, and does not take the machine."""
    used = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))


if __name__ == "__main__":
    _bounded()
    options = [a for a in sys.argv[3:] if a.startswith("--seed=")]
    names = [a for a in sys.argv[3:] if a not in options]
    seed = int(options[0].partition("=")[2]) if options else None
    sys.exit(main(pathlib.Path(sys.argv[1]), float(sys.argv[2]), seed, names) > 0)
