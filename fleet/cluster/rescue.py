"""A way into a workspace that does not start: a pod of the operator's on the user's volume.

The runtime is held meanwhile, whoever opens it, so that a database never has two writers; in the
end it is what it was. A run that is killed leaves a pod that ends by itself, and a runtime that is
suspended to the door until the next `fleet up`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from fleet.cluster import pods as judged
from fleet.cluster.client import Cluster, Live
from fleet.cluster.held import SUSPENDED, set_runtime
from fleet.cluster.pods import part
from fleet.cluster.runtimes import user_pods
from fleet.errors import ClusterError
from fleet.manifests.runtime import POD_SECURITY, runtime_state, runtime_volumes
from fleet.names import LABEL_ROLE, NAME_MAX, pool_labels
from fleet.plan.environment import UserPlan

CONTAINER = "rescue"
# A forgotten shell must not keep a workspace away from its user for ever.
LONGEST = 4 * 3600
_PAUSE = 0.5


@contextmanager
def rescue_pod(
    cluster: Cluster, user: UserPlan, pod: Live, timeout: float, say: Callable[[str], None]
) -> Generator[str]:
    """Run `pod`, a `rescue_manifest`, while the user's runtime is stopped; yield its name.

    `timeout`: seconds to wait for the runtime to stop, and again for the pod to start. Raises
    ClusterError.
    """
    live = cluster.get("deployments", user.name, user.namespace)
    replicas = int(part(live or {}, "spec").get("replicas", 0))
    # Who is suspended or not deployed yet is woken by nobody.
    held = live is not None and user.active
    name = pod["metadata"]["name"]
    try:
        if replicas:
            say(f"{user.id}: stopping the runtime")
        if held or replicas:
            set_runtime(cluster, user, 0, SUSPENDED)
        _until(timeout, lambda: not user_pods(cluster, user), f"{user.id}: the runtime still runs")
        cluster.delete("pods", name, user.namespace, wait=timeout)
        cluster.create(pod)
        say(f"{user.id}: starting the rescue pod")
        _wait_running(cluster, user, name, timeout)
        yield name
    finally:
        cluster.delete("pods", name, user.namespace, wait=timeout)
        if held or replicas:
            # Not the state that the cluster told: it may be what a run that was killed left.
            set_runtime(cluster, user, replicas, runtime_state(user))
        if replicas:
            say(f"{user.id}: the runtime is started again")


def _wait_running(cluster: Cluster, user: UserPlan, name: str, timeout: float) -> None:
    pod: Live = {"metadata": {}, "status": {}}

    def running() -> bool:
        nonlocal pod
        pod = cluster.get("pods", name, user.namespace) or {"metadata": {}, "status": {}}
        return part(pod, "status").get("phase") == "Running"

    try:
        _until(timeout, running, "")
    except ClusterError:
        doing = judged.doing(pod)
        raise ClusterError(
            f"user {user.id}: rescue: the pod did not start: {doing.note or doing.phase}"
        ) from None


def _until(seconds: float, done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() >= deadline:
            raise ClusterError(f"user {what} after {seconds:g} s")
        time.sleep(_PAUSE)


def rescue_manifest(user: UserPlan, image: str, pull_secret: str | None) -> Live:
    """Return the pod: the user's volume and nothing else of theirs; no network lets it out."""
    mounts, volumes = runtime_volumes(user)
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": LONGEST,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": POD_SECURITY,
        "containers": [
            {
                "name": CONTAINER,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["/usr/bin/tini", "--", "/bin/sleep", "infinity"],
                "workingDir": "/app",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                },
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }
    if pull_secret is not None:
        spec["imagePullSecrets"] = [{"name": pull_secret}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"rescue-{user.name}"[:NAME_MAX],
            "namespace": user.namespace,
            "labels": {**pool_labels(user.environment, user.pool), LABEL_ROLE: CONTAINER},
        },
        "spec": spec,
    }
