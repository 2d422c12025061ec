"""Metrics in Prometheus's form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tfgig.serving.protocol.errors import Code, needed

PATH = "/monitoring/prometheus/metrics"  # TensorFlow Serving's usual one
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Queue(Protocol):
    """What can say how many wait in it."""

    @property
    def waiting(self) -> int:
        """How many wait."""


class Metrics:
    """One server's counters."""

    def __init__(self) -> None:
        self._client = needed("prometheus_client")
        self._registry = self._client.CollectorRegistry()
        self._requests = self._client.Counter(
            "tfgig_serving_requests",
            "Requests by protocol, signature and canonical code",
            ("protocol", "signature", "code"),
            registry=self._registry,
        )
        self._seconds = self._client.Histogram(
            "tfgig_serving_seconds",
            "Time from a whole request to its answer",
            ("protocol", "signature"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = self._client.Histogram(
            "tfgig_serving_batch_rows",
            "Rows that were run together",
            ("lane",),
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=self._registry,
        )
        self._waiting = self._client.Gauge(
            "tfgig_serving_waiting", "Requests that wait", ("lane",), registry=self._registry
        )

    def count(self, protocol: str, signature: str, code: Code, seconds: float) -> None:
        """Notes an answer; of a request without a known signature under ""."""
        self._requests.labels(protocol, signature, code.name).inc()
        self._seconds.labels(protocol, signature).observe(seconds)

    def batch_sizes(self, lane: str) -> Callable[[int], None]:
        """What notes the rows of each run of a lane."""
        return self._batches.labels(lane).observe

    def watch_queue(self, lane: str, queue: Queue) -> None:
        """Shows how many wait in a lane."""
        self._waiting.labels(lane).set_function(lambda: queue.waiting)

    def text(self) -> tuple[bytes, str]:
        """The metrics, and their content type."""
        return self._client.generate_latest(self._registry), self._client.CONTENT_TYPE_LATEST
