"""A runtime that is held: stopped, and told to the door as suspended, so that nobody wakes it.

Short because whoever works on a volume needs the same two fields set in one step: a database has
one writer, and an open tab would start the other.
"""

from __future__ import annotations

from fleet.cluster.client import Cluster
from fleet.names import STATE
from fleet.plan.environment import UserPlan
from fleet.stackfile.config import UserState

SUSPENDED = UserState.SUSPENDED.value
"""What the door is told of a runtime that it is to leave alone."""


def set_runtime(cluster: Cluster, user: UserPlan, replicas: int, state: str) -> None:
    """Set a runtime's pods and state in one step: the door wakes none that it takes for active."""
    change = {"metadata": {"annotations": {STATE: state}}, "spec": {"replicas": replicas}}
    cluster.patch("deployments", user.name, change, user.namespace)
