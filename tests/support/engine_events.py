"""Events that the real engine printed, recorded one file an edit, and made-up ones.

Recorded with CLI 3.215 and provider 4.25 on three users: alice and bob.b@example.com are active
with the scene `coding`, carol is suspended. Trimmed: probes and outputs are left out, and of a file
only what its edit touched. `[secret]` is how the engine itself writes a secret.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from pulumi.automation.events import EngineEvent

from fleet.engine.events import Phase, Step, step_of

_FOLDER = Path(__file__).parent / "corpus" / "engine_events"


def recorded(name: str) -> list[EngineEvent]:
    """Return the events of a recording."""
    text = (_FOLDER / f"{name}.jsonl").read_text(encoding="utf-8")
    return [_event(json.loads(line)) for line in text.splitlines()]


def _event(data: dict[str, Any]) -> EngineEvent:
    return EngineEvent.from_json(data)  # pyright: ignore[reportUnknownMemberType] - untyped dict


def recordings() -> list[str]:
    """Return the names of all recordings."""
    return sorted(file.stem for file in _FOLDER.glob("*.jsonl"))


def steps(name: str, phase: Phase = Phase.BEGUN) -> list[Step]:
    """Return the steps of one phase of a recording."""
    found = (step_of(event) for event in recorded(name))
    return [step for step in found if step is not None and step.phase is phase]


def recorded_inputs(name: str, resource: str) -> dict[str, Any]:
    """Return a copy of what a recording says a resource is to be."""
    (found,) = [step for step in steps(name) if step.resource == resource and step.new]
    return copy.deepcopy(dict(found.inputs))


def step(op: str, old: dict[str, Any] | None, new: dict[str, Any] | None, **changes: Any) -> Step:
    """Return a made-up step on an object."""
    given = new or old or {}
    version, kind = str(given["apiVersion"]), str(given["kind"])
    token = f"kubernetes:{version if '/' in version else 'core/' + version}:{kind}"
    token = str(changes.get("type", token))
    urn = f"urn:pulumi:w::opencode-fleet::{token}::{given['metadata']['name']}-{kind.lower()}"
    values: dict[str, Any] = {
        "phase": Phase.BEGUN,
        "op": op,
        "urn": urn,
        "type": token,
        "old": old,
        "new": new,
        "retained": False,
        "keys": (),
        "paths": (),
        "custom": True,
        **changes,
    }
    return Step(**values)
