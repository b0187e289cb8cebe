"""Day-to-day work on one runtime that exists: link, restart, sleep, wake.

Leaves out: the states of all (`states`), logs (`logs`), how a pod is judged (`pods`).
"""

from __future__ import annotations

import base64
import json
import re
import shlex
import time
from typing import cast

from fleet.cluster import pods as judged
from fleet.cluster.client import Cluster, Live
from fleet.cluster.pods import Doing
from fleet.cluster.report import Report
from fleet.cluster.untrusted import one_line
from fleet.errors import ClusterError, InputError, Problem
from fleet.manifests.policies import RUNTIME_PORT
from fleet.names import LABEL_ENVIRONMENT, LABEL_USER, slug
from fleet.plan.environment import Plan, UserPlan

RUNTIME = "opencode"
"""The container of a runtime that holds OpenCode."""

_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")


def find_user(plan: Plan, user_id: str) -> UserPlan:
    """Return a user of the roster; raise InputError when there is none."""
    for user in plan.users:
        if user.id == user_id:
            return user
    known = ", ".join(user.id for user in plan.users[:10]) or "nobody"
    rule = "no such user in the roster"
    raise InputError([Problem("USER", user_id, rule, f"use one of: {known}")])


def need_active(user: UserPlan) -> None:
    """Raise InputError when a user is suspended: there is nothing to ask then."""
    if not user.active:
        change = "set `state: active` and run fleet up"
        raise InputError([Problem("USER", user.id, "suspended", change)])


def live_pod(cluster: Cluster, user: UserPlan) -> Live | None:
    """Return the pod of a user that counts."""
    return judged.choose(user_pods(cluster, user))


def user_pods(cluster: Cluster, user: UserPlan) -> list[Live]:
    """Return all pods of a user, ended ones too."""
    labels = {LABEL_ENVIRONMENT: user.environment, LABEL_USER: slug(user.id)}
    return cluster.list("pods", namespace=user.namespace, labels=labels)


def restart(cluster: Cluster, user: UserPlan, timeout: float, report: Report) -> None:
    """Restart a user's runtime and wait until the new pod is ready.

    The ReplicaSet is deleted, its pod first. Deleting the pod alone would have the next one beside
    it for as long as it takes to stop: two writers on one database. An annotation on the pod
    template, as kubectl sets it, would be a change the next `fleet up` takes back by a second
    restart. The Deployment makes the ReplicaSet anew when the pod is gone, and is itself unchanged.
    """
    need_active(user)
    labels = {LABEL_ENVIRONMENT: user.environment, LABEL_USER: slug(user.id)}
    live = cluster.list_all(
        ("deployments", "replicasets", "pods"), namespace=user.namespace, labels=labels
    )
    if not live["deployments"]:
        raise ClusterError(f"user {user.id}: restart: not deployed: run fleet up first")
    if is_asleep(live["deployments"][0]):
        raise ClusterError(
            f"user {user.id}: restart: asleep: it starts anew when somebody opens it, or by"
            " fleet resume"
        )
    before = {judged.uid(pod) for pod in live["pods"]}
    for item in live["replicasets"]:
        if item["spec"].get("replicas", 1):
            name = item["metadata"]["name"]
            cluster.delete(
                "replicasets", name, user.namespace, uid=judged.uid(item), owned_first=True
            )
    _wait_restarted(cluster, user, before, timeout, report)


def is_asleep(deployment: Live) -> bool:
    """Return whether a Deployment asks for no pod; of an active user the door decides it."""
    return not deployment["spec"].get("replicas", 1)


def deployment_of(cluster: Cluster, user: UserPlan) -> Live | None:
    """Return a user's Deployment."""
    return cluster.get("deployments", user.name, user.namespace)


def put_to_sleep(cluster: Cluster, user: UserPlan) -> bool:
    """Take a user's pod away; all else stays. Returns False where it is asleep already."""
    return _scale(cluster, user, 0)


def wake(cluster: Cluster, user: UserPlan) -> bool:
    """Ask for a user's pod; returns False where one is asked for already."""
    return _scale(cluster, user, 1)


