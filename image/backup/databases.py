"""Finding SQLite databases in a user's files and copying them while somebody may write to them.

Runs in the image with Python alone. Owns: what a database is, the copy, what it holds. Leaves out:
where copies go and what becomes of them (`user`).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

_MAGIC = b"SQLite format 3\0"
# The smallest page of a database.
_LEAST = 512
_BUSY_SECONDS = 60.0
BESIDE = ("-wal", "-shm", "-journal")
"""What stands beside a database and belongs to its live file alone."""


def find(top: Path) -> Iterator[Path]:
    """Yield every database below a folder; links are not followed, and no other volume entered."""
    device = top.stat().st_dev
    for folder, names, files in os.walk(top, followlinks=False):
        here = Path(folder)
        names[:] = [name for name in names if _of_device(here / name, device)]
        for name in files:
            if _is_database(here / name):
                yield here / name


def _of_device(path: Path, device: int) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return found.st_dev == device


def _is_database(path: Path) -> bool:
    """Return whether a plain file starts as a database does."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size < _LEAST:
            return False
        # A pipe or a link in its place by now must neither hang this nor lead elsewhere.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return os.read(handle, len(_MAGIC)) == _MAGIC
    except OSError:
        return False
    finally:
        os.close(handle)


def copy(source: Path, target: Path) -> None:
    """Copy a database by SQLite's own backup, whole at one moment, whoever writes to it meanwhile.

    It is opened for reading only, so the original and its log stay as they are. Raises
    sqlite3.Error for a file that SQLite cannot read, or that somebody holds for a minute.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    address = f"file:{quote(str(source))}?mode=ro"
    live = sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)
    try:
        held = sqlite3.connect(target)
        try:
            live.backup(held)
            # A copy has no log beside it, so it must not ask for one.
            held.execute("PRAGMA journal_mode = DELETE")
        finally:
            held.close()
    finally:
        live.close()


def sound(path: Path) -> str:
    """Return "" for a database without damage, else SQLite's word for it."""
    try:
        opened = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
        try:
            row = opened.execute("PRAGMA integrity_check(1)").fetchone()
        finally:
            opened.close()
    except sqlite3.Error as error:
        return str(error)[:200]
    return "" if row == ("ok",) else str(row[0])[:200]


def rows(path: Path, tables: tuple[str, ...]) -> dict[str, int]:
    """Return how many rows those of some tables have that the database knows."""
    counted: dict[str, int] = {}
    opened = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    try:
        for table in tables:
            try:
                found = opened.execute(f'SELECT count(*) FROM "{table}"').fetchone()  # noqa: S608 - names of ours
            except sqlite3.Error:
                continue
            counted[table] = int(found[0])
    finally:
        opened.close()
    return counted


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
