"""Lanes: bounded queues between requests and the model, with threads that work them off.

Explanations have a lane of their own, so that predictions never wait for them.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from typing import Any

from tfgig.serving.devserver.batching import Batching, Task, check_mergeable, run
from tfgig.serving.protocol.errors import STOPPING, DeadlineExceeded, Overloaded, Unavailable


class Lane:
    """A bounded queue and the threads that work it off.

    Args:
        name: The threads' name.
        batching: How it is bounded, and whether requests are merged.
        ran: Told the rows of each run.
        background: Whether the graphs run on threads of their own.
    """

    def __init__(
        self,
        name: str,
        batching: Batching,
        ran: Callable[[int], None] = lambda rows: None,
        background: bool = False,
    ) -> None:
        self._batching = batching
        self._ran = ran
        self._background = background
        self._queue: collections.deque[Task] = collections.deque()
        self._forming: set[Any] = set()
        self._changed = threading.Condition()
        self._idle = batching.num_batch_threads
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{i}", daemon=True)
            for i in range(batching.num_batch_threads)
        ]

    def start(self) -> None:
        """Works from now on."""
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
        if batching.enabled:
            check_mergeable(task, batching.max_batch_size)
        with self._changed:
            if self._stopped:
                raise Unavailable(STOPPING)
            # What a thread is about to take does not wait.
            room = batching.max_enqueued_batches + self._idle
            needed = sum(t.rows if batching.enabled else 1 for t in [*self._queue, task])
            if needed > room * (batching.max_batch_size if batching.enabled else 1):
                raise Overloaded(f"The queue is full: {len(self._queue)} requests wait.")
            self._queue.append(task)
            self._changed.notify_all()

    def stop(self) -> None:
        """Refuses what waits and what comes; what runs goes on, and then the threads end."""
        with self._changed:
            self._stopped = True
            left = list(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        for task in left:
            task.finish(Unavailable(STOPPING))

    def join(self, seconds: float) -> None:
        """Waits so long for the threads to end."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while True:
            with self._changed:
                tasks = self._next()
                if not tasks:
                    return
                self._idle -= 1
            now = time.monotonic()
            ready = [task for task in tasks if not task.future.done() and task.deadline > now]
            for task in tasks:
                if task not in ready:
                    task.finish(DeadlineExceeded("The deadline passed while the request waited."))
            if ready:
                run(ready, self._batching, self._ran, self._background)
            with self._changed:
                self._idle += 1

    def _next(self) -> list[Task]:
        """The next batch, waited for with the lock held; empty when the lane stops."""
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
