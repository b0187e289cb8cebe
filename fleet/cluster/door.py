"""The door of an environment as it runs: whether it is ready, when each user was there last.

Leaves out: what the door is made of (`fleet.manifests.door`), the runtimes behind it (`states`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime

from fleet.cluster.client import Cluster, Live
from fleet.cluster.pods import part
from fleet.cluster.reasons import Reason, reason_of
from fleet.cluster.report import Failure, Progress
from fleet.cluster.waiting import STEP, has_its_pods
from fleet.names import DOOR, LABEL_ENVIRONMENT, LABEL_USER, door_selector
from fleet.plan.door import DoorPlan

_POLL_SECONDS = 1.0
_TELL_SECONDS = 5.0
_KINDS = ("deployments", "replicasets", "pods", "events")


def wait_door(
    cluster: Cluster, door: DoorPlan, timeout: float, progress: Progress
) -> list[Failure]:
    """Wait until the door is ready; return the failure when it is not within `timeout` seconds."""
    begun = told = time.monotonic()
    said = ""
    while True:
        deployment, reason = _look(cluster, door)
        if deployment is not None and has_its_pods(deployment):
            return []
        now, text = time.monotonic(), reason.text if reason else "no reason is named yet"
        if now - begun >= timeout:
            cause = f"the door is not ready in time: {text}"
            return [Failure(user=None, step=STEP, cause=cause)]
        if now - told >= _TELL_SECONDS and text != said:
            said, told = text, now
            progress.say(f"door: {text}")
        progress.at("door", 0, 1, ["waiting for the door"])
        time.sleep(_POLL_SECONDS)


def _look(cluster: Cluster, door: DoorPlan) -> tuple[Live | None, Reason | None]:
    live = cluster.list_all(_KINDS[:-1], namespace=door.namespace, labels=door_selector())
    deployment = next((d for d in live["deployments"] if d["metadata"]["name"] == DOOR), None)
    if deployment is not None and has_its_pods(deployment):
        return deployment, None
    events = cluster.list("events", namespace=door.namespace, fields={"type": "Warning"})
    return deployment, reason_of(deployment, live["replicasets"], live["pods"], events)


def last_uses(cluster: Cluster, door: DoorPlan) -> Mapping[str, datetime]:
    """Return when each user was there last, by the label of the user's objects (a slug)."""
    labels = {LABEL_ENVIRONMENT: door.environment, LABEL_USER: ""}
    found: dict[str, datetime] = {}
    for lease in cluster.list("leases", namespace=door.namespace, labels=labels):
        moment = _moment(part(lease, "spec").get("renewTime"))
        if moment is not None:
            found[lease["metadata"]["labels"][LABEL_USER]] = moment
    return found


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
