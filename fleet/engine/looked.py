"""Stacks of pools that were as they should be when they were last looked at.

Comparing a thousand users' objects with ten states takes seconds and much memory. What neither the
state's file nor any object's version has changed of since needs no comparing anew. Kept on this
machine only, and of states that are kept in files: elsewhere everything is compared. Leaves out:
the comparing (`drift`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from fleet.cluster.client import Live
from fleet.cluster.owned import Key
from fleet.engine.settings import write_private
from fleet.engine.state import State
from fleet.names import PROJECT

_HEAD = 4096
_TIME = re.compile(rb'^\s*\{\s*"version": 3,.*?"manifest": \{\s*"time": "([^"]+)"', re.DOTALL)


@dataclass(kw_only=True)
class Looked:
    """What was found at the last look at an environment's stacks."""

    data: Path
    environment: str
    _known: dict[str, Any] = field(default_factory=dict[str, Any])
    _found: dict[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def at(cls, environment: str, data: Path) -> Looked:
        """Return what this machine remembers of an environment."""
        looked = cls(data=data, environment=environment)
        try:
            known = json.loads(looked._file.read_bytes())
        except (OSError, ValueError):
            known = {}
        looked._known = cast("dict[str, Any]", known) if isinstance(known, dict) else {}
        return looked

    def as_before(self, stack: str, file: Path | None, live: Mapping[Key, Live]) -> State | None:
        """Return the state of a stack that still is as it should be, without its objects.

        None where it must be compared.
        """
        before = self._known.get(stack)
        if file is None or not isinstance(before, dict):
            return None
        found = cast("dict[str, Any]", before)
        if found.get("file") != _file_mark(file) or found.get("objects") != _versions(live):
            return None
        self._found[stack] = found
        written, resources = str(found.get("written")), int(found.get("resources", 1))
        return State(objects={}, resources=resources, pending=(), written=written)

    def note(self, stack: str, file: Path | None, live: Mapping[Key, Live], state: State) -> None:
        """Remember that a stack is as it should be."""
        mark = _file_mark(file) if file is not None else None
        if mark is not None and mark.startswith(f"{state.written} "):
            found = {"file": mark, "objects": _versions(live)}
            self._found[stack] = {**found, "written": state.written, "resources": state.resources}

    def keep(self) -> None:
        """Write down what was found."""
        if self._found != self._known:
            write_private(self._file, json.dumps(self._found))

    @property
    def _file(self) -> Path:
        return self.data / "looked" / f"{self.environment}.json"


def state_path(folder: Path, stack: str) -> Path:
    """Return where a state that is kept in files is, unless it is compressed."""
    return folder / ".pulumi" / "stacks" / PROJECT / f"{stack}.json"


def _file_mark(file: Path) -> str | None:
    """Return when a state was written, and its size: half a file has the same beginning."""
    try:
        with file.open("rb") as opened:
            found = _TIME.match(opened.read(_HEAD))
        return f"{found[1].decode()} {file.stat().st_size}" if found else None
    except (OSError, UnicodeDecodeError):
        return None


def _versions(live: Mapping[Key, Live]) -> str:
    """Return what stands for all objects as they are: each has another version when it changes."""
    return hashlib.sha256("\n".join(sorted(_lines(live))).encode()).hexdigest()


def _lines(live: Mapping[Key, Live]) -> Iterator[str]:
    for key, item in live.items():
        metadata = item["metadata"]
        yield f"{key} {metadata.get('uid')} {metadata.get('resourceVersion')}"
