"""restic on one user's repository: how it is told its secrets, and what its answers mean.

Runs in the image with Python alone. Secrets come from mounted files and go to restic in its
environment or as the name of a file, never as arguments. Leaves out: what is backed up (`user`).
"""

from __future__ import annotations

import json
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

RESTIC = "/usr/bin/restic"
SECRETS = Path("/fleet/secrets")
_HOST = "fleet"
# restic's own: some files could not be read, the snapshot is there all the same.
_SOME_UNREAD = 3
_LINE = 300
# Of a store that is away restic asks for a quarter of an hour; these move no data.
_QUICK = frozenset({"cat", "init", "snapshots", "stats", "unlock"})
_QUICK_SECONDS = 120


class FailedError(Exception):
    """Why it did not work, as one line."""


class Repository:
    """One user's repository."""

    def __init__(self, address: str, cache: Path, program: str = RESTIC) -> None:
        self._program = program
        self._variables = {
            "HOME": str(cache),
            "PATH": "/usr/bin:/bin",
            "RESTIC_REPOSITORY": address,
            "RESTIC_PASSWORD_FILE": str(SECRETS / "password"),
            "RESTIC_CACHE_DIR": str(cache / "restic"),
            "TMPDIR": str(cache),
        }
        for name, variable in (
            ("accessKeyId", "AWS_ACCESS_KEY_ID"),
            ("secretAccessKey", "AWS_SECRET_ACCESS_KEY"),
        ):
            file = SECRETS / name
            if file.exists():
                self._variables[variable] = file.read_text(encoding="utf-8").strip()

    def prepare(self) -> None:
        """Make the repository where there is none yet, and drop locks of runs that died."""
        if self._run("cat", "config").returncode == 0:
            self._must("unlock")
            return
        done = self._run("init")
        if done.returncode != 0:
            # The first question may have failed for the same reason, and says less.
            raise FailedError(_why(done))

    def backup(
        self, paths: list[str], excluded: Path, tag: str
    ) -> tuple[dict[str, Any], list[str]]:
        """Make a snapshot; return restic's summary and what it could not read."""
        done = self._run(
            "backup", "--json", "--host", _HOST, "--tag", tag, "--one-file-system",
            "--exclude-file", str(excluded), *paths,
        )  # fmt: skip
        if done.returncode not in (0, _SOME_UNREAD):
            raise FailedError(_why(done))
        summary: dict[str, Any] = {}
        for line in done.stdout.splitlines():
            if line.startswith("{") and '"message_type":"summary"' in line:
                summary = json.loads(line)
        unread = done.stderr.splitlines() if done.returncode == _SOME_UNREAD else []
        return summary, [_short(line) for line in unread if line.strip()]

    def forget(self, daily: int, weekly: int, monthly: int) -> None:
        """Drop the snapshots that the keep rules drop, and their data."""
        self._must(
            "forget", "--host", _HOST, "--group-by", "host", "--prune",
            "--keep-daily", str(daily), "--keep-weekly", str(weekly),
            "--keep-monthly", str(monthly), "--keep-last", "3",
        )  # fmt: skip

    def snapshots(self) -> list[dict[str, Any]]:
        """Return the snapshots, the oldest first; a repository that is not there has none."""
        done = self._run("snapshots", "--json", "--no-lock")
        if done.returncode != 0:
            raise FailedError(_why(done))
        found: list[dict[str, Any]] = json.loads(done.stdout) or []
        return sorted(found, key=lambda item: moment(str(item["time"])))

    def choose(self, wanted: str) -> dict[str, Any]:
        """Return the snapshot of an id, the newest one not after a time, or the latest."""
        found = self.snapshots()
        if not found:
            raise FailedError("there is no backup of this user")
        if wanted == "latest":
            return found[-1]
        if "T" in wanted:
            before = [item for item in found if moment(str(item["time"])) <= moment(wanted)]
            if not before:
                first = moment(str(found[0]["time"])).isoformat(timespec="seconds")
                raise FailedError(f"no backup is as old as {wanted}: the oldest is of {first}")
            return before[-1]
        named = [item for item in found if str(item["id"]).startswith(wanted)]
        if len(named) != 1:
            raise FailedError(f"no backup has the id {wanted}: fleet backups lists them")
        return named[0]

    def size(self, snapshot: str) -> int:
        """Return how many bytes restoring a snapshot writes."""
        done = self._must("stats", "--json", "--no-lock", "--mode", "restore-size", snapshot)
        return int(json.loads(done.stdout.splitlines()[-1])["total_size"])

    def restore(self, snapshot: str, target: Path, paths: list[str]) -> None:
        """Write a snapshot, or some paths of it, below a folder; compare all that was written."""
        included = [word for path in paths for word in ("--include", path)]
        self._must("restore", snapshot, "--target", str(target), "--verify", "--no-lock", *included)

    def _must(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = self._run(*arguments)
        if done.returncode != 0:
            raise FailedError(_why(done))
        return done

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self._program, "--quiet", *arguments] if arguments[0] != "backup"
                else [self._program, *arguments],
                env=self._variables,
                capture_output=True,
                check=False,
                encoding="utf-8",
                errors="replace",
                timeout=_QUICK_SECONDS if arguments[0] in _QUICK else None,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            said = error.stderr.decode("utf-8", "replace") if error.stderr else ""
            why = said.strip().splitlines()[-1:] or ["no word"]
            raise FailedError(
                _short(f"the store does not answer in {_QUICK_SECONDS} s: {why[0]}")
            ) from None
        except FileNotFoundError:
            raise FailedError(
                "the image has no restic: build it with this version, or use one that was"
            ) from None


def moment(text: str) -> datetime:
    """Return a time as restic or an operator writes it; Python reads fewer digits."""
    head, dot, rest = text.replace("Z", "+00:00").partition(".")
    if not dot:
        return datetime.fromisoformat(head)
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return datetime.fromisoformat(f"{head}.{digits[:6].ljust(6, '0')}{rest[len(digits) :]}")


def _why(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    told = [line for line in lines if "Fatal" in line or "rror" in line] or lines
    return _short(told[-1]) if told else f"restic ended with {done.returncode}"


def _short(line: str) -> str:
    return " ".join(line.split())[:_LINE]
