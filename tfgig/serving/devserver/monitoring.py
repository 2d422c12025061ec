"""Metrics in Prometheus's form."""

from __future__ import annotations

from typing import Protocol

import prometheus_client

from tfgig.serving.protocol.errors import Code

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Queue(Protocol):
    """What can say how many wait in it."""

    @property
    def waiting(self) -> int:
        """How many wait."""


class Metrics:
    """One server's counters."""

    def __init__(self) -> None:
        self._registry = prometheus_client.CollectorRegistry()
        self._requests = prometheus_client.Counter(
            "tfgig_serving_requests",
            "Requests by protocol, signature and canonical code",
            ("protocol", "signature", "code"),
            registry=self._registry,
        )
        self._seconds = prometheus_client.Histogram(
            "tfgig_serving_seconds",
            "Time from the complete request to its answer",
            ("protocol", "signature"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = prometheus_client.Histogram(
            "tfgig_serving_batch_rows",
            "Rows that were run together, where requests are merged",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=self._registry,
        )

    def count(self, protocol: str, signature: str, code: Code, seconds: float) -> None:
        """Notes an answer; of a request without a known signature under ""."""
        self._requests.labels(protocol, signature, code.name).inc()
        self._seconds.labels(protocol, signature).observe(seconds)

    def note_run(self, rows: int) -> None:
        """Notes how many rows ran together."""
        self._batches.observe(rows)

    def watch(self, queue: Queue) -> None:
        """Shows how many wait to be merged."""
        waiting = prometheus_client.Gauge(
            "tfgig_serving_waiting", "Requests that wait to be merged", registry=self._registry
        )
        waiting.set_function(lambda: queue.waiting)

    def text(self) -> tuple[bytes, str]:
        """The metrics, and their content type."""
        return prometheus_client.generate_latest(
            self._registry
        ), prometheus_client.CONTENT_TYPE_LATEST
