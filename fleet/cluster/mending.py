"""Repairs of drift that server-side apply cannot make.

It never removes a field that it does not own, and a pod does not notice a replaced Secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from fleet.cluster.changes import Changes
from fleet.cluster.kubectl import Kubectl, Live, part
from fleet.cluster.live import Key

_ONE_WRITER = json.dumps({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}})


def undo_rolling_updates(kubectl: Kubectl, changes: Changes, live: Mapping[Key, Live]) -> None:
    """Set `Recreate` back where somebody chose another strategy.

    The API server then fills in `rollingUpdate`, and refuses it beside `Recreate` ever after.
    """
    for item in changes.apply:
        found = live.get(item.key)
        if item.key.kind != "Deployment" or found is None:
            continue
        if "rollingUpdate" in part(found["spec"], "strategy"):
            where = (item.key.name, f"--namespace={item.key.namespace}", "--type=merge")
            kubectl.ask("patch", "deployment", *where, "-p", _ONE_WRITER)


def restart_stale(kubectl: Kubectl, changes: Changes) -> None:
    """Restart runtimes that still hold a password or key which is no longer the Secret's."""
    for user in changes.stale:
        name = f"deployment/{user.name}"
        kubectl.ask("rollout", "restart", name, f"--namespace={user.namespace}")
