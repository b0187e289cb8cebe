"""The Pulumi engine's part of `make up`: local file state and a passphrase by default."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from tools.deploy.steps import run, tell


def program() -> str | None:
    """Return the Pulumi CLI, unless FLEET_ENGINE=kubectl says to go without."""
    return None if os.environ.get("FLEET_ENGINE") == "kubectl" else shutil.which("pulumi")


def settings(image: str | None) -> dict[str, str]:
    """Return environment variables for Pulumi: defaults where the operator has set nothing.

    The passphrase is made once and kept in a file that only this user reads; losing it loses the
    secrets of the stack, never a workspace.
    """
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "opencode-fleet"
    found: dict[str, str] = {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    if "PULUMI_BACKEND_URL" not in os.environ:
        state = data / "pulumi"
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        found["PULUMI_BACKEND_URL"] = f"file://{state}"
    if not _has_passphrase(os.environ):
        found["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_passphrase_file(data))
    if image is not None:
        found["FLEET_IMAGE"] = image
    return found


def up(pulumi: str, stack: str, image: str | None) -> None:
    """Run `pulumi up` for a stack, made first when it does not exist."""
    extra = settings(image)
    tell("pulumi up")
    run("pulumi stack", [pulumi, "stack", "select", "--create", "--stack", stack], extra)
    # Installed SDKs name plugins this stack may not use: they are fetched when a resource does.
    flags = ("--yes", "--skip-preview", "--skip-plugin-pre-install", "--suppress-outputs")
    run("pulumi up", [pulumi, "up", "--stack", stack, *flags], extra)


def destroy(pulumi: str, stack: str) -> None:
    """Run `pulumi destroy`; claims and namespaces stay in the cluster."""
    flags = ("--yes", "--skip-preview", "--suppress-outputs")
    run("pulumi destroy", [pulumi, "destroy", "--stack", stack, *flags], settings(None))


def _has_passphrase(environment: Mapping[str, str]) -> bool:
    names = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
    return any(name in environment for name in names)


def _passphrase_file(data: Path) -> Path:
    path = data / "passphrase"
    if not path.exists():
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    return path
