"""One user's backup, restore or drill, in a pod that has the user's claim and their secrets.

Runs in the image with Python alone: `python3 -Es user.py VERB`, everything else by environment
variables (`settings` below). What came of it is one JSON object, the pod's termination message.
Owns: what belongs into a snapshot and how it is put back. Leaves out: restic (`repository`), the
databases themselves (`databases`), whose turn it is (`pool`).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import databases
import repository
from repository import FailedError, Repository

USER = Path(os.environ.get("FLEET_USER_FOLDER", "/user"))
WORK = Path(os.environ.get("FLEET_WORK_FOLDER", "/work"))
MESSAGE = Path(os.environ.get("FLEET_MESSAGE", "/dev/termination-log"))
PARTS = ("app", "data")
RESTORING = ".fleet-restoring"
KEPT = "kept-"
# In /app where that is a volume of its own: a folder can only be renamed within one.
KEPT_INSIDE = ".fleet-kept-"
# The kubelet cuts a message at 4096 bytes.
_MESSAGE = 3500
_WARNINGS = 8
_SPARE = 16 * 2**20
OPENCODE = Path("data/opencode/opencode.db")
_CHATS = ("session", "message")


def main(arguments: list[str]) -> int:
    """Do what is asked; return 0 when it is done."""
    verbs: dict[str, Callable[[], dict[str, Any]]] = {
        "backup": backup,
        "snapshots": snapshots,
        "restore": restore,
        "drill": drill,
        "kept": kept,
        "drop": drop,
        "hold": hold,
    }
    begun = time.monotonic()
    try:
        outcome = {"ok": True, **verbs[arguments[0]]()}
    except FailedError as error:
        outcome = {"ok": False, "error": str(error)}
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        outcome = {"ok": False, "error": f"{place}{error.strerror or error}"[:300]}
    outcome["seconds"] = round(time.monotonic() - begun, 1)
    tell(outcome)
    return 0 if outcome["ok"] else 1


def tell(outcome: dict[str, Any]) -> None:
    """Leave what came of it where the pod's status shows it, and in its log."""
    text = json.dumps(outcome)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    if len(text) > _MESSAGE:
        # Snapshots of years: the newest are what anybody asks for.
        outcome = {**outcome, "warnings": [], "snapshots": outcome.get("snapshots", [])[-20:]}
        text = json.dumps(outcome)
    MESSAGE.write_text(text[:4000], encoding="utf-8")


def setting(name: str) -> str:
    """Return a setting; all of them come from the pod's environment."""
    return os.environ[f"FLEET_{name}"]


def _repository() -> Repository:
    cache = WORK / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    return Repository(setting("REPOSITORY"), cache)


# -- backup


def backup() -> dict[str, Any]:
    """Make a snapshot of /app and /data, and drop the ones that the keep rules drop."""
    store = _repository()
    store.prepare()
    excluded = [
        str(USER / f"{KEPT}*"),
        str(USER / RESTORING),
        str(USER / "app" / f"{KEPT_INSIDE}*"),
    ]
    record, warnings = _copy_databases(excluded)
    (WORK / "databases").mkdir(exist_ok=True)
    (WORK / "databases" / "record.json").write_text(json.dumps(record), encoding="utf-8")
    listed = WORK / "excluded"
    listed.write_text("".join(f"{path}\n" for path in excluded), encoding="utf-8")
    paths = [str(USER / part) for part in PARTS if (USER / part).is_dir()]
    summary, unread = store.backup([*paths, str(WORK / "databases")], listed, setting("TAG"))
    daily, weekly, monthly = (int(word) for word in setting("KEEP").split())
    store.forget(daily, weekly, monthly)
    return {
        "snapshot": str(summary.get("snapshot_id", ""))[:8],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": int(summary.get("total_files_processed", 0)),
        "bytes": int(summary.get("total_bytes_processed", 0)),
        "added": int(summary.get("data_added", 0)),
        "databases": len(record["databases"]),
        "warnings": [*warnings, *unread][:_WARNINGS],
    }


