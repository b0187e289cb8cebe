"""What the roster says of each user beside what runs.

Owns: the rows of `fleet status`. Leaves out: how a pod is judged (`pods`), how much of a volume is
used (`volumes`), printing.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fleet.cluster import pods as judged
from fleet.cluster.client import Cluster, Live
from fleet.cluster.door import last_uses
from fleet.cluster.pods import Doing, part, parts
from fleet.cluster.runtimes import RUNTIME
from fleet.cluster.untrusted import one_line
from fleet.cluster.volumes import Claim, claim_name, claimed, used
from fleet.errors import ClusterError
from fleet.names import LABEL_ENVIRONMENT, LABEL_USER, slug
from fleet.plan.environment import Plan, UserPlan
from fleet.plan.people import next_wake

_USER_ID = "opencode-fleet/user-id"
_KINDS = ("deployments", "pods", "persistentvolumeclaims")
ASLEEP = "asleep"
_PARALLEL = 8
# The last line of a container that failed is asked for; more than these and nobody reads them.
_ASKED = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeState:
    """One user's runtime: what the roster says and what runs."""

    user: str
    state: str
    """active or suspended as the roster says; retained (not in the roster, data there); absent."""
    phase: str
    """Ready, or what the runtime does instead."""
    restarts: int
    image: str
    volume: str
    """Used and claimed storage, such as `1.2Gi/10Gi`."""
    url: str
    note: str
    """The reason for the phase, and what else lies around."""
    last_used: str = ""
    """When somebody was there last, as the door noted it (ISO 8601)."""
    next_wake: str = ""
    """When working hours wake a sleeping runtime (ISO 8601)."""

    def as_json(self) -> dict[str, Any]:
        """Return the state for `--json`."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Owned:
    """What one user has in the cluster."""

    deployments: list[Live] = field(default_factory=list[Live])
    pods: list[Live] = field(default_factory=list[Live])
    claims: list[Live] = field(default_factory=list[Live])

    def of(self, kind: str) -> list[Live]:
        """Return what there is of a kind."""
        held: dict[str, list[Live]] = dict(
            zip(_KINDS, (self.deployments, self.pods, self.claims), strict=True)
        )
        return held[kind]


def states(
    cluster: Cluster, plan: Plan, *, volumes: bool = True, now: datetime | None = None
) -> list[RuntimeState]:
    """Return the state of every user, and of former users whose claims are there.

    `now` is what the next wake is reckoned from, this moment unless given.
    """
    owned = _owned(cluster, plan.environment)
    use = _use(cluster, owned) if volumes else {}
    said = _last_words(cluster, owned)
    seen, moment = last_uses(cluster, plan.door), now or datetime.now(UTC)
    rows = [
        _timed(
            _row(user, owned.pop((user.namespace, slug(user.id)), _Owned()), use, said),
            seen.get(slug(user.id)),
            next_wake(user.hours, moment) if user.hours else None,
        )
        for user in plan.users
    ]
    return rows + [
        _retained(namespace, user, claim)
        for (namespace, user), left in sorted(owned.items())
        for claim in left.claims
    ]


def _owned(cluster: Cluster, environment: str) -> dict[tuple[str, str], _Owned]:
    labels = {LABEL_ENVIRONMENT: environment, LABEL_USER: ""}
    owned: dict[tuple[str, str], _Owned] = {}
    for kind, items in cluster.list_all(_KINDS, labels=labels).items():
        for item in items:
            metadata = item["metadata"]
            owner = (metadata["namespace"], metadata["labels"][LABEL_USER])
            owned.setdefault(owner, _Owned()).of(kind).append(item)
    return owned


def _row(
    user: UserPlan,
    mine: _Owned,
    use: Mapping[tuple[str, str], str],
    said: Mapping[str, str],
) -> RuntimeState:
    deployment = mine.deployments[0] if mine.deployments else None
    pod = judged.choose(mine.pods)
    doing = _doing(user, deployment, pod)
    notes = [doing.note, said.get(judged.uid(pod), "") if pod else "", judged.left_over(mine.pods)]
    claim = next((item for item in mine.claims if item["metadata"]["name"] == user.name), None)
    volume = ""
    if claim is not None:
        volume = f"{use.get((user.namespace, user.name), '-')}/{claimed(claim)}"
    roster = "active" if user.active else "suspended"
    return RuntimeState(
        user=user.id,
        state=roster if deployment is not None else "absent",
        phase=doing.phase,
        restarts=judged.restarts(pod) if pod else 0,
        image=_image(deployment),
        volume=volume,
        url=user.url,
        note="; ".join(filter(None, notes)),
    )


def _timed(row: RuntimeState, used: datetime | None, wakes: datetime | None) -> RuntimeState:
    """Return a row with when the user was there last, and when it wakes by itself."""
    wakes = wakes if row.phase == ASLEEP else None
    return replace(row, last_used=_stamp(used), next_wake=_stamp(wakes))


def _stamp(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat(timespec="seconds")


def _doing(user: UserPlan, deployment: Live | None, pod: Live | None) -> Doing:
    """Return what a runtime does, and where that is not what the roster says."""
    if deployment is None:
        return Doing(phase="not deployed")
    wanted = deployment["spec"].get("replicas", 1)
    live = pod is not None and not judged.ended(pod)
    if not wanted and not live:
        return Doing(phase=ASLEEP if user.active else "-")
    doing = (
        judged.doing(pod) if pod is not None else Doing(phase="no pod", note=_no_pod(deployment))
    )
    if wanted and not user.active:
        return Doing(phase=doing.phase, note="runs although suspended: run fleet up")
    return doing


def _no_pod(deployment: Live) -> str:
    """Return why a Deployment makes no pod, as a quota or a policy that refuses it."""
    for condition in parts(part(deployment, "status"), "conditions"):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return one_line(str(condition.get("message", "")), 200)
    return ""


def _image(deployment: Live | None) -> str:
    if deployment is None:
        return ""
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def _retained(namespace: str, user: str, claim: Live) -> RuntimeState:
    metadata = claim["metadata"]
    return RuntimeState(
        user=part(metadata, "annotations").get(_USER_ID, user),
        state="retained",
        phase=f"claim {namespace}/{metadata['name']}",
        restarts=0,
        image="",
        volume=f"-/{claimed(claim)}",
        url="",
        note="",
    )


def _use(cluster: Cluster, owned: Mapping[tuple[str, str], _Owned]) -> dict[tuple[str, str], str]:
    asked: list[Claim] = []
    for mine in owned.values():
        pod = judged.choose(mine.pods)
        if pod is None or judged.ended(pod):
            continue
        name = claim_name(pod)
        claim = next((item for item in mine.claims if item["metadata"]["name"] == name), None)
        if claim is not None:
            asked.append(Claim(claim=claim, pod=pod, can_tell=judged.ready(pod)))
    return used(cluster, asked, RUNTIME)


def _last_words(cluster: Cluster, owned: Mapping[tuple[str, str], _Owned]) -> dict[str, str]:
    """Return the last line that each failed container printed, by its pod's uid."""
    failed = [
        (pod, doing)
        for mine in owned.values()
        if (pod := judged.choose(mine.pods)) is not None and (doing := judged.doing(pod)).ended
    ][:_ASKED]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        lines = pool.map(partial(_last_line, cluster), failed)
        return {
            judged.uid(pod): f"last line: {line}"
            for (pod, _), line in zip(failed, lines, strict=True)
            if line
        }


def _last_line(cluster: Cluster, failed: tuple[Live, Doing]) -> str:
    pod, doing = failed
    metadata = pod["metadata"]
    place = (metadata["namespace"], metadata["name"], doing.container)
    for previous in (False, True):
        try:
            lines = [
                line for line in cluster.logs(*place, tail=1, previous=previous) if line.strip()
            ]
        except ClusterError:
            continue
        if lines and lines[-1].strip():
            return one_line(lines[-1], 120)
    return ""
