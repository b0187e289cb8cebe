"""One runtime container as a cluster would run it, through the docker command.

Owns: the restrictions of a pod (read-only root, no capabilities, fixed uid, throw-away /tmp and
HOME, one volume for /app and one for /data), scenes mounted as ConfigMaps are laid out, a fake
model inside the same network namespace, requests to OpenCode. No network but loopback.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCENES = ("coding", "research")
PASSWORD = "correct horse"  # noqa: S105 - of a container without network
API_KEY = "the model's key"
MODEL_PORT = 9099
_MODEL_SERVER = "/fake/model_server.py"

MANAGED_CONFIG: dict[str, object] = {
    "share": "disabled",
    "autoupdate": False,
    "enabled_providers": ["fake"],
    "model": "fake/m1",
    "small_model": "fake/m1",
    "permission": {"external_directory": "allow", "doom_loop": "deny", "read": "allow"},
    "provider": {
        "fake": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "fake",
            "options": {
                "baseURL": f"http://127.0.0.1:{MODEL_PORT}/v1",
                "apiKey": "{env:FLEET_MODEL_API_KEY}",
            },
            "models": {"m1": {"name": "m1", "limit": {"context": 128000, "output": 8000}}},
        }
    },
}


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the docker command (FLEET_DOCKER, or docker on PATH) against DOCKER_HOST's daemon."""
    program = os.environ.get("FLEET_DOCKER") or shutil.which("docker") or "docker"
    done = subprocess.run([program, *arguments], check=False, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"docker {arguments[0]} ended with {done.returncode}: {done.stderr}")
    return done


def lay_like_a_config_map(scene: str, target: Path) -> None:
    """Copy a scene's `.opencode` as the kubelet mounts it: links into a dated folder."""
    dated = target / "..2026_01_01"
    shutil.copytree(ROOT / "scenes" / scene / ".opencode", dated)
    (dated / ".gitignore").write_text("*\n", encoding="utf-8")
    (target / "..data").symlink_to(dated.name)
    for entry in dated.iterdir():
        (target / entry.name).symlink_to(f"..data/{entry.name}")


