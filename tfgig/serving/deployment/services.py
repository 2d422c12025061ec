"""The servers of a deployment: what each may use, and how it merges requests."""

from __future__ import annotations

import dataclasses

from tfgig.exported.lane import Lane
from tfgig.serving.deployment.options import Batching
from tfgig.serving.protocol.records import MAX_ROWS
from tfgig.spec import check

_WITHOUT_LANE = 6  # explanations at once that threads are kept for where nothing bounds them
_ROWS_OF_A_RUN = 8  # of explanations that have a server of their own


@dataclasses.dataclass(frozen=True)
class Service:
    """One server of a deployment.

    Args:
        name: What it is called.
        batching: How requests are merged.
        cpus: How many processors it may use.
        memory: How much memory it may use, in MiB.
        lane: The lane of the export; None if its explanations have none.
    """

    name: str = "serve"
    batching: Batching = Batching()
    cpus: int = 2
    memory: int = 4096
    lane: Lane | None = Lane()

    def __post_init__(self) -> None:
        check(self.cpus >= 1, "A server needs at least 1 processor.", self.cpus)
        check(self.memory >= 256, "A server needs at least 256 MiB of memory.", self.memory)

    @property
    def inter_op(self) -> int:
        """The threads that run operations: one a processor, and one for each explanation."""
        return self.cpus + _running(self.lane)

    @property
    def inter_op_in_words(self) -> str:
        """How that number comes about."""
        running = _running(self.lane)
        bound = (
            f"{running} for the explanations that the export's lane runs at once"
            if self.lane is not None and self.lane.at_once
            else f"{running} for explanations, which no lane limits"
        )
        return f"{self.cpus} for the processors and {bound}"


def one_server(
    cpus: int = 2,
    memory: int = 4096,
    merge: bool = True,
    rows: int = MAX_ROWS,
    lane: Lane | None = Lane(),
) -> tuple[Service]:
    """One server for predictions and explanations.

    Args:
        cpus: How many processors it may use.
        memory: How much memory it may use, in MiB.
        merge: Whether requests are merged.
        rows: The most rows of a request.
        lane: The lane of the export; None if it has none.
    """
    # A batch thread waits for the run that it started. As many as may be in the lane are taken by
    # explanations; one more than those would be refused at once, and holds none.
    batching = Batching(
        merge,
        max_batch_size=rows,
        batch_timeout_micros=1000,
        max_enqueued_batches=64,
        num_batch_threads=cpus + _held(lane),
    )
    return (Service("serve", batching, cpus, memory, lane),)


def two_servers(
    cpus: tuple[int, int] = (2, 2),
    memory: tuple[int, int] = (4096, 4096),
    merge: bool = True,
    rows: int = MAX_ROWS,
    lane: Lane | None = Lane(),
) -> tuple[Service, Service]:
    """A server for predictions and one for explanations; as `one_server`, in pairs.

    That of explanations runs at most 8 rows together, as many as share a call of the model.
    """
    predictions = Batching(
        merge,
        max_batch_size=rows,
        batch_timeout_micros=1000,
        max_enqueued_batches=64,
        num_batch_threads=cpus[0],
    )
    explanations = Batching(
        merge,
        max_batch_size=rows,
        batch_timeout_micros=5000,
        max_enqueued_batches=16,
        num_batch_threads=cpus[1],
        enable_large_batch_splitting=rows > _ROWS_OF_A_RUN,
        max_execution_batch_size=_ROWS_OF_A_RUN if rows > _ROWS_OF_A_RUN else None,
    )
    return (
        Service("predict", predictions, cpus[0], memory[0], lane),
        Service("explain", explanations, cpus[1], memory[1], lane),
    )


def _running(lane: Lane | None) -> int:
    """How many explanations run at once."""
    return lane.at_once if lane is not None and lane.at_once else _WITHOUT_LANE


def _held(lane: Lane | None) -> int:
    """How many explanations run or wait in the lane."""
    return lane.at_once + lane.waiting if lane is not None and lane.at_once else _WITHOUT_LANE
