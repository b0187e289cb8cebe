"""The cluster under test through kubectl: what a test looks at, and what it breaks.

Leaves out: the product, which is driven by its own command line (`environment`).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tests.e2e.harness.waiting import until

Live = dict[str, Any]
RUNTIME = "opencode"


@dataclass(frozen=True, kw_only=True)
class Kube:
    """kubectl bound to one context."""

    program: str
    context: str
    environ: Mapping[str, str] | None = None

    def run(
        self, *arguments: str, stdin: str | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl; the exit code is the caller's business."""
        return subprocess.run(
            [self.program, f"--context={self.context}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=self.environ,
        )

    def ask(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run kubectl and return what it printed; it must succeed."""
        done = self.run(*arguments, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr.strip()}"
        return done.stdout

    def list(self, kind: str, *arguments: str) -> list[Live]:
        """Return the objects of a kind."""
        text = self.ask("get", kind, *arguments, "-o", "json")
        return cast("list[Live]", json.loads(text)["items"])

    def one(self, kind: str, name: str, namespace: str | None = None) -> Live | None:
        """Return an object, or None when there is none."""
        where = [f"--namespace={namespace}"] if namespace else []
        text = self.ask("get", kind, name, *where, "--ignore-not-found", "-o", "json")
        return cast("Live", json.loads(text)) if text.strip() else None

    def make(self, *objects: Live) -> None:
        """Create or change objects."""
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.ask("apply", "-f", "-", stdin=json.dumps(document))

    def exec(
        self, namespace: str, pod: str, *command: str, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a runtime's container."""
        flags = ["-i"] if stdin is not None else []
        target = [f"--namespace={namespace}", pod, f"--container={RUNTIME}"]
        return self.run("exec", *flags, *target, "--", *command, stdin=stdin, timeout=timeout)

    def gone(self, kind: str, name: str, namespace: str | None = None, seconds: float = 90) -> None:
        """Wait until an object is gone."""
        until(f"{kind} {name} is gone", lambda: self.one(kind, name, namespace) is None, seconds)


def labels(item: Live) -> dict[str, str]:
    """Return an object's labels."""
    return cast("dict[str, str]", item["metadata"].get("labels") or {})


def notes(item: Live) -> dict[str, str]:
    """Return an object's annotations."""
    return cast("dict[str, str]", item["metadata"].get("annotations") or {})


def is_ready(pod: Live) -> bool:
    """Return whether a pod is ready and not on its way out."""
    conditions = cast("list[Live]", pod.get("status", {}).get("conditions", []))
    return "deletionTimestamp" not in pod["metadata"] and any(
        item["type"] == "Ready" and item["status"] == "True" for item in conditions
    )


def restarts(pod: Live) -> int:
    """Return how often a pod's containers were restarted."""
    statuses = cast("list[Live]", pod.get("status", {}).get("containerStatuses", []))
    return sum(int(item["restartCount"]) for item in statuses)
