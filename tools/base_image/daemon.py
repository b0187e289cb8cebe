"""The Docker daemon this package talks to, through the docker command."""

import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from tools.base_image.commands import BaseImageError, run


@dataclass(frozen=True, kw_only=True, slots=True)
class Daemon:
    """A Docker daemon at `host` (as in DOCKER_HOST; empty: the docker command's default)."""

    host: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment for the docker command: this process's own, with the daemon's address."""
        chosen = {"DOCKER_HOST": self.host} if self.host else {}
        return {**os.environ, **chosen}

    def check(self) -> None:
        """Raise BaseImageError when the daemon does not answer."""
        run(
            "docker daemon",
            ["docker", "version", "--format", "{{.Server.Version}}"],
            env=self.environment,
        )

    def has(self, reference: str) -> bool:
        """Whether the daemon already holds the image."""
        argv = ["docker", "image", "inspect", "--format", "{{.Id}}", reference]
        done = subprocess.run(argv, check=False, capture_output=True, env=self.environment)
        return done.returncode == 0

    def pull(self, reference: str, *, answer_seconds: float, total_seconds: float) -> bool:
        """Pull an image; False when the registry refuses or gives no sign of life in time.

        A registry that answers has named the image within `answer_seconds`; the layers may then
        take up to `total_seconds`, because a slow line is not a missing one.
        """
        answered = threading.Event()
        with subprocess.Popen(
            ["docker", "pull", reference],  # noqa: S607
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.environment,
        ) as process:
            timers = [
                threading.Timer(answer_seconds, lambda: answered.is_set() or process.kill()),
                threading.Timer(total_seconds, process.kill),
            ]
            for timer in timers:
                timer.start()
            try:
                for _ in process.stdout or ():
                    answered.set()
                return process.wait() == 0
            finally:
                for timer in timers:
                    timer.cancel()

    def import_root(self, root: Path, reference: str, changes: tuple[str, ...]) -> None:
        """Import a folder as a one-layer image named `reference`."""
        options = [part for change in changes for part in ("--change", change)]
        with subprocess.Popen(
            ["tar", "--numeric-owner", "--sort=name", "-C", str(root), "-c", "."],  # noqa: S607
            stdout=subprocess.PIPE,
        ) as tar:
            done = subprocess.run(
                ["docker", "import", *options, "-", reference],  # noqa: S607
                check=False,
                stdin=tar.stdout,
                capture_output=True,
                text=True,
                env=self.environment,
            )
        if tar.returncode != 0 or done.returncode != 0:
            said = (done.stderr.strip() or "tar failed").splitlines()[-1]
            message = f"docker import: {said}"
            raise BaseImageError(message)
