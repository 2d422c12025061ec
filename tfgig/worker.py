"""One worker process: how it is started, asked and ended, and what it does."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import IO, Any, cast

_LENGTH = 8  # bytes, in front of each message
# There are as many workers as cores: none needs threads of its own in BLAS.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# `tfgig` gathers all that it has, TensorFlow first of all: here only once someone asks for it.
_START = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
import importlib.util, pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)

def whole(name):
    if importlib.util.find_spec("tfgig." + name):
        return importlib.import_module("tfgig." + name)
    package.__dict__.pop("__getattr__", None)
    package.__spec__.loader.exec_module(package)
    return getattr(package, name)

package = importlib.util.module_from_spec(importlib.util.find_spec("tfgig"))
package.__getattr__ = whole
sys.modules["tfgig"] = package
from tfgig import worker
worker.serve()
"""


class WorkerTrace(Exception):
    """Where in a worker an error came about; the cause of the error that is raised here."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class Worker:
    """A worker process, from the program's side."""

    def __init__(self) -> None:
        self._running = subprocess.Popen(
            [sys.executable, "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is for the program alone: a worker that still imports would show a trace of it.
            start_new_session=True,
            env={**os.environ, **dict.fromkeys(_ONE_THREAD, "1")},
        )
        self._to = cast(IO[bytes], self._running.stdin)
        self._answers = cast(IO[bytes], self._running.stdout)
        self._first = pickle.dumps(sys.path)

    def ask(self, asked: bytes) -> bytes | None:
        """The answer to a request; None if the worker died over it."""
        try:
            self._to.write(self._first)
            self._first = b""
            _write(self._to, asked)
        except BrokenPipeError:
            return None
        return _read(self._answers)

    def kill(self) -> None:
        """Ends the process now."""
        self._running.kill()

    def end(self) -> None:
        """Has the process end once it has answered."""
        with contextlib.suppress(BrokenPipeError):
            self._to.close()

    def ended(self) -> str:
        """How the process ended, in words; it is made to, if it has not."""
        try:
            status = self._running.wait(5)
        except subprocess.TimeoutExpired:
            self._running.kill()
            status = self._running.wait()
        for pipe in (self._to, self._answers):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        if status >= 0:
            return f"ended with status {status}"
        name = signal.Signals(-status).name
        hint = ", as happens when memory runs out" if name == "SIGKILL" else ""
        return f"was killed by {name}{hint}"


def alone(name: str, seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, called in a process of its own, for it may crash or never return.

    Args:
        name: What the call is about, for errors.
        seconds: How long it may take.
        function: A function that can be imported by its name.
        *arguments: Its arguments.

    Raises:
        ChildProcessError: the process ended over it, or was ended after that time.
        ValueError: an argument cannot be pickled.
        Exception: whatever the function raises.
    """
    process = Worker()
    try:
        answer = process.ask(request(name, _timed, (seconds, function, *arguments)))
    except BaseException:  # told to end meanwhile
        process.kill()
        raise
    finally:
        process.end()
        how = process.ended()
    if answer is None:
        late = how.endswith("SIGALRM")
        raise ChildProcessError(f"did not return in {seconds:.0f} s" if late else how)
    return value(name, answer)


def _timed(seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns; the process ends after that time, even if its program has gone."""
    if hasattr(signal, "alarm"):
        signal.alarm(max(1, math.ceil(seconds)))
    return function(*arguments)


def serve() -> None:
    """The worker's side: answers requests until the program that started it is gone."""
    requests = sys.stdin.buffer
    # What functions print must not get between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    while (asked := _read(requests)) is not None:
        _write(answers, answered(asked))


def answered(asked: bytes) -> bytes:
    """The answer to a request, also where that is an error: what `value` reads."""
    try:
        function, arguments = pickle.loads(asked)
        return pickle.dumps((function(*arguments), None, ""), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return _of_error(error)


def _of_error(error: Exception) -> bytes:
    trace = traceback.format_exc()
    try:
        packed = pickle.dumps((None, error, trace))
        pickle.loads(packed)
    except Exception:  # it cannot travel: its text does
        return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}"), trace))
    return packed


def value(name: str, answer: bytes) -> Any:
    """What an answer holds; raises what was raised in the worker."""
    value, error, trace = pickle.loads(answer)
    if error is not None:
        raise error from WorkerTrace(f"In a worker, at {name!r}:\n{trace}")
    return value


def request(name: str, function: Callable[..., Any], arguments: tuple) -> bytes:
    """A call, packed for a worker.

    Raises:
        ValueError: the function cannot be imported by its name, or an argument not pickled.
    """
    try:
        if getattr(function, "__module__", "") == "__main__":
            raise pickle.PicklingError("it is defined in the program itself, not in a module")
        return pickle.dumps((function, arguments), pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            "Workers need functions that can be imported by name and arguments that can be "
            f"pickled: {error}. Received: {function!r} for {name!r}."
        ) from error


def _write(stream: IO[bytes], message: bytes) -> None:
    stream.write(len(message).to_bytes(_LENGTH, "big"))
    stream.write(message)
    stream.flush()


def _read(stream: IO[bytes]) -> bytes | None:
    """The next message; None where there is none, or half of one."""
    length = stream.read(_LENGTH)
    if len(length) < _LENGTH:
        return None
    size = int.from_bytes(length, "big")
    message = stream.read(size)
    return message if len(message) == size else None
