"""What the door counts about those who ask; `/metrics` shows it (Prometheus' own registry).

Short because a metric is made once in a process, whoever counts with it.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge

DECISIONS = Counter(
    "door_decisions_total",
    "Requests to workspaces by what became of them: passed, or why refused",
    ["outcome"],
)
SIGN_INS = Counter("door_sign_ins_total", "Sign-ins that went well, in whatever mode")
FAILED_SIGN_INS = Counter(
    "door_failed_sign_ins_total",
    "What proved nothing, by way (form, basic, bearer, oidc, header); slowed: not looked at",
    ["way", "slowed"],
)
STREAMS = Gauge("door_open_streams", "Open event streams and terminals", ["kind"])
ENDED_STREAMS = Counter(
    "door_ended_streams_total", "Streams that were ended because their sign-in was over"
)
