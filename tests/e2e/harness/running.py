"""Runs of `fleet` that a test stops in the middle: the process, its engine, the state they leave.

Leaves out: what an environment is (`environment`), cutting its cluster off (`cut`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tests.e2e.harness.environment import Done, Environment
from tests.e2e.harness.waiting import until

PROVIDER = "pulumi-resource-kubernetes"


def own_state(environment: Environment) -> Path:
    """Give an environment a state, a passphrase and seeds of its own; return the state's folder."""
    state = environment.folder / "state"
    state.mkdir(exist_ok=True)
    environment.environ |= {
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_HOME": str(environment.folder / "pulumi-home"),
        "XDG_DATA_HOME": str(environment.folder / "data"),
    }
    return state


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run under way, in a process group of its own, as one at a terminal is."""

    environment: Environment
    process: subprocess.Popen[str]

    @classmethod
    def begin(
        cls, environment: Environment, *arguments: str, environ: Mapping[str, str] | None = None
    ) -> Run:
        """Start a `fleet` command."""
        process = subprocess.Popen(
            environment.command(*arguments),
            cwd=environment.folder,
            env={**os.environ, **environment.environ, **(environ or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return cls(environment=environment, process=process)

    def engine(self) -> int:
        """Return the process of the engine that changes things, once it is there."""
        return until("the engine runs", self._engine, 60, 0.02)

    def _engine(self) -> int | None:
        for pid, words in _programs().items():
            if "--exec-kind" in words and _parent(pid) == self.process.pid:
                return pid
        return None

    def kill(self, *, fleet: bool = True, engine: bool = True) -> None:
        """Kill the command, its engine, or both, before either can do anything about it."""
        pid = self.engine()
        if fleet:
            self.process.kill()
        if engine:
            os.kill(pid, signal.SIGKILL)

    def until_objects(self, kind: str, more_than: int) -> None:
        """Wait until the run has made objects of a kind."""
        kube, name = self.environment.kube, self.environment.name
        selector = f"--selector=opencode-fleet/environment={name}"

        def there() -> bool:
            assert self.process.poll() is None, "the run is over already"
            listed = kube.ask("get", kind, "--all-namespaces", selector, "-o", "name")
            return len(listed.splitlines()) > more_than

        until(f"more than {more_than} {kind}", there, 90, 0.02)

    def interrupt(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group, as a terminal does."""
        os.killpg(self.process.pid, number)

    def end(self, timeout: float = 120) -> Done:
        """Wait for the end."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        finally:
            self.process.kill()
        assert "Traceback" not in err, err
        return Done(code=self.process.returncode, out=out, err=err)


def _programs() -> dict[int, list[str]]:
    """Return the command line of every process."""
    found: dict[int, list[str]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "cmdline").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        found[int(entry.name)] = text.rstrip("\0").split("\0")
    return found


def _parent(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[1])


def left_running(state: Path) -> list[str]:
    """Return engines and providers that still run for a state."""
    mark = f"PULUMI_BACKEND_URL=file://{state}".encode()
    found: list[str] = []
    for pid, words in _programs().items():
        if Path(words[0]).name not in ("pulumi", PROVIDER):
            continue
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in environ:
            found.append(" ".join(words))
    return found


def locks(state: Path) -> list[Path]:
    """Return the locks on the stacks of a state."""
    return sorted((state / ".pulumi" / "locks").rglob("*.json"))


def recorded(environment: Environment, state: Path) -> set[str]:
    """Return the ids of the cluster's objects that a state holds."""
    file = state / ".pulumi" / "stacks" / "opencode-fleet" / f"{environment.name}.json"
    if not file.exists():
        return set()
    content = cast("dict[str, Any]", json.loads(file.read_text(encoding="utf-8")))
    latest = cast("dict[str, Any]", content["checkpoint"].get("latest") or {})
    resources = cast("list[dict[str, Any]]", latest.get("resources") or [])
    return {
        f"{item['type'].rpartition(':')[2]} {item['id']}"
        for item in resources
        if item["type"].startswith("kubernetes:")
    }


def owned(environment: Environment) -> set[str]:
    """Return the ids of an environment's objects in the cluster, without its pods."""
    kinds = "deployments,secrets,services,ingresses,configmaps,networkpolicies,roles,rolebindings"
    kinds += ",serviceaccounts,resourcequotas,limitranges,persistentvolumeclaims"
    selector = f"--selector=opencode-fleet/environment={environment.name}"
    return {
        f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']}"
        for item in environment.kube.list(kinds, "--all-namespaces", selector)
    }
