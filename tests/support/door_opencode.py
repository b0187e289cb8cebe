"""A real OpenCode on an address of this machine, where a binary of it can be had.

Owns: finding one (FLEET_OPENCODE, PATH, the runtime image that the bundled cluster holds), starting
it as a runtime does. Without one, tests of protocols use the fake runtime alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from door.control.names import RUNTIME_PORT

CONTAINERD = ("ctr", "--address", "/run/opencode-fleet/containerd.sock", "--namespace", "k8s.io")
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "opencode-fleet"


def find_opencode() -> Path | None:
    """Return a binary of OpenCode; None where there is none."""
    named = os.environ.get("FLEET_OPENCODE") or shutil.which("opencode")
    return Path(named) if named else _from_image()


def _from_image() -> Path | None:
    """Copy the binary out of the newest runtime image of the bundled cluster, once an image."""
    if shutil.which("ctr") is None:
        return None
    listed = subprocess.run(
        [*CONTAINERD, "images", "list", "--quiet"], capture_output=True, text=True, check=False
    )
    images = [name for name in listed.stdout.split() if "/opencode-fleet/runtime:src-" in name]
    if not images:
        return None
    copied = _CACHE / "door-test" / images[-1].rpartition(":")[2]
    if not copied.exists():
        with tempfile.TemporaryDirectory() as folder:
            mount = [*CONTAINERD, "images", "mount", images[-1], folder]
            subprocess.run(mount, check=True, stdout=subprocess.DEVNULL)
            try:
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(Path(folder) / "usr/local/bin/opencode", copied)
            finally:
                unmount = [*CONTAINERD, "images", "unmount", "--rm", folder]
                subprocess.run(unmount, check=True, stdout=subprocess.DEVNULL)
    return copied


@contextmanager
def real_opencode(
    binary: Path, address: str, user: str, password: str, home: Path
) -> Generator[Path]:
    """Run OpenCode's web server on `address`, port 4096; yields the folder it works in."""
    work = home / "work"
    work.mkdir(parents=True)
    environment: dict[str, Any] = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "OPENCODE_SERVER_USERNAME": user,
        "OPENCODE_SERVER_PASSWORD": password,
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "npm_config_offline": "true",
        "OPENCODE_CONFIG_CONTENT": '{"share":"disabled","autoupdate":false,"enabled_providers":[]}',
    }
    command = [str(binary), "web", "--port", str(RUNTIME_PORT), "--hostname", address]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=work, env=environment, stdout=log, stderr=log)
    try:
        _wait_healthy(process, address, f"{user}:{password}", home / "log")
        yield work
    finally:
        process.kill()
        process.wait()


def _wait_healthy(process: subprocess.Popen[bytes], address: str, login: str, log: Path) -> None:
    request = urllib.request.Request(
        f"http://{address}:{RUNTIME_PORT}/global/health",
        headers={"Authorization": "Basic " + b64encode(login.encode()).decode()},
    )
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310 - as above
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text("utf-8", "replace"))