def _copy_databases(excluded: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Copy every database aside; the live files and what stands beside them are excluded."""
    record: dict[str, Any] = {"version": 1, "databases": {}}
    warnings: list[str] = []
    for part in PARTS:
        for source in databases.find(USER / part) if (USER / part).is_dir() else ():
            name = source.relative_to(USER)
            copied = WORK / "databases" / name
            try:
                databases.copy(source, copied)
            except databases.sqlite3.Error as error:
                copied.unlink(missing_ok=True)
                if name == OPENCODE:
                    raise FailedError(f"the chats cannot be read: {error}") from None
                # No database to SQLite, whatever it starts with: a file like any other.
                warnings.append(f"{name}: {error}: kept as a plain file"[:200])
                continue
            record["databases"][str(name)] = {
                "sha256": databases.digest(copied),
                "rows": databases.rows(copied, _CHATS if name == OPENCODE else ()),
            }
            excluded += [_literal(f"{source}{end}") for end in ("", *databases.BESIDE)]
    return record, warnings


def _literal(path: str) -> str:
    """Return a pattern of restic's that means this very path."""
    quoted = "".join(f"\\{char}" if char in "\\*?[" else char for char in path)
    return quoted.replace("\n", "?").replace("$", "$$")


def snapshots() -> dict[str, Any]:
    """List the snapshots, and what earlier restores kept aside."""
    found = [
        {
            "id": str(item["id"])[:8],
            "at": _second(str(item["time"])),
            "tags": item.get("tags") or [],
        }
        for item in _repository().snapshots()
    ]
    return {"snapshots": found}


def _second(text: str) -> str:
    return repository.moment(text).astimezone(UTC).isoformat(timespec="seconds")


# -- restore


def restore() -> dict[str, Any]:
    """Put a snapshot in the place of what is there, which is kept aside; or some paths of it."""
    wanted: dict[str, Any] = json.loads(setting("RESTORE"))
    store = _repository()
    chosen = store.choose(str(wanted["at"]))
    aside = f"{KEPT}{wanted['name']}"
    into = USER / RESTORING
    # Left by a restore that was killed; it was never anybody's work.
    remove(into)
    snapshot, paths = str(chosen["id"]), [str(path) for path in wanted["paths"]]
    _need_room(store.size(snapshot))
    try:
        moved = _put(_fetch(store, snapshot, into, paths), paths, aside)
    finally:
        remove(into)
    return {"snapshot": snapshot[:8], "at": _second(str(chosen["time"])), "kept": moved}


def _need_room(size: int) -> None:
    free = shutil.disk_usage(USER).free
    if size + _SPARE > free:
        raise FailedError(
            f"restoring needs {size / 2**30:.1f} GiB beside what is there, {free / 2**30:.1f} GiB"
            " are free: give --into CLAIM, or enlarge the volume"
        )


def _fetch(store: Repository, snapshot: str, into: Path, paths: list[str]) -> Path:
    """Restore below `into`, with the databases' copies in their places; return the user's part."""
    restored = into / USER.relative_to("/")
    included = [str(top / path) for top in (USER, WORK / "databases") for path in paths]
    store.restore(snapshot, into, included)
    copies = into / WORK.relative_to("/") / "databases"
    for copied in [item for item in copies.rglob("*") if item.is_file()]:
        name = copied.relative_to(copies)
        if name.parts[0] in PARTS:
            place = restored / name
            place.parent.mkdir(parents=True, exist_ok=True)
            copied.replace(place)
    missing = [path for path in paths if not os.path.lexists(restored / path)]
    if missing:
        raise FailedError(f"the backup has no /{missing[0][:200]}")
    return restored


def _put(source: Path, paths: list[str], aside: str) -> str:
    """Move what was restored into its place; return where what stood there is now, if anything."""
    kept = False
    for name in paths or PARTS:
        here, new = USER / name, source / name
        if here.is_mount():
            kept = _swap_inside(here, new, aside) or kept
            continue
        if os.path.lexists(here):
            there = USER / aside / name
            there.parent.mkdir(parents=True, exist_ok=True)
            here.rename(there)
            kept = True
        if os.path.lexists(new):
            here.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(new, here)
    return aside if kept else ""


def _swap_inside(here: Path, new: Path, aside: str) -> bool:
    """Do it for a folder that is a volume of its own, which cannot be renamed."""
    there = here / f".fleet-{aside}"
    old = [item for item in here.iterdir() if not item.name.startswith(KEPT_INSIDE)]
    if old:
        there.mkdir()
    for item in old:
        item.rename(there / item.name)
    for item in new.iterdir() if new.is_dir() else ():
        shutil.move(item, here / item.name)
    return bool(old)


def remove(path: Path) -> None:
    """Delete a file or a folder, also one made read-only, as Go's module cache is."""
    if path.is_dir() and not path.is_symlink():
        for folder, _, _ in os.walk(path):
            # The kubelet's own folders are root's, and open to everybody.
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                Path(folder).chmod(0o700)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def kept() -> dict[str, Any]:
    """List what restores kept aside."""
    found = [item.name for item in _kept_folders()]
    return {"kept": sorted(set(found))[:50]}


def drop() -> dict[str, Any]:
    """Delete what a restore kept aside."""
    name = setting("DROP")
    found = [item for item in _kept_folders() if item.name in (name, f".fleet-{name}")]
    if not found:
        raise FailedError(f"nothing is kept under the name {name}")
    for item in found:
        remove(item)
    return {"dropped": name}


def _kept_folders() -> list[Path]:
    inside = (USER / "app").glob(f"{KEPT_INSIDE}*") if (USER / "app").is_mount() else ()
    return [*USER.glob(f"{KEPT}*"), *inside]


# -- drill


def drill() -> dict[str, Any]:
    """Restore the latest snapshot into an empty volume and compare it with its own record."""
    store = _repository()
    chosen = store.choose("latest")
    for item in USER.iterdir():
        if item.name != "lost+found":
            remove(item)
    into = USER / RESTORING
    _need_room(store.size(str(chosen["id"])))
    # restic compares every file that it wrote with the repository.
    store.restore(str(chosen["id"]), into, [])
    copies = into / WORK.relative_to("/") / "databases"
    record: dict[str, Any] = json.loads((copies / "record.json").read_text(encoding="utf-8"))
    for name, told in record["databases"].items():
        copied = copies / name
        if not copied.is_file() or databases.digest(copied) != told["sha256"]:
            raise FailedError(f"{name}: came back with another content than was backed up")
        if damage := databases.sound(copied):
            raise FailedError(f"{name}: {damage}")
        if databases.rows(copied, tuple(told["rows"])) != told["rows"]:
            raise FailedError(f"{name}: came back with another number of chats")
    count = sum(1 for item in into.rglob("*") if item.is_file() or item.is_symlink())
    return {
        "snapshot": str(chosen["id"])[:8],
        "at": _second(str(chosen["time"])),
        "files": count,
        "databases": len(record["databases"]),
    }


def hold() -> dict[str, Any]:
    """Stay for as long as the operator's command needs the volume; it deletes the pod then."""
    time.sleep(float(setting("HOLD")))
    return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
