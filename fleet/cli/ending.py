"""What a `destroy` takes and leaves, in words: before it, as a question, and after it.

Where the stack made the cluster, the cluster goes, and what is retained is in the cloud. Leaves
out: destroying (`runs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.machine_plan import retained as retained_in_cloud
from fleet.cli.deployment import Deployment
from fleet.engine.deploy import Before, retained
from fleet.engine.stack import EngineStack
from fleet.errors import InputError, Problem
from fleet.stackfile.config import ExistingCluster

_LISTED = 40
_WHAT = {
    "vm": "the machine with its k3s",
    "ack": "the ACK cluster with its nodes and its load balancer",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """What goes and what stays."""

    name: str
    question: str
    goes: Sequence[str]
    stays: Sequence[str]
    in_cloud: bool
    back: str
    """How what stays is found again."""

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {"environment": self.name, "deleted": list(self.goes), "retained": list(self.stays)}

    def lines(self) -> list[str]:
        """Return what is told when it is done."""
        if self.in_cloud:
            first = f"{self.name}: destroyed, its cluster too"
            if not self.stays:
                return [f"{first}; nothing is retained"]
            first += "; retained in the cloud, which goes on charging for it:"
        else:
            first = f"{self.name}: destroyed; retained, with everybody's work:"
        more = len(self.stays) - _LISTED
        listed = [f"  {item}" for item in self.stays[:_LISTED]]
        return [first, *listed, *([f"  … and {more} more"] if more > 0 else []), self.back]


def ending_of(deployment: Deployment, stack: EngineStack, before: Before) -> Ending:
    """Return what a destroy of this environment takes and leaves.

    Raises InputError while something is protected: the engine would stop half-way.
    """
    name, cluster = deployment.place.name, deployment.environment.config.cluster
    _refuse_protected(name, before)
    live = before.live or {}
    claims = retained(live)
    goes = [str(key) for key in live if str(key) not in claims]
    if isinstance(cluster, ExistingCluster):
        return Ending(
            name=name,
            question=f"Delete {len(goes)} objects of {name}, among them the runtimes of its"
            f" users? {len(claims)} namespaces and claims are retained.",
            goes=goes,
            stays=claims,
            in_cloud=False,
            back="`fleet up` finds it again; list ids under `purge:` to delete a user's data for"
            " good",
        )
    stays = _in_cloud(stack, before, cluster)
    listed = "; ".join(stays) if stays else "nothing, users' work is lost"
    return Ending(
        name=name,
        question=f"Delete {_WHAT[cluster.kind]} of {name}, and {len(live)} objects in the cluster,"
        f" {len(claims)} of them namespaces and claims? Retained in the cloud: {listed}.",
        goes=[*goes, *claims],
        stays=stays,
        in_cloud=True,
        back=_back(cluster),
    )


def _refuse_protected(name: str, before: Before) -> None:
    protected = before.first.state.protected if before.first.state is not None else ()
    if protected:
        listed = ", ".join(protected[:3]) + (" …" if len(protected) > 3 else "")  # noqa: PLR2004
        raise InputError(
            [
                Problem(
                    "cluster.production",
                    "true",
                    f"this environment is protected from deletion ({listed}); nothing was deleted",
                    f"write production: false, run fleet up -s {name}, then destroy",
                )
            ]
        )


def _in_cloud(stack: EngineStack, before: Before, cluster: VmCluster | AckCluster) -> Sequence[str]:
    """Return what the stack says it retains, with ids; else what the stack file says."""
    told = stack.outputs().get("retainedInCloud") if before.first.state is not None else None
    return [str(item) for item in told] if told is not None else retained_in_cloud(cluster)


def _back(cluster: VmCluster | AckCluster) -> str:
    if isinstance(cluster, AckCluster):
        return "users' disks are in the console under Disks; snapshots and logs are separate"
    disk = cluster.data_disk
    if disk is not None and disk.id is None and disk.keep:
        return (
            "to bring everybody's work back, name that disk before the next `fleet up`:"
            " cluster.dataDisk: {id: d-…}"
        )
    return "`fleet up` makes the environment again"