def _scale(cluster: Cluster, user: UserPlan, replicas: int) -> bool:
    """Do what the door does by itself: the number of pods is nobody's else while active."""
    need_active(user)
    deployment = deployment_of(cluster, user)
    if deployment is None:
        raise ClusterError(f"user {user.id}: not deployed: run fleet up first")
    if is_asleep(deployment) == (replicas == 0):
        return False
    change = {"spec": {"replicas": replicas}}
    cluster.patch("deployments", user.name, change, user.namespace)
    return True


def _wait_restarted(
    cluster: Cluster, user: UserPlan, before: set[str], timeout: float, report: Report
) -> None:
    deadline = time.monotonic() + timeout
    while True:
        pods = user_pods(cluster, user)
        new = [pod for pod in pods if judged.uid(pod) not in before]
        if any(judged.ready(pod) for pod in new):
            return
        pod = judged.choose(new) or judged.choose(pods)
        doing = judged.doing(pod) if pod else Doing(phase="no pod")
        if time.monotonic() >= deadline:
            why = f"{doing.phase}: {doing.note}" if doing.note else doing.phase
            raise ClusterError(
                f"user {user.id}: restart: not ready in {timeout:g} s: {why}: see fleet logs"
            )
        report("ready", 0, 1, [f"{user.id}: {doing.phase}"])
        time.sleep(0.5)


def open_session(cluster: Cluster, user: UserPlan, scene: str | None) -> str:
    """Make a chat in a scene's folder and return its link.

    The request is made in the user's own pod, with the password the pod already has: no password
    passes through this machine, and it works where the front door is not reachable.
    """
    need_active(user)
    folder = chat_folder(user, scene)
    failed = f"user {user.id}: open a session in {folder}"
    pod = live_pod(cluster, user)
    if pod is None or not judged.ready(pod):
        phase = judged.doing(pod).phase if pod else "no pod"
        raise ClusterError(
            f"{failed}: the runtime is not ready ({phase}): see fleet status, or fleet resume"
        )
    address = f"http://127.0.0.1:{RUNTIME_PORT}/session?directory={folder}"
    script = (
        'printf \'user = "%s:%s"\' "$OPENCODE_SERVER_USERNAME" "$OPENCODE_SERVER_PASSWORD"'
        " | /usr/bin/curl -q -fsS -m 60 --config - -H 'content-type: application/json' -d '{}' "
        + shlex.quote(address)
    )
    # Absolute paths, and no .curlrc: both the first folders of PATH and HOME are the user's.
    done = cluster.exec(
        user.namespace, pod["metadata"]["name"], RUNTIME, ["/bin/sh", "-c", script], timeout=90
    )
    if done.code != 0:
        why = one_line(done.err or done.out or f"exit code {done.code}", 200)
        raise ClusterError(f"{failed}: {why}: see fleet status")
    session = _session_id(done.out)
    if session is None:
        said = one_line(done.out, 80) or "nothing"
        raise ClusterError(f"{failed}: the runtime answered {said}: see fleet logs")
    encoded = base64.urlsafe_b64encode(folder.encode()).decode().rstrip("=")
    return f"{user.url}/{encoded}/session/{session}"


def chat_folder(user: UserPlan, scene: str | None) -> str:
    """Return the folder of a scene of the user's, or /app; raise InputError for another's."""
    if scene is None:
        return "/app"
    known = [item.id for item in user.scenes]
    if scene not in known:
        rule, others = f"user {user.id} has no such scene", ", ".join(known) or "none"
        raise InputError([Problem("--scene", scene, rule, f"use one of: {others}")])
    return f"/app/{scene}"


def _session_id(answer: str) -> str | None:
    """Return the id of a session; it becomes part of a link, so it must look like one."""
    try:
        session = json.loads(answer)
    except ValueError:
        return None
    session_id = cast("Live", session).get("id") if isinstance(session, dict) else None
    return session_id if isinstance(session_id, str) and _SESSION.fullmatch(session_id) else None
