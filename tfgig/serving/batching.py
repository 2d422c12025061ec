"""Queues between requests and the model: bounded, and merging requests where that is asked for.

As in TensorFlow Serving, requests for the same outputs of the same signature are joined along
dimension 0, padded to an allowed size, run once and split again. Unlike there, explanations wait
in a lane of their own, so that predictions never wait for them.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any

import numpy as np
import tensorflow as tf

from tfgig.serving.errors import (
    Code,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    ServingError,
    Unavailable,
    error_of,
)
from tfgig.serving.versions import Servable, error_code
from tfgig.spec import check

_SMALLEST_WAIT = 1e-3


@dataclasses.dataclass(frozen=True)
class Batching:
    """How requests are queued and merged, in the words of TensorFlow Serving's parameters.

    Args:
        enabled: Whether requests are merged; the queues are bounded in either case.
        max_batch_size: The most rows that are run together.
        batch_timeout_micros: How long a batch waits to be filled.
        max_enqueued_batches: How many batches may wait in a lane; past that, requests are
            refused. Without merging each request is a batch.
        num_batch_threads: How many batches of predictions run at once, and how many of
            explanations.
        allowed_batch_sizes: Batches are padded to the next of these; none pads nothing.
    """

    enabled: bool = False
    max_batch_size: int = 8
    batch_timeout_micros: int = 2000
    max_enqueued_batches: int = 64
    num_batch_threads: int = 2
    allowed_batch_sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            check(getattr(self, name) >= 1, f"`{name}` is at least 1.", getattr(self, name))
        check(self.batch_timeout_micros >= 0, "A wait is 0 or more.", self.batch_timeout_micros)
        sizes = self.allowed_batch_sizes
        check(
            not sizes or (list(sizes) == sorted(set(sizes)) and sizes[-1] == self.max_batch_size),
            "`allowed_batch_sizes` ascend, and the last is `max_batch_size`.",
            sizes,
        )

    def padded(self, rows: int) -> int:
        """The size to which a batch of so many rows is padded."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


@dataclasses.dataclass(eq=False)
class Task:
    """One request on its way through a lane.

    Args:
        servable: The version that runs it; given back when the task ends.
        signature: The signature's name.
        inputs: Its inputs [B, ...] by name.
        outputs: Which outputs are wanted.
        deadline: When it must be answered, on the monotonic clock.
        release: Called when the task has left the lane, whether or not anyone waits for it: the
            version must live as long as it runs.
    """

    servable: Servable
    signature: str
    inputs: dict[str, np.ndarray]
    outputs: tuple[str, ...]
    deadline: float
    release: Callable[[], None] = lambda: None
    future: Future[dict[str, np.ndarray]] = dataclasses.field(default_factory=Future)
    arrived: float = dataclasses.field(default_factory=time.monotonic)

    @property
    def key(self) -> Any:
        """Tasks with equal keys can be merged."""
        shapes = sorted((name, value.shape[1:]) for name, value in self.inputs.items())
        return id(self.servable), self.signature, self.outputs, tuple(shapes)

    @property
    def rows(self) -> int:
        """The rows of the request [B]."""
        return next(iter(self.inputs.values())).shape[0]

    def finish(self, answer: dict[str, np.ndarray] | ServingError) -> None:
        """Hands the answer over, unless whoever asked has gone."""
        self.release()
        with contextlib.suppress(InvalidStateError):
            if isinstance(answer, ServingError):
                self.future.set_exception(answer)
            else:
                self.future.set_result(answer)