@dataclass(kw_only=True)
class Runtime:
    """A container of `image` with volumes of its own; `work` holds what is bind-mounted."""

    image: str
    work: Path
    scenes: tuple[str, ...] = SCENES
    name: str = field(default_factory=lambda: f"fleet-test-{uuid.uuid4().hex[:12]}")

    def prepare(self) -> None:
        """Write the files that a cluster would mount."""
        self.work.mkdir(parents=True, exist_ok=True)
        etc = self.work / "etc"
        etc.mkdir()
        (etc / "opencode.json").write_text(json.dumps(MANAGED_CONFIG), encoding="utf-8")
        for scene in self.scenes:
            (self.work / scene).mkdir()
            lay_like_a_config_map(scene, self.work / scene)
        docker("volume", "create", f"{self.name}-app")
        docker("volume", "create", f"{self.name}-data")

    @property
    def confinement(self) -> list[str]:
        """The options that stand for a pod's security context and volumes."""
        home = "/home/opencode:exec,mode=0770,uid=10001,gid=10001"
        return [
            "--network=none",
            "--read-only",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            "--user=10001:10001",
            "--tmpfs=/tmp:exec,mode=1777",
            f"--tmpfs={home}",
            f"--mount=type=volume,src={self.name}-app,dst=/app",
            f"--mount=type=volume,src={self.name}-data,dst=/data",
        ]

    @property
    def mounts(self) -> list[str]:
        """What only the main container mounts: managed config, scenes, the fake model's source."""
        found = [f"--volume={self.work}/etc:/etc/opencode:ro"]
        found.append(f"--volume={ROOT}/tests/support/fakes/model_server.py:{_MODEL_SERVER}:ro")
        for scene in self.scenes:
            agents = ROOT / "scenes" / scene / "AGENTS.md"
            found.append(f"--volume={agents}:/app/{scene}/AGENTS.md:ro")
            found.append(f"--volume={self.work}/{scene}:/app/{scene}/.opencode:ro")
        return found

    def shell(self, script: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a bash script in a throw-away container with the same volumes, fleet-init at hand."""
        arguments = ["run", "--rm", *self.confinement, *options, "--entrypoint=/bin/bash"]
        return docker(*arguments, self.image, "-euo", "pipefail", "-c", script, check=False)

    def init(self, scenes: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run fleet-init as the init container does."""
        named = " ".join(self.scenes) if scenes is None else scenes
        return self.shell("fleet-init", f"--env=FLEET_SCENES={named}")

    def start(self, *options: str) -> float:
        """Start the main container and return the seconds until it is healthy."""
        began = time.monotonic()
        environment = [
            f"--env=OPENCODE_SERVER_PASSWORD={PASSWORD}",
            f"--env=FLEET_MODEL_API_KEY={API_KEY}",
        ]
        arguments = ["run", "--detach", f"--name={self.name}", *self.confinement, *self.mounts]
        docker(*arguments, *environment, *options, self.image)
        self.wait()
        took = time.monotonic() - began
        port = str(MODEL_PORT)
        docker("exec", "--detach", self.name, "python3", _MODEL_SERVER, "--port", port)
        return took

    def wait(self, seconds: float = 60) -> None:
        """Wait until OpenCode is healthy; its port accepts before it answers: short polls."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.status("/global/health", timeout=2) == 200:
                return
            time.sleep(0.1)
        raise AssertionError(f"not healthy after {seconds} s: {self.logs()[-2000:]}")

    def run(self, script: str) -> str:
        """Run a bash script in the main container and return what it printed."""
        return docker("exec", self.name, "/bin/bash", "-c", script).stdout

    def curl(self, path: str, *options: str, timeout: float = 60) -> tuple[int, str, str]:
        """Ask OpenCode: (status or 0, content type, body)."""
        form = "\\n%{http_code} %{content_type}"
        command = ["curl", "-sS", "-m", str(timeout), "-w", form, *options]
        done = docker("exec", self.name, *command, f"http://127.0.0.1:4096{path}", check=False)
        if done.returncode != 0:
            return 0, "", done.stderr
        body, _, last = done.stdout.rpartition("\n")
        status, _, kind = last.partition(" ")
        return int(status), kind, body

    def status(self, path: str, *, password: str | None = PASSWORD, timeout: float = 30) -> int:
        """The status of a GET, with the right password unless told otherwise."""
        login = [] if password is None else ["-u", f"opencode:{password}"]
        return self.curl(path, *login, timeout=timeout)[0]

    def json(self, path: str, body: object = None, *, timeout: float = 60) -> Any:
        """GET, or POST `body`, and return the decoded answer: JSON with status 200."""
        options = ["-u", f"opencode:{PASSWORD}"]
        if body is not None:
            options += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        status, kind, text = self.curl(path, *options, timeout=timeout)
        assert status == 200, (status, text)
        assert kind.startswith("application/json"), kind
        return json.loads(text)

    def prompt(self, directory: str, text: str) -> tuple[float, list[dict[str, Any]]]:
        """Prompt in a new chat: the seconds it took, and the parts of all its messages."""
        began = time.monotonic()
        chat = self.json(f"/session?directory={directory}", {})["id"]
        parts = {"parts": [{"type": "text", "text": text}]}
        answer = self.json(f"/session/{chat}/message?directory={directory}", parts, timeout=120)
        took = time.monotonic() - began
        assert "error" not in answer["info"], answer["info"]
        messages = self.json(f"/session/{chat}/message?directory={directory}")
        return took, [part for message in messages for part in message["parts"]]

    def model_requests(self) -> list[dict[str, Any]]:
        """What the fake model was asked."""
        text = self.run(f"curl -fsS -m 5 http://127.0.0.1:{MODEL_PORT}/requests")
        return json.loads(text)

    def logs(self) -> str:
        """Everything the container printed."""
        done = docker("logs", self.name)
        return done.stdout + done.stderr

    def stop(self) -> int:
        """Stop with a long grace period and return the exit code."""
        docker("stop", "--time=30", self.name)
        code = docker("inspect", "--format={{.State.ExitCode}}", self.name).stdout
        return int(code)

    def remove(self) -> None:
        """Take the container and its volumes away."""
        docker("rm", "--force", self.name, check=False)
        docker("volume", "rm", f"{self.name}-app", f"{self.name}-data", check=False)
