"""An environment of a test: a stack file and a state of its own, driven through `fleet up`.

Owns: writing the stack file, running the command, finding the environment's pods. Leaves out:
cleaning up (`sweeping`).
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.harness.kube import Kube, Live, is_ready, labels
from tests.e2e.harness.waiting import until
from tests.e2e.harness.workspace import Workspace

ROOT = Path(__file__).parents[3]
PREFIX = "opencode-fleet:"
USER_LABEL = "opencode-fleet/user"
# Small enough for twenty of them on two cores; OpenCode itself needs the limits as they are.
SMALL: dict[str, Any] = {
    "cpu": {"request": "20m", "limit": "2"},
    "memory": {"request": "64Mi", "limit": "1Gi"},
    "storage": "1Gi",
}


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a run of the command printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The result of a run with --json."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """Everything a person reads."""
        return self.out + self.err


def changes_of(outcome: Any) -> list[str]:
    """Return what a run of `fleet up --json` did, in short; empty when there was nothing to do."""
    changes = outcome["changes"]
    mended = ("putBack", "takenOver", "deleted", "restarted", "purged")
    return [
        *(f"{item['user']} {item['action']}" for item in changes["users"]),
        *(f"pool {item['pool']}" for item in changes["pools"]),
        *(str(item) for item in changes["environment"]),
        *(f"{key} {item}" for key in mended for item in outcome[key]),
    ]


@dataclass(kw_only=True)
class Environment:
    """A stack file and the cluster it is brought up in."""

    name: str
    folder: Path
    kube: Kube
    image: str
    door: tuple[str, int]
    config: dict[str, Any]
    environ: dict[str, str] = field(default_factory=dict[str, str])
    top: dict[str, Any] = field(default_factory=dict[str, Any])
    passwords: dict[str, str] = field(default_factory=dict[str, str])
    """Passwords that another program made, by user id."""

    @property
    def file(self) -> Path:
        """The stack file."""
        return self.folder / f"Pulumi.{self.name}.yaml"

    @property
    def front(self) -> str:
        """The URL of the front page."""
        access = self.config["access"]
        return f"http://{access['domain']}:{access['port']}"

    @property
    def door_namespace(self) -> str:
        """The namespace of the door."""
        return f"opencode-{self.name}"

    @property
    def namespace(self) -> str:
        """The namespace of the pool `default`."""
        return f"opencode-{self.name}--default"

    def save(self) -> None:
        """Write the stack file as `config` says."""
        keys = {PREFIX + key: value for key, value in self.config.items()}
        # Through JSON, as a value that stands twice would become a YAML alias, which is refused.
        content = json.loads(json.dumps({**self.top, "config": keys}))
        text = yaml.safe_dump(content, sort_keys=False)
        self.file.write_text(text, encoding="utf-8")

    def reread(self) -> None:
        """Take over what a command wrote into the stack file."""
        content = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        keys = content.pop("config")
        self.config = {key.removeprefix(PREFIX): value for key, value in keys.items()}
        self.top = content

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a fleet command on this environment."""
        program = Path(sys.executable).with_name("fleet")
        return [str(program), *arguments, "-s", str(self.file)]

    def fleet(
        self,
        *arguments: str,
        stdin: str | None = None,
        environ: Mapping[str, str] | None = None,
        timeout: float = 400,
    ) -> Done:
        """Run a fleet command as an operator would; the exit code is the caller's business."""
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=timeout,
            check=False,
            env={**os.environ, **self.environ, **(environ or {})},
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    def up(self, *arguments: str, image: str | None = None) -> Any:
        """Write the stack file and bring it up; it must work. Returns the JSON outcome."""
        done = self.try_up("--json", *arguments, image=image)
        assert done.code == 0, done.said
        return done.json

    def try_up(self, *arguments: str, image: str | None = None) -> Done:
        """Write the stack file and bring it up; the exit code is the caller's business."""
        self.save()
        return self.fleet("up", "--yes", "--image", image or self.image, *arguments)

    def destroy(self) -> None:
        """Take the environment away; claims and namespaces stay."""
        done = self.fleet("destroy", "--yes")
        assert done.code == 0, done.said

    def user(self, user_id: str) -> dict[str, Any]:
        """Return a user's entry of the roster, to be edited."""
        return next(item for item in self.config["users"] if item["id"] == user_id)

    def workspace(self, user_id: str) -> Workspace:
        """Return a user's workspace, with the password as the operator gets it."""
        password = self.passwords.get(user_id) or self._password(user_id)
        access = self.config["access"]
        return Workspace(
            user=user_id,
            host=f"{user_id}.{access['domain']}:{access['port']}",
            door=self.door,
            password=password,
        )

    def _password(self, user_id: str) -> str:
        done = self.fleet("password", user_id)
        assert done.code == 0, done.said
        return done.out.strip()

    def password_in_cluster(self, user_id: str) -> str:
        """Return the password in a user's Secret, whoever wrote it."""
        secret = self.kube.one("secret", f"oc-{user_id}", self.namespace)
        assert secret is not None
        return base64.b64decode(secret["data"]["password"]).decode()

    def pods(self) -> dict[str, Live]:
        """Return the running pod of every user; two of one user are never right."""
        found: dict[str, Live] = {}
        selector = f"--selector=opencode-fleet/environment={self.name},{USER_LABEL}"
        for pod in self.kube.list("pods", "--all-namespaces", selector):
            if "deletionTimestamp" in pod["metadata"]:
                continue
            user = labels(pod)[USER_LABEL]
            assert user not in found, f"two pods of {user}"
            found[user] = pod
        return found

    def pod(self, user_id: str) -> Live:
        """Return a user's pod."""
        pods = self.pods()
        assert user_id in pods, f"no pod of {user_id}"
        return pods[user_id]

    def uids(self) -> dict[str, str]:
        """Return the pod UID of every user."""
        return {user: pod["metadata"]["uid"] for user, pod in self.pods().items()}

    def ready(self, user_id: str, seconds: float = 90, but: str | None = None) -> Live:
        """Wait for a user's ready pod (another than the one with UID `but`) and return it."""

        def check() -> Live | None:
            pod = self.pods().get(user_id)
            if pod is None or pod["metadata"]["uid"] == but:
                return None
            return pod if is_ready(pod) else None

        return until(f"{self.name}: {user_id} is ready", check, seconds)

    def inside(
        self, user_id: str, *command: str, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a user's runtime."""
        name = self.pod(user_id)["metadata"]["name"]
        return self.kube.exec(self.namespace, name, *command, stdin=stdin, timeout=timeout)

    def copy_scenes(self) -> None:
        """Copy the example scenes beside the stack file, so that tests may change them."""
        shutil.copytree(ROOT / "scenes", self.folder / "scenes", dirs_exist_ok=True)
