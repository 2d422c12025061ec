"""Requests that are merged as TensorFlow Serving merges them, with what comes of it.

Its batch scheduler has a queue for each signature and set of outputs, and one pool of threads for
all of them. Requests are joined along dimension 0, padded to an allowed size, run once and split
again. What fails, fails all requests of a batch.
"""

from __future__ import annotations

import collections
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TypeAlias

import numpy as np

from tfgig.serving.deployment.options import Batching
from tfgig.serving.devserver.execution import execute
from tfgig.serving.devserver.merging import merged, rows_of, split
from tfgig.serving.devserver.versions import Servable
from tfgig.serving.protocol.errors import (
    STOPPING,
    Overloaded,
    Unavailable,
    too_many_rows,
)

Arrays: TypeAlias = dict[str, np.ndarray]
_FULL = "The batch scheduling queue to which this task was submitted is full"


@dataclasses.dataclass(frozen=True)
class _Kind:
    """What requests have in common that are merged."""

    servable: Servable
    signature: str
    outputs: tuple[str, ...]


@dataclasses.dataclass(eq=False)
class _Part:
    """A request, or the part of one that goes into one batch."""

    inputs: Arrays
    rows: int
    deadline: float  # on the monotonic clock
    answer: Future[Arrays] = dataclasses.field(default_factory=Future)


@dataclasses.dataclass(eq=False)
class _Batch:
    """What runs together."""

    parts: list[_Part] = dataclasses.field(default_factory=list)
    rows: int = 0
    opened: float = 0.0

    def add(self, part: _Part, now: float) -> None:
        """Adds a part; the first with rows starts the time for which the batch is open."""
        if not self.rows:
            self.opened = now
        self.parts.append(part)
        self.rows += part.rows


