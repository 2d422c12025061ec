"""Merging of requests: many rows, one run of the graph.

As in TensorFlow Serving, requests for the same outputs of the same signature are joined along
dimension 0, padded to an allowed size, run once and split again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any

import numpy as np
import tensorflow as tf

from tfgig.serving.devserver.versions import Servable, error_code
from tfgig.serving.protocol.errors import (
    LATE,
    STOPPING,
    Code,
    DeadlineExceeded,
    InvalidRequest,
    ServingError,
    Unavailable,
    error_of,
)
from tfgig.spec import check

_SMALLEST_WAIT = 1e-3
# What no single request of a batch is to blame for.
_OF_ALL = (Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.CANCELLED)


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


def check_mergeable(task: Task, max_batch_size: int) -> None:
    """Raises `InvalidRequest` unless a request can be merged with others."""
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


def run(
    tasks: list[Task], batching: Batching, ran: Callable[[int], None], background: bool
) -> None:
    """Runs tasks together, and ends each of them.

    Args:
        tasks: One task, or several with equal keys.
        batching: Whether and to what size they are padded.
        ran: Told how many rows ran.
        background: Whether they run on threads of their own.
    """
    try:
        answers = _call(tasks, batching, background)
        ran(sum(task.rows for task in tasks) if batching.enabled else 1)
    except Exception as error:  # whatever a graph raises is the answer
        code = error_code(error)
        if len(tasks) > 1 and code not in _OF_ALL:
            for task in tasks:  # one of them is at fault, and the others must not suffer
                run([task], batching, ran, background)
            return
        failed = _failure(error, code)
        for task in tasks:
            task.finish(failed)
        return
    for task, answer in zip(tasks, answers, strict=True):
        task.finish(answer)


def _failure(error: Exception, code: Code) -> ServingError:
    if isinstance(error, ServingError):
        return error
    if code is Code.DEADLINE_EXCEEDED:
        return DeadlineExceeded(LATE)
    if code is Code.CANCELLED:  # its session was closed
        return Unavailable(STOPPING)
    message = error.message if isinstance(error, tf.errors.OpError) else str(error)
    return error_of(code, message)


def _call(tasks: list[Task], batching: Batching, background: bool) -> list[dict[str, np.ndarray]]:
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
        first.signature, inputs, first.outputs, max(_SMALLEST_WAIT, seconds), background
    )
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
