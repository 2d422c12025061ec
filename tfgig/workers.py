"""Calls in processes of their own: several at once, in order, none lost, errors in words.

    with Workers(2) as workers:
        for answer in workers.map(function, items):
            ...

A worker is a fresh Python process and no fork, which TensorFlow's threads would not survive. It
imports what the functions it is sent need, and no more: TensorFlow only where they do, and never
the program that started it. Functions, arguments and answers go through pickle, so a function is
one that can be imported by its name. What is expensive to make, such as a model, a function keeps
for its next call itself, with `functools.lru_cache`.

A worker that dies is replaced and its call repeated; a call that kills one worker after the other
is an error. Workers end with the program that started them, however that ends.
"""

from __future__ import annotations

import collections
import concurrent.futures
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from tfgig.spec import check, is_whole
from tfgig.worker import Worker, request, value

Future = concurrent.futures.Future

TRIES = 3  # of a call whose worker dies


class Call(NamedTuple):
    """A function of this or of another process, and its arguments, which have to be hashable.

    An argument that is itself a `Call` stands for what that returns.
    """

    function: Callable[..., Any]
    arguments: tuple = ()

    def made(self, memo: dict[Call, Any]) -> Any:
        """What the call returns; found in `memo`, where it was made before, and left there."""
        if self not in memo:
            arguments = [a.made(memo) if isinstance(a, Call) else a for a in self.arguments]
            memo[self] = self.function(*arguments)
        return memo[self]


def all_made(calls: Iterable[Call]) -> list[Any]:
    """What each of some calls returns; what they have in common is made once."""
    memo: dict[Call, Any] = {}
    return [call.made(memo) for call in calls]


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """A number of worker processes, each started with its first call.

    Args:
        count: How many; with 0 or 1 all is called in this process, when it is handed in.

    Raises:
        ValueError: `count` is no whole number of at least 0.
    """

    def __init__(self, count: int = 0) -> None:
        check(is_whole(count) and count >= 0, "`workers` must be at least 0.", count)
        self.count = count if count > 1 else 0
        self._threads = concurrent.futures.ThreadPoolExecutor(self.count) if self.count else None
        self._own = threading.local()  # of each thread, its process
        self._lock = threading.Lock()
        self._processes: list[Worker] = []
        self._closed = False

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def submit(self, name: str, function: Callable[..., Any], *arguments: Any) -> Future:
        """Hands in a call; its answer, or its error, is the future's `result()`.

        Args:
            name: What the call is about, such as an image's name, for errors.
            function: A function that can be imported by its name.
            *arguments: Its arguments.

        Raises:
            ValueError: the function cannot be imported by its name, or an argument not pickled.
        """
        if self._threads is not None:
            return self._threads.submit(self._ask, name, request(name, function, arguments))
        future: Future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def map(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        name: Callable[[Any], str] = repr,
        ahead: int | None = None,
    ) -> Iterator[Any]:
        """The answers for items, in the items' order.

        Args:
            function: A function of one item that can be imported by its name.
            items: Taken as they are needed; there may be any number of them.
            name: What an item is called in errors.
            ahead: How many items are handed in beyond the one whose answer is next; twice the
                number of workers if None.
        """
        ahead = 2 * self.count if ahead is None else ahead
        waiting: collections.deque[Future] = collections.deque()
        for item in items:
            waiting.append(self.submit(name(item), function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def close(self) -> None:
        """Ends the workers at once; calls without an answer are cancelled."""
        if self._threads is None:
            return
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.ended()

    def _ask(self, name: str, asked: bytes) -> Any:
        how = ""
        for _ in range(TRIES):
            process = self._process()
            answer = process.ask(asked)
            if answer is not None:
                return value(name, answer)
            how = process.ended()
            with self._lock:
                self._processes.remove(process)
            self._own.process = None
        raise ChildProcessError(
            f"A worker process {how}, {TRIES} times in a row. Fewer workers use less memory; with "
            f"0 workers the error itself is shown. Received: {name!r}."
        )

    def _process(self) -> Worker:
        """This thread's process."""
        with self._lock:
            if self._closed:
                raise concurrent.futures.CancelledError
            if getattr(self._own, "process", None) is None:
                self._own.process = Worker()
                self._processes.append(self._own.process)
            return self._own.process
