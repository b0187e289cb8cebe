"""Every user of a pool in turn: a pod each, a few at once, and a line of what came of it.

Runs in the image with Python alone, in the pod of a CronJob: `python3 -Es pool.py backup|drill`.
Its account may make and delete pods of this namespace and write one ConfigMap. It sees no user's
data and no secret. Owns: whose turn it is, that nobody's failure stops the others, that a claim has
one pod of this kind (the pod's name is the lock). Leaves out: what such a pod does (`user`).
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Live = dict[str, Any]

ACCOUNT = Path(os.environ.get("FLEET_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
SETTINGS = Path(os.environ.get("FLEET_SETTINGS", "/fleet/settings"))
RESULTS = "backup-results"
PAUSE = float(os.environ.get("FLEET_PAUSE", "3"))
# Of a pod that nothing has room or a volume for; of one that works.
_START_SECONDS, _WORK_SECONDS = 600.0, 6 * 3600.0
_CONFLICT, _NOT_FOUND = 409, 404
_ENDED = ("Succeeded", "Failed")
_LINE = 300


class RefusedError(Exception):
    """What the API said no to, with its status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Api:
    """This namespace of the cluster, as the pod's own account."""

    def __init__(self) -> None:
        self._server = os.environ["FLEET_API"]
        self.namespace = (ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
        authority = ACCOUNT / "ca.crt"
        self._trust = ssl.create_default_context(cafile=authority) if authority.exists() else None

    def ask(self, method: str, kind: str, name: str = "", body: object = None) -> Live:
        """Send a request and return what it is answered with."""
        path = f"/api/v1/namespaces/{self.namespace}/{kind}{f'/{name}' if name else ''}"
        # Read anew each time: the kubelet replaces it every hour.
        token = (ACCOUNT / "token").read_text(encoding="utf-8").strip()
        content = "merge-patch+json" if method == "PATCH" else "json"
        request = urllib.request.Request(  # noqa: S310 - the API's own address
            self._server + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": f"application/{content}",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30, context=self._trust) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RefusedError(error.code, _told(error.read())) from None

    def get(self, kind: str, name: str) -> Live | None:
        """Return an object; None when it is not there."""
        try:
            return self.ask("GET", kind, name)
        except RefusedError as refusal:
            if refusal.status == _NOT_FOUND:
                return None
            raise

    def delete(self, name: str) -> None:
        """Delete a pod."""
        try:
            self.ask("DELETE", "pods", name)
        except RefusedError as refusal:
            if refusal.status != _NOT_FOUND:
                raise


def _told(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])[:_LINE]
    except (ValueError, KeyError, TypeError):
        return "no reason"


def main(arguments: list[str]) -> int:
    """Back up every user of the pool, or drill them; return 0 when all of it worked."""
    verb = arguments[0]
    api = Api()
    own = api.get("pods", os.environ["FLEET_POD"]) or {}
    users: list[dict[str, str]] = json.loads((SETTINGS / "users.json").read_text(encoding="utf-8"))
    template = (SETTINGS / f"{verb}.json").read_text(encoding="utf-8")
    failed = 0
    with ThreadPoolExecutor(int(os.environ["FLEET_PARALLEL"])) as pool:
        for user, outcome in zip(
            users, pool.map(lambda user: safely(api, own, user, template), users), strict=True
        ):
            failed += not outcome["ok"]
            sys.stdout.write(json.dumps({"user": user["id"], **outcome}) + "\n")
            sys.stdout.flush()
            record(api, verb, user, outcome)
    sys.stdout.write(f"{verb}: {len(users) - failed} of {len(users)} users\n")
    return 1 if failed else 0


def safely(api: Api, own: Live, user: dict[str, str], template: str) -> Live:
    """Do it for one user; whatever goes wrong is that user's outcome and nobody else's."""
    try:
        return one(api, own, user, template)
    except RefusedError as refusal:
        return {"ok": False, "error": f"the cluster refuses the pod: {refusal}"}
    except (OSError, ValueError, KeyError) as error:
        return {"ok": False, "error": f"{type(error).__name__}: {error}"[:_LINE]}


def one(api: Api, own: Live, user: dict[str, str], template: str) -> Live:
    """Run one user's pod and return what it says."""
    pod = filled(template, user)
    spec = own["spec"]
    pod["spec"]["containers"][0]["image"] = spec["containers"][0]["image"]
    if "imagePullSecrets" in spec:
        pod["spec"]["imagePullSecrets"] = spec["imagePullSecrets"]
    near = beside(api, user)
    if near is not None:
        pod["spec"]["affinity"] = near
    name = pod["metadata"]["name"]
    if not free(api, name):
        return {"ok": False, "error": "another backup or restore of this claim is under way"}
    try:
        api.ask("POST", "pods", body=pod)
    except RefusedError as refusal:
        if refusal.status == _CONFLICT:
            return {"ok": False, "error": "another backup or restore of this claim is under way"}
        raise
    try:
        return wait(api, name)
    finally:
        api.delete(name)


def filled(template: str, user: dict[str, str]) -> Live:
    """Return the pod of a user; what is put in has no character that means anything to JSON."""
    for key, value in user.items():
        template = template.replace(f"<{key}>", value)
    return json.loads(template)


def beside(api: Api, user: dict[str, str]) -> Live | None:
    """Return what keeps a pod on the node of the user's running runtime; a disk is on one node."""
    labels = {"app.kubernetes.io/name": "opencode", "opencode-fleet/user": user["slug"]}
    selector = "%2C".join(f"{key}%3D{value}" for key, value in labels.items())
    found = api.ask("GET", f"pods?labelSelector={selector}")["items"] or []
    if not any(item["status"].get("phase") == "Running" for item in found):
        return None
    term = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def free(api: Api, name: str) -> bool:
    """Return whether the name is free; a pod that has ended is deleted for that."""
    deadline = time.monotonic() + 60
    while (found := api.get("pods", name)) is not None:
        if found["status"].get("phase") not in _ENDED or time.monotonic() > deadline:
            return False
        api.delete(name)
        time.sleep(PAUSE)
    return True


def wait(api: Api, name: str) -> Live:
    """Wait until a pod has ended and return the outcome it left."""
    begun = time.monotonic()
    while True:
        pod = api.get("pods", name)
        if pod is None:
            return {"ok": False, "error": "the pod was deleted by somebody"}
        status = pod["status"]
        phase, spent = status.get("phase"), time.monotonic() - begun
        if phase in _ENDED:
            return outcome_of(pod)
        if (phase == "Pending" and spent > _START_SECONDS) or spent > _WORK_SECONDS:
            return {"ok": False, "error": f"not done in {spent:.0f} s: {why(status)}"[:_LINE]}
        time.sleep(PAUSE)


def outcome_of(pod: Live) -> Live:
    """Return what an ended pod says of itself."""
    for item in pod["status"].get("containerStatuses") or []:
        message = item.get("state", {}).get("terminated", {}).get("message") or ""
        try:
            told = json.loads(message)
        except ValueError:
            continue
        if isinstance(told, dict) and isinstance(told.get("ok"), bool):
            return told
    return {"ok": False, "error": why(pod["status"])}


def why(status: Live) -> str:
    """Return why a pod does not run or did not finish, in the cluster's words."""
    for item in status.get("containerStatuses") or []:
        for state in item.get("state", {}).values():
            words = [str(state.get(key) or "") for key in ("reason", "message")]
            if any(words):
                return ": ".join(filter(None, words))[:_LINE]
    for item in status.get("conditions") or []:
        if item.get("status") == "False" and item.get("message"):
            return str(item["message"])[:_LINE]
    return str(status.get("message") or status.get("reason") or status.get("phase"))[:_LINE]


def record(api: Api, verb: str, user: dict[str, str], outcome: Live) -> None:
    """Note what came of it, where `fleet status` looks; a failure keeps the last good."""
    key = f"{verb}.{user['slug']}"
    try:
        noted = (api.get("configmaps", RESULTS) or {}).get("data") or {}
        text = noted_text(noted.get(key), outcome)
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": RESULTS}}
        try:
            api.ask("POST", "configmaps", body=made)
        except RefusedError as refusal:
            if refusal.status != _CONFLICT:
                raise
        api.ask("PATCH", "configmaps", RESULTS, {"data": {key: text}})
    except (RefusedError, OSError) as error:
        sys.stdout.write(f"{user['id']}: not noted: {error}\n")


def noted_text(before: str | None, outcome: Live) -> str:
    """Return a user's note: the last that worked, and the error of the last one if it did not."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if outcome["ok"]:
        keys = ("snapshot", "at", "files", "bytes", "added", "databases", "warnings", "seconds")
        return json.dumps({key: outcome[key] for key in keys if key in outcome})
    try:
        good = json.loads(before or "{}")
    except ValueError:
        good = {}
    return json.dumps({**good, "failedAt": now, "error": str(outcome.get("error", ""))[:_LINE]})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
