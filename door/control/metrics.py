"""What the door tells Prometheus about itself.

No label holds what somebody may type, and none a user's name: their number would grow with the
roster, and who works when is nobody's business but the user's. Leaves out: serving them, and what
is counted of those who ask (`counters`).
"""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Iterable

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from door.control.world import Phase, Runtime

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "door_"
_WAKE_SECONDS = (2, 4, 6, 8, 10, 15, 20, 30, 60, 120, 300)


class Metrics:
    """The figures of one World, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.users = Gauge(
            f"{_PREFIX}users", "Users by what their runtime does", ["phase"], registry=self.registry
        )
        self.wakes = self._counter("wakes", "Runtimes woken, by why", "why")
        self.sleeps = self._counter("sleeps", "Runtimes put to sleep, by why", "why")
        self.restarts = self._counter("restarts", "Runtimes restarted")
        self.failures = self._counter(
            "failures", "What the cluster refused or did not do, by what was asked", "what"
        )
        self.wake_seconds = Histogram(
            f"{_PREFIX}wake_seconds",
            "Seconds from asking for a pod until it is ready",
            buckets=_WAKE_SECONDS,
            registry=self.registry,
        )
        self.kept_awake = self._counter(
            "kept_awake", "Unused runtimes not put to sleep, by why", "why"
        )
        self.stale_seconds = Gauge(
            f"{_PREFIX}watch_stale_seconds",
            "Seconds since the cluster's API was last heard, of the watch that waits longest",
            registry=self.registry,
        )
        self.leads = Gauge(
            f"{_PREFIX}leads",
            "1 where this replica puts runtimes to sleep and wakes them for working hours",
            registry=self.registry,
        )
        for phase in Phase:
            self.users.labels(phase)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}{name}", text, labels, registry=self.registry)

    def render(self, people: Iterable[Runtime], stale: float) -> bytes:
        """Return everything in Prometheus' text form, the process's own registry included."""
        phases = Count(runtime.phase for runtime in people)
        for phase in Phase:
            self.users.labels(phase).set(phases[phase])
        self.stale_seconds.set(stale)
        return generate_latest(self.registry) + generate_latest(REGISTRY)
