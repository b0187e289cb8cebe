"""What backs a user up inside the image: databases are copied whole, other files are left alone.

restic itself runs in the end-to-end tests, in the image that has it.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).parents[2] / "image" / "backup"


def python(script: str, *arguments: str) -> Any:
    """Run a script beside the programs and return the JSON it prints; nothing is left there."""
    code = f"import sys, json; sys.path.insert(0, {str(PROGRAMS)!r})\n{script}"
    command = [sys.executable, "-B", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_a_database_in_use_is_copied_whole_and_stays_as_it_was(tmp_path: Path) -> None:
    live = sqlite3.connect(tmp_path / "chats.db")
    live.execute("PRAGMA journal_mode = WAL")
    live.execute("CREATE TABLE session (id)")
    live.executemany("INSERT INTO session VALUES (?)", [(n,) for n in range(500)])
    live.commit()
    live.execute("INSERT INTO session VALUES ('of a transaction that goes on')")
    script = (
        "import databases, pathlib\n"
        "source, target = map(pathlib.Path, sys.argv[1:])\n"
        "databases.copy(source, target)\n"
        "print(json.dumps([databases.sound(target), databases.rows(target, ('session', 'none'))]))"
    )
    before = (tmp_path / "chats.db-wal").read_bytes()
    told = python(script, str(tmp_path / "chats.db"), str(tmp_path / "copy" / "chats.db"))
    assert told == ["", {"session": 500}]
    assert (tmp_path / "chats.db-wal").read_bytes() == before
    assert not (tmp_path / "copy" / "chats.db-wal").exists()
    live.close()


def test_only_databases_are_found_and_no_link_is_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "user", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    for place in (inside / "mine.db", outside / "other.db"):
        made = sqlite3.connect(place)
        made.execute("CREATE TABLE t (a)")
        made.close()
    (inside / "link.db").symlink_to(outside / "other.db")
    (inside / "folder").symlink_to(outside)
    (inside / "short.db").write_bytes(b"SQLite format 3\0")
    (inside / "text.db").write_text("no database " * 100, encoding="utf-8")
    script = (
        "import databases, pathlib\n"
        "print(json.dumps([path.name for path in databases.find(pathlib.Path(sys.argv[1]))]))"
    )
    assert python(script, str(inside)) == ["mine.db"]


def test_times_of_the_store_and_of_an_operator_compare() -> None:
    script = (
        "import repository\n"
        "early, late = map(repository.moment, sys.argv[1:])\n"
        "print(json.dumps(early < late))"
    )
    assert python(script, "2026-05-31T18:00:00.123456789Z", "2026-05-31T20:00:01+02:00")
