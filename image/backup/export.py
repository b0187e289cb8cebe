"""A user's chats and files as one archive on standard output.

Runs in the image with Python alone, in a pod that has the user's claim: `python3 -Es export.py`.
Chats come as OpenCode's own export, from a copy of its database, so that the runtime may go on
meanwhile. Owns: what the archive holds. Leaves out: where it goes (`fleet export`).
"""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import databases
from user import KEPT, KEPT_INSIDE, OPENCODE, PARTS, RESTORING, USER, WORK, remove

_OPENCODE = "/usr/local/bin/opencode"
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CHAT_SECONDS = 120


def main() -> int:
    """Write the archive; return 0 when all of it could be read."""
    copies = WORK / "export"
    remove(copies)
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        failed = _chats(archive, copies / "home")
        for part in PARTS:
            if (USER / part).is_dir():
                failed += _files(archive, USER / part, copies / "files")
    return 1 if failed else 0


def _chats(archive: tarfile.TarFile, home: Path) -> int:
    """Add every chat as OpenCode exports it; return how many could not be."""
    if not (USER / OPENCODE).is_file():
        return 0
    copied = home / "data" / "opencode" / OPENCODE.name
    try:
        databases.copy(USER / OPENCODE, copied)
        opened = sqlite3.connect(copied)
        found = opened.execute("SELECT id FROM session ORDER BY time_created").fetchall()
        opened.close()
    except sqlite3.Error as error:
        return _tell(f"chats: {error}")
    failed = 0
    for number, (session,) in enumerate(found, 1):
        _tell(f"chat {number} of {len(found)}")
        text = _chat(str(session), home)
        if text is None:
            failed += _tell(f"chat {str(session)[:64]}: not exported")
            continue
        info = tarfile.TarInfo(f"chats/{session}.json")
        info.size, info.mtime, info.mode = len(text), int(time.time()), 0o644
        archive.addfile(info, io.BytesIO(text))
    return failed


def _chat(session: str, home: Path) -> bytes | None:
    """Return a chat as OpenCode exports it; None when it does not."""
    if not _SESSION.fullmatch(session):
        return None
    folder = home / "app"
    folder.mkdir(parents=True, exist_ok=True)
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_PURE": "1",
        "npm_config_offline": "true",
    }
    # A file: of a long chat OpenCode leaves a pipe before all of it is through.
    written = home / "chat.json"
    try:
        with written.open("wb") as file:
            subprocess.run(
                [_OPENCODE, "export", session],
                cwd=folder,
                env=variables,
                stdout=file,
                stderr=subprocess.DEVNULL,
                check=True,
                timeout=_CHAT_SECONDS,
            )
        text = written.read_bytes()
        json.loads(text)
    except (subprocess.SubprocessError, OSError, ValueError):
        return None
    return text


def _files(archive: tarfile.TarFile, top: Path, copies: Path) -> int:
    """Add a folder with everything in it, databases as copies; return how much was unreadable."""
    live = {path.relative_to(USER) for path in databases.find(top)}
    beside = {Path(f"{path}{end}") for path in live for end in databases.BESIDE}
    failed = 0
    for folder, names, files in os.walk(top):
        names[:] = [name for name in names if not name.startswith((KEPT, KEPT_INSIDE, RESTORING))]
        for name in (*names, *files):
            path = Path(folder) / name
            inside = path.relative_to(USER)
            source = path
            if inside in beside:
                continue
            try:
                if inside in live:
                    source = _copied(path, copies / "one.db")
                archive.add(source, str(inside), recursive=False)
            except OSError as error:
                failed += _tell(f"{str(inside)[:200]}: {error}")
    return failed


def _copied(path: Path, target: Path) -> Path:
    """Return a database's copy; the file itself where it is no database to SQLite after all."""
    remove(target)
    try:
        databases.copy(path, target)
    except sqlite3.Error:
        return path
    return target


def _tell(text: str) -> int:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
    return 1


if __name__ == "__main__":
    sys.exit(main())
