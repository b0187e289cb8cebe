"""What a run changes of that which users share, as short phrases: pools, and what is in none.

Owns: the words for the engine's operations on such objects. Leaves out: users (`changes`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from fleet.engine.events import Step, part, place_of
from fleet.errors import shown
from fleet.names import DOOR

GONE = frozenset({"delete", "delete-replaced", "discard-replaced"})
MADE = frozenset({"create", "create-replacement", "import", "import-replacement"})
REPLACED = frozenset({"replace", "create-replacement", "delete-replaced"})
_PROVIDER = "pulumi:providers:"
_POOL_WORDS = {
    "NetworkPolicy": "network rules",
    "ResourceQuota": "quota",
    "LimitRange": "limits of other pods",
    "ServiceAccount": "agent-control",
    "PersistentVolumeClaim": "shared claim",
    "PersistentVolume": "shared volume",
}
_RIGHTS = frozenset({"Role", "RoleBinding"})
_DOOR_WORDS = {
    "Ingress": "route",
    "HTTPRoute": "route",
    "NetworkPolicy": "door's network rules",
}
_CONTENT_NAME = re.compile(r"(?P<kind>scene|managed)-(?P<name>.+)-[0-9a-f]{10}")


def pool_lines(steps: Sequence[Step]) -> Iterator[str]:
    """Yield what happens to the objects of one pool."""
    for step in steps:
        if step.kind == "Namespace" and step.op in {"create", "delete"}:
            if step.op == "create":
                yield "created"
            elif not step.retained:
                yield f"namespace {place_of(step.inputs)} AND ALL IN IT are deleted"
            else:
                yield "removed"
            return
    ops: dict[str, set[str]] = {}
    for step in steps:
        if step.kind == "ResourceQuota" and step.op == "update":
            yield from _quota_lines(step)
        elif not (step.op in GONE and step.retained):
            ops.setdefault(_shared_word(step), set()).add(step.op)
    for word, happened in sorted(ops.items()):
        yield f"{word} {verb(happened)}"


def _shared_word(step: Step) -> str:
    name = str(part(step.inputs, "metadata").get("name", step.resource))
    content = _CONTENT_NAME.fullmatch(name) if step.kind == "ConfigMap" else None
    if content is not None:
        scene = content["kind"] == "scene"
        return f"scene {content['name']}" if scene else "managed configuration"
    if step.kind in _RIGHTS:
        return "door's rights" if name == DOOR else "agent-control"
    return _POOL_WORDS.get(step.kind, f"{step.kind} {name}")


def _quota_lines(step: Step) -> Iterator[str]:
    was, will = part(step.old or {}, "spec", "hard"), part(step.new or {}, "spec", "hard")
    changed = [key for key in sorted({*was, *will}) if was.get(key) != will.get(key)]
    for key in changed:
        yield f"quota {key} {shown(was.get(key, 'none'))} → {shown(will.get(key, 'none'))}"
    if not changed:
        yield "quota's labels changed"


def door_lines(steps: Sequence[Step]) -> Iterator[str]:
    """Yield what happens to an environment's door: its routes, its network rules, all else."""
    ops: dict[str, set[str]] = {}
    restarts = False
    for step in steps:
        if step.kind == "Deployment" and step.op == "update":
            was, will = part(step.old or {}, "spec"), part(step.new or {}, "spec")
            restarts = was.get("template") != will.get("template")
        word = _DOOR_WORDS.get(step.kind, "door")
        ops.setdefault(word, set()).add("update" if step.kind == "ConfigMap" else step.op)
    made = any(step.kind == "Namespace" and step.op in MADE for step in steps)
    if made:
        yield "door added"
        return
    for word, happened in sorted(ops.items()):
        restarted = " and restarts, one pod after the other" if word == "door" and restarts else ""
        yield f"{word} {verb(happened)}{restarted}"


def verb(ops: Collection[str]) -> str:
    """Return what several operations on one thing come to."""
    if all(op in MADE for op in ops):
        return "added"
    return "removed" if all(op in GONE for op in ops) else "changed"


def environment_line(step: Step) -> str:
    """Return what happens to a resource of no pool; empty when it is not worth a line."""
    if not step.type.startswith(_PROVIDER):
        return f"{step.kind} {shown(step.resource)} {verb({step.op})}"
    if step.op in REPLACED:
        return "another cluster: every object is made anew"
    return "connection to the cluster changed" if step.op == "update" else ""