class Scheduler:
    """The queues and the threads that work them off.

    Args:
        batching: The parameters.
        on_run: Told the rows of each run.
    """

    def __init__(
        self, batching: Batching, on_run: Callable[[int], None] = lambda rows: None
    ) -> None:
        self._batching = batching
        self._on_run = on_run
        # Of each kind, the last batch is the one that is being filled.
        self._queues: collections.OrderedDict[_Kind, collections.deque[_Batch]] = (
            collections.OrderedDict()
        )
        self._changed = threading.Condition()
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{i}", daemon=True)
            for i in range(batching.num_batch_threads)
        ]

    def start(self) -> None:
        """Works from now on."""
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many requests, or parts of them, wait."""
        with self._changed:
            return sum(len(b.parts) for queue in self._queues.values() for b in queue)

    def execute(
        self,
        servable: Servable,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: tuple[str, ...],
        seconds: float,
    ) -> Arrays:
        """As `execution.execute`, with the rows of other requests.

        Raises:
            InvalidRequest: the inputs do not have equally many rows, or too many.
            Unavailable: the queue is full, or the server is stopping.
            ServingError: the batch failed.
        """
        kind = _Kind(servable, signature, tuple(sorted(set(outputs))))
        whole = _Part(dict(inputs), rows_of(inputs), time.monotonic() + seconds)
        with self._changed:
            if self._stopped:
                raise Unavailable(STOPPING)
            parts = self._enqueue(kind, whole)
            self._changed.notify_all()
        answers = [part.answer.result() for part in parts]
        if len(answers) == 1:
            return answers[0]
        return {name: np.concatenate([a[name] for a in answers]) for name in answers[0]}

    def _enqueue(self, kind: _Kind, whole: _Part) -> list[_Part]:
        batching, now = self._batching, time.monotonic()
        if whole.rows > batching.max_batch_size:
            raise too_many_rows(whole.rows, batching.max_batch_size)
        queue = self._queues.setdefault(kind, collections.deque([_Batch()]))
        if not batching.enable_large_batch_splitting:
            if queue[-1].rows + whole.rows > batching.max_batch_size:
                if len(queue) >= batching.max_enqueued_batches:
                    raise Unavailable(
                        f"{_FULL}; currently {len(queue)} batches enqueued and "
                        f"max_enqueued_batches is {batching.max_enqueued_batches}"
                    )
                queue.append(_Batch())
            queue[-1].add(whole, now)
            return [whole]
        most = batching.rows_of_a_run
        capacity = (batching.max_enqueued_batches - len(queue)) * most + most - queue[-1].rows
        if whole.rows > capacity:
            raise Unavailable(
                f"{_FULL}; task size is {whole.rows} but scheduling capacity is only {capacity} "
                f"(num_enqueued_batches={len(queue)}, "
                f"max_enqueued_batches={batching.max_enqueued_batches}, "
                f"open_batch_size={queue[-1].rows}, max_execution_batch_size={most})"
            )
        parts = _parts(whole, most - queue[-1].rows, most)
        for part in parts:
            if queue[-1].rows + part.rows > most:
                queue.append(_Batch())
            queue[-1].add(part, now)
        return parts

    def stop(self) -> None:
        """Refuses what waits and what comes; what runs goes on, and then the threads end."""
        with self._changed:
            self._stopped = True
            left = [part for queue in self._queues.values() for b in queue for part in b.parts]
            self._queues.clear()
            self._changed.notify_all()
        for part in left:
            part.answer.set_exception(Unavailable(STOPPING))

    def join(self, seconds: float) -> None:
        """Waits so long for the threads to end."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while True:
            with self._changed:
                while (found := self._next()) is None:
                    if self._stopped:
                        return
                    self._changed.wait(self._rest())
            kind, batch = found
            try:
                answers = self._run(kind, batch)
            except Exception as error:  # what fails, fails the whole batch
                for part in batch.parts:
                    part.answer.set_exception(error)
                continue
            for part, answer in zip(batch.parts, answers, strict=True):
                part.answer.set_result(answer)

    def _next(self) -> tuple[_Kind, _Batch] | None:
        """The next batch to run, of each kind in turn."""
        now = time.monotonic()
        for kind, queue in list(self._queues.items()):
            if len(queue) == 1 and self._ready_at(queue[0]) <= now:
                queue.append(_Batch())
            if len(queue) > 1:
                batch = queue.popleft()
                self._queues.move_to_end(kind)
                if len(queue) == 1 and not queue[0].parts:
                    del self._queues[kind]
                return kind, batch
        return None

    def _ready_at(self, batch: _Batch) -> float:
        """When a batch that is being filled is run.

        One without rows is not, in TensorFlow Serving: its requests wait for others, and
        for ever if there are none. Here their time ends, as it does for those that do get a turn.
        """
        if batch.rows:
            full = batch.rows >= self._batching.rows_of_a_run
            return 0.0 if full else batch.opened + self._batching.batch_timeout_micros * 1e-6
        return max((part.deadline for part in batch.parts), default=float("inf"))

    def _rest(self) -> float | None:
        """How long there is nothing to do, unless something comes."""
        ready = min((self._ready_at(q[0]) for q in self._queues.values()), default=float("inf"))
        return None if ready == float("inf") else max(0.0, ready - time.monotonic())

    def _run(self, kind: _Kind, batch: _Batch) -> list[Arrays]:
        seconds = max(part.deadline for part in batch.parts) - time.monotonic()
        if seconds <= 0:
            raise Overloaded("Run() timeout exceeded while waiting in batching queue")
        size = self._batching.padded(batch.rows)
        inputs = merged(
            [part.inputs for part in batch.parts],
            kind.servable.model.signatures[kind.signature],
            size - batch.rows,
            self._batching.pad_variable_length_inputs,
        )
        outputs = execute(kind.servable, kind.signature, inputs, kind.outputs, seconds)
        self._on_run(batch.rows)
        return split(outputs, [part.rows for part in batch.parts], size)


def _parts(whole: _Part, room: int, most: int) -> list[_Part]:
    """A request in parts: what fits into the batch that is being filled, and full batches."""
    if whole.rows <= room:
        return [whole]
    starts = [0, *range(room, whole.rows, most)] if room else [*range(0, whole.rows, most)]
    ends = [*starts[1:], whole.rows]
    return [
        _Part(
            {name: value[start:end] for name, value in whole.inputs.items()},
            end - start,
            whole.deadline,
        )
        for start, end in zip(starts, ends, strict=True)
    ]
