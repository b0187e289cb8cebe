"""Talking to a cluster through kubectl: one context, JSON in and out, errors as one line.

Owns: finding kubectl, running it, saying why a cluster does not answer. Leaves out: what is asked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast
from urllib.parse import urlencode

from fleet.errors import ClusterError, shown

# An object as the API returns it; its shape is the API's, not ours.
Live: TypeAlias = dict[str, Any]

# For requests that answer at once; deletes that wait have a patience of their own.
PATIENCE = "--request-timeout=30s"
_LONG = 400
_UNREACHABLE = (
    "connection refused",
    "was refused - did you specify",
    "no such host",
    "i/o timeout",
    "unable to connect to the server",
    "context deadline exceeded",
    "connection reset",
    "unexpected eof",
    "tls handshake timeout",
    "etcdserver: request timed out",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a kubectl run printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Kubectl:
    """kubectl bound to one kubeconfig context."""

    program: str
    context: str

    def command(self, *arguments: str) -> list[str]:
        """Return the full command line of a kubectl call."""
        return [self.program, f"--context={self.context}", *arguments]

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 600) -> Reply:
        """Run kubectl and return its reply, whatever its exit code; `timeout` in seconds."""
        try:
            done = subprocess.run(
                self.command(*arguments),
                input=stdin,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            verb = arguments[0]
            raise ClusterError(f"kubectl {verb} gave no answer in {timeout:.0f} s") from None
        return Reply(code=done.returncode, out=done.stdout, err=done.stderr)

    def ask(self, *arguments: str, stdin: str | None = None, timeout: float = 600) -> str:
        """Run kubectl and return what it printed; raise ClusterError when it fails."""
        reply = self.run(*arguments, stdin=stdin, timeout=timeout)
        if reply.code != 0:
            raise ClusterError(self.explain(reply.err))
        return reply.out

    def get(self, kinds: Iterable[str], *arguments: str) -> list[Live]:
        """Return the objects of some kinds that `arguments` select."""
        listed = ",".join(kinds)
        text = self.ask("get", listed, *arguments, "-o", "json", PATIENCE)
        if not text.strip():  # --ignore-not-found with nothing found
            return []
        answer = self._parse(text)
        return cast("list[Live]", answer["items"]) if "items" in answer else [answer]

    def listing(self, path: str, selector: str) -> list[Live]:
        """Return the objects at an API path that a label selector selects, in all namespaces.

        A kind that the cluster does not serve has none.
        """
        query = urlencode({"labelSelector": selector})
        reply = self.run("get", "--raw", f"{path}?{query}", PATIENCE)
        if reply.code != 0:
            if "(NotFound)" in reply.err:
                return []
            raise ClusterError(self.explain(reply.err))
        answer = self._parse(reply.out)
        # Items of a list name neither kind nor version: the list does.
        kind = {"apiVersion": answer["apiVersion"], "kind": answer["kind"].removesuffix("List")}
        return [{**kind, **item} for item in answer["items"] or ()]

    def _parse(self, text: str) -> Live:
        try:
            return cast("Live", json.loads(text))
        except ValueError:
            raise ClusterError(
                f"cluster.context: {self.context}: answers with no JSON ({shown(text)}): something"
                " in between answers for it: check the server's address in your kubeconfig"
            ) from None

    def explain(self, err: str) -> str:
        """Return kubectl's complaint as one line, with what to do when the cluster is away."""
        lines = [line for line in err.splitlines() if line.strip() and "Warning:" not in line]
        text = next((line for line in reversed(lines) if "rror" in line), "")
        text = text or (lines[-1] if lines else "kubectl failed without a word")
        low = " ".join(lines).lower()
        if "context" in low and ("does not exist" in low or "not found" in low):
            names = self.run("config", "get-contexts", "-o", "name").out.split()
            others = (
                f"use one of {shown(', '.join(names))}" if names else "your kubeconfig is empty"
            )
            return f"cluster.context: {self.context}: no such context in your kubeconfig: {others}"
        if any(word in low for word in _UNREACHABLE):
            change = "start the cluster (make up starts the bundled one) and run this again"
            reason = shown(text.removeprefix("Unable to connect to the server: "))
            return f"cluster.context: {self.context}: does not answer ({reason}): {change}"
        text = " ".join(text.split())
        return text if len(text) <= _LONG else text[:_LONG] + "…"


def find_kubectl() -> str:
    """Return the kubectl to use: FLEET_KUBECTL, then PATH, then the bundled cluster's own."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    built = sorted((cache / "opencode-fleet" / "bin").glob("*/kubectl"), key=_age, reverse=True)
    bundled = str(built[0]) if built else None
    given = os.environ.get("FLEET_KUBECTL")
    for candidate in (given, shutil.which("kubectl"), bundled):
        if candidate:
            return candidate
    raise ClusterError("kubectl: not found: no such program on PATH: install it, or run make up")


def _age(path: Path) -> float:
    return path.stat().st_mtime


def part(item: Live, key: str) -> Live:
    """Return a mapping inside an object; an absent or null one is empty."""
    return cast("Live", item.get(key) or {})


def container_states(pod: Live) -> list[Live]:
    """Return the status of each container of a pod, the init containers' first."""
    status = part(pod, "status")
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def as_list(objects: Sequence[Any]) -> str:
    """Return objects as one JSON List: kubectl validates YAML at 30 ms an object, JSON at none."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
