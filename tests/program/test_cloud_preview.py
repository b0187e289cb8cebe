"""The shipped cloud files against the real engine and plugin, with made-up keys and no network.

The plugin checks names, protocols and the like at preview, which no mock does. Runs where the
Pulumi CLI and the alicloud plugin are; elsewhere the rules that it taught stand as our own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.programs import ROOT

FOLDERS = ("components", "fleet", "image", "scenes")
FILES = ("__main__.py", "pyproject.toml", "uv.lock", "README.md", "Pulumi.yaml")
OFFLINE = ("unshare", "--net", "bash", "-c", 'ip link set lo up && exec "$0" "$@"')


def _plugins() -> list[str]:
    done = subprocess.run(
        ["pulumi", "plugin", "ls", "--json"],  # noqa: S607 - whichever pulumi is on PATH
        capture_output=True,
        text=True,
        check=False,
    )
    return [item["name"] for item in json.loads(done.stdout or "[]")]


def _missing() -> str | None:
    """Return why this cannot run here."""
    if shutil.which("pulumi") is None:
        return "the Pulumi CLI is not on PATH: the preview of the cloud files was not run"
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return "closing the network needs root and unshare: the preview was not run"
    if "alicloud" not in _plugins():
        return "the alicloud plugin is not installed: the preview was not run"
    return None


def _run(folder: Path, variables: Mapping[str, str], *command: str) -> str:
    done = subprocess.run(
        [*OFFLINE, *command],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    said = done.stdout + done.stderr
    if "unknown key: features" in said:
        pytest.skip("the alicloud plugin is older than its SDK: the preview was not run")
    assert done.returncode == 0, said
    return said


@pytest.mark.parametrize("environment", ["alicloud-vm", "alicloud-ack"])
def test_a_shipped_cloud_file_passes_the_plugins_own_checks(
    environment: str, tmp_path: Path
) -> None:
    if (why := _missing()) is not None:
        pytest.skip(why)
    project, state = tmp_path / "project", tmp_path / "state"
    project.mkdir()
    state.mkdir()
    for name in FOLDERS:
        shutil.copytree(ROOT / name, project / name)
    for name in (*FILES, f"Pulumi.{environment}.yaml"):
        shutil.copy(ROOT / name, project)
    variables = {
        "ALICLOUD_ACCESS_KEY": "made-up",
        "ALICLOUD_SECRET_KEY": "made-up",
        "FLEET_IMAGE": "registry.example.com/team/runtime:v1",
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "of a test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "UV_OFFLINE": "1",
    }
    _run(project, variables, "pulumi", "stack", "init", environment)
    said = _run(
        project, variables, "pulumi", "preview", "--stack", environment, "--non-interactive"
    )
    assert "to create" in said
    assert "error" not in said.lower()