class Lane:
    """A bounded queue and the threads that work it off."""

    def __init__(
        self, name: str, batching: Batching, ran: Callable[[int], None] = lambda rows: None
    ) -> None:
        self._batching = batching
        self._ran = ran
        self._queue: collections.deque[Task] = collections.deque()
        self._forming: set[Any] = set()
        self._changed = threading.Condition()
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{i}", daemon=True)
            for i in range(batching.num_batch_threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    def submit(self, task: Task) -> None:
        """Queues a request.

        Raises:
            Overloaded: the queue is full.
            InvalidRequest: merging is on and the request cannot be merged.
            Unavailable: the server is stopping.
        """
        batching = self._batching
        cost, room = 1, batching.max_enqueued_batches
        if batching.enabled:
            _check_mergeable(task, batching.max_batch_size)
            cost, room = task.rows, room * batching.max_batch_size
        with self._changed:
            if self._stopped:
                raise Unavailable("The server is stopping.")
            queued = sum(t.rows if batching.enabled else 1 for t in self._queue)
            if queued + cost > room:
                raise Overloaded(f"The queue is full: {len(self._queue)} requests wait.")
            self._queue.append(task)
            self._changed.notify_all()

    def stop(self) -> None:
        """Ends the threads after what runs; what waits is refused."""
        with self._changed:
            self._stopped = True
            left = list(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        for task in left:
            task.finish(Unavailable("The server is stopping."))
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while tasks := self._next():
            now = time.monotonic()
            ready = [task for task in tasks if not task.future.done() and task.deadline > now]
            for task in tasks:
                if task not in ready:
                    task.finish(DeadlineExceeded("The deadline passed while the request waited."))
            if ready:
                _run(ready, self._batching, self._ran)

    def _next(self) -> list[Task]:
        """The next batch, waited for; empty when the lane stops."""
        with self._changed:
            while True:
                if self._stopped:
                    return []
                head = next((t for t in self._queue if t.key not in self._forming), None)
                if head is not None:
                    break
                self._changed.wait()
            if not self._batching.enabled:
                self._queue.remove(head)
                return [head]
            self._forming.add(head.key)
            try:
                until = head.arrived + self._batching.batch_timeout_micros * 1e-6
                while not self._stopped and not self._full(head.key):
                    left = until - time.monotonic()
                    if left <= 0:
                        break
                    self._changed.wait(left)
                return self._take(head.key)
            finally:
                self._forming.discard(head.key)
                self._changed.notify_all()

    def _full(self, key: Any) -> bool:
        rows = sum(task.rows for task in self._queue if task.key == key)
        return rows >= self._batching.max_batch_size

    def _take(self, key: Any) -> list[Task]:
        taken: list[Task] = []
        rows = 0
        for task in [task for task in self._queue if task.key == key]:
            if rows + task.rows > self._batching.max_batch_size:
                break
            taken.append(task)
            rows += task.rows
            self._queue.remove(task)
        return taken


def _check_mergeable(task: Task, max_batch_size: int) -> None:
    sizes = {name: value.shape[:1] for name, value in task.inputs.items()}
    if not sizes or () in sizes.values():
        raise InvalidRequest(
            "Requests are merged along dimension 0, so every input needs at least one dimension."
        )
    if len(set(sizes.values())) > 1:
        raise InvalidRequest(
            "Requests are merged along dimension 0, so all inputs need the same number of rows; "
            "give `target`, whose default is one row, with every row. Received: "
            + ", ".join(f"{name} {size[0]}" for name, size in sorted(sizes.items()))
            + "."
        )
    if task.rows > max_batch_size:
        raise InvalidRequest(
            f"A request has at most max_batch_size={max_batch_size} rows where requests are "
            f"merged. Received: {task.rows}."
        )


def _run(tasks: list[Task], batching: Batching, ran: Callable[[int], None]) -> None:
    try:
        answers = _call(tasks, batching, ran)
    except Exception as error:  # whatever a graph raises is the answer
        code = error_code(error)
        if len(tasks) > 1 and code not in (Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED):
            for task in tasks:  # one of them is at fault, and the others must not suffer
                _run([task], batching, ran)
            return
        message = error.message if isinstance(error, tf.errors.OpError) else str(error)
        failed = error if isinstance(error, ServingError) else error_of(code, message)
        for task in tasks:
            task.finish(failed)
        return
    for task, answer in zip(tasks, answers, strict=True):
        task.finish(answer)


def _call(
    tasks: list[Task], batching: Batching, ran: Callable[[int], None]
) -> list[dict[str, np.ndarray]]:
    """The outputs of each task from one run of the graph."""
    first = tasks[0]
    seconds = max(task.deadline for task in tasks) - time.monotonic()
    inputs = first.inputs
    rows = [task.rows for task in tasks] if batching.enabled else []
    total = sum(rows)
    padding = batching.padded(total) - total if total else 0
    if len(tasks) > 1 or padding:
        inputs = {
            name: _joined([task.inputs[name] for task in tasks], padding) for name in first.inputs
        }
    outputs = first.servable.model.call(
        first.signature, inputs, first.outputs, max(_SMALLEST_WAIT, seconds)
    )
    ran(total or 1)
    if len(tasks) == 1 and not padding:
        return [outputs]
    for name, value in outputs.items():
        if value.shape[:1] != (total + padding,):
            raise InvalidRequest(
                f"The output {name!r} does not have one row for each row of the inputs, so "
                "requests for it cannot be merged."
            )
    ends = np.cumsum(rows)
    return [
        {name: value[end - count : end] for name, value in outputs.items()}
        for count, end in zip(rows, ends, strict=True)
    ]


def _joined(values: list[np.ndarray], padding: int) -> np.ndarray:
    filler = [np.repeat(values[0][:1], padding, axis=0)] if padding else []
    return np.concatenate([*values, *filler])
