"""What a failed test leaves behind for whoever looks into it: one folder a test."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from tests.e2e.harness.kube import Kube
from tests.e2e.harness.sweeping import leftovers


def report_folder() -> Path:
    """Return the folder of all reports; FLEET_E2E_REPORT names another."""
    given = os.environ.get("FLEET_E2E_REPORT")
    return Path(given) if given else Path(tempfile.gettempdir()) / "opencode-fleet-e2e-report"


def write_report(kube: Kube, test: str, failure: str) -> Path:
    """Write pod descriptions, events and logs of all test environments; return the folder."""
    folder = report_folder() / re.sub(r"[^A-Za-z0-9_.-]+", "-", test)[-120:]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "failure.txt").write_text(failure, encoding="utf-8")
    for namespace in leftovers(kube):
        where = f"--namespace={namespace}"
        parts = {
            "pods": ("describe", "pods", where),
            "objects": ("get", "all,pvc,ingress,configmaps,networkpolicies", where, "-o", "wide"),
            "events": ("get", "events", where, "--sort-by=.lastTimestamp"),
        }
        for name, arguments in parts.items():
            _save(kube, folder / f"{namespace}.{name}.txt", *arguments)
        for pod in kube.run("get", "pods", where, "-o", "name").stdout.split():
            for suffix, more in (("", ()), (".previous", ("--previous",))):
                file = folder / f"{namespace}.{pod.removeprefix('pod/')}.log{suffix}.txt"
                _save(kube, file, "logs", where, pod, "--all-containers", "--tail=2000", *more)
    return folder


def _save(kube: Kube, file: Path, *arguments: str) -> None:
    done = kube.run(*arguments)
    if done.stdout:
        file.write_text(done.stdout + done.stderr, encoding="utf-8")
