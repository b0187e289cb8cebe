"""The file that holds a stack's state, where states are kept in files: mended, and kept small.

An engine that meets a full disk leaves half a file. The one of before stands beside it; what was
done since is in the cluster, where the next run finds it. Each run also leaves two whole copies,
which nobody deletes. Leaves out: what a state says (`state`).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from fleet.names import PROJECT

_KEPT = 20
_ENDINGS = (".json", ".json.gz")
# Of a state file: https://pkg.go.dev/github.com/pulumi/pulumi/sdk/v3/go/common/apitype
_VERSION = 3


def read_state_file(state: Path, stack: str) -> dict[str, Any] | None:
    """Return the deployment that a state file holds; None where only the engine can say.

    That is when there is none, or several of which one counts, or one that we do not know how to
    read, damaged ones included.
    """
    folder = state / ".pulumi" / "stacks" / PROJECT
    endings = (*_ENDINGS, ".json.zst")
    files = [file for ending in endings if (file := folder / f"{stack}{ending}").exists()]
    if len(files) != 1:
        return None
    try:
        data = files[0].read_bytes()
        text = gzip.decompress(data) if files[0].suffix == ".gz" else data
        content = cast("dict[str, Any]", json.loads(text))
    except (OSError, EOFError, ValueError):
        return None
    if content.get("version") != _VERSION:
        return None
    checkpoint = cast("dict[str, Any]", content.get("checkpoint") or {})
    return cast("dict[str, Any]", checkpoint.get("latest") or {})


def stacks_of(state: Path) -> list[str]:
    """Return the names of the project's stacks, damaged ones too."""
    folder = state / ".pulumi" / "stacks" / PROJECT
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(
        {
            file.name.removesuffix(ending)
            for file in files
            for ending in (*_ENDINGS, ".json.zst")
            if file.name.endswith(ending)
        }
    )


def read_tags(state: Path, stack: str) -> dict[str, str]:
    """Return a stack's tags; none where they cannot be read."""
    file = state / ".pulumi" / "stacks" / PROJECT / f"{stack}.pulumi-tags"
    try:
        content = cast("dict[str, Any]", json.loads(file.read_bytes()))
        return {str(key): str(value) for key, value in content["tags"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}


def mend_state_file(state: Path, stack: str) -> str | None:
    """Put a damaged state file right; return what was done, None when it is whole or not there.

    The damaged one is kept beside it.
    """
    for ending in _ENDINGS:
        file = state / ".pulumi" / "stacks" / PROJECT / f"{stack}{ending}"
        if not file.exists() or _is_whole(file):
            continue
        file.replace(file.with_name(f"{file.name}.damaged"))
        before = file.with_name(f"{file.name}.bak")
        if before.exists() and _is_whole(before):
            before.replace(file)
            return "the engine's state was damaged: the one of the run before is used"
        return "the engine's state was damaged: it is made anew from what the cluster has"
    return None


def _is_whole(file: Path) -> bool:
    data = file.read_bytes()
    try:
        text = gzip.decompress(data) if file.name.removesuffix(".bak").endswith(".gz") else data
        json.loads(text)
    except (OSError, EOFError, ValueError):
        return False
    return True


def tidy_state(state: Path, stack: str) -> None:
    """Delete copies of the state that runs before the last few have left."""
    kept = state / ".pulumi"
    for folder in (kept / "backups" / PROJECT / stack, kept / "history" / PROJECT / stack):
        runs: dict[str, list[Path]] = {}
        for file in _files(folder):
            # `t.1795689310179467714.json`, `t-1795689310179467714.history.json`: one run each.
            moment = file.name.removeprefix(stack)[1:].partition(".")[0]
            if moment.isdigit():
                runs.setdefault(moment, []).append(file)
        for moment in sorted(runs, key=int)[:-_KEPT]:
            for file in runs[moment]:
                file.unlink(missing_ok=True)


def _files(folder: Path) -> Iterable[Path]:
    return [file for file in folder.iterdir() if file.is_file()] if folder.is_dir() else []
