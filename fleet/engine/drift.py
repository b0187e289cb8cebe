"""How the cluster differs from the engine's state: objects that are gone, edited, or not known.

Pure: it compares a state with a listing. Fields that we do not set are free, whoever sets them.
Leaves out: mending (`recovery`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from fleet.cluster.client import Live
from fleet.cluster.owned import Key, is_retained
from fleet.engine.state import Recorded, State, is_secret

# Of a claim's spec only its size may change; what a claim was bound with stays as it is.
_CLAIM_SPEC = frozenset({"resources"})
_OWNERS = "ownerReferences"


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """An object that somebody edited."""

    record: Recorded
    patch: Mapping[str, Any]
    """JSON merge patch that puts back what can be read in the state."""
    sealed: bool
    """Whether it holds values that only the engine can read and put back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """Everything in which a cluster is not what the state says."""

    missing: tuple[Recorded, ...] = ()
    edited: tuple[Edit, ...] = ()
    unknown: tuple[Key, ...] = ()
    """Objects of ours that the state does not hold: a killed run made them, the state was lost,
    or another engine deployed the environment. What is retained is not among them."""
    leaving: tuple[Key, ...] = ()
    """Objects that are on their way out."""


def find_drift(environment: str, state: State, live: Mapping[Key, Live]) -> Drift:
    """Compare a state with the environment's objects in the cluster."""
    here = {key: item for key, item in live.items() if not _leaves(item)}
    known = {key: record for key, record in state.objects.items() if record.belongs_to(environment)}
    both = [(record, here[key]) for key, record in known.items() if key in here]
    return Drift(
        missing=tuple(record for key, record in known.items() if key not in here),
        edited=tuple(edit for record, item in both if (edit := _edit(record, item)) is not None),
        unknown=tuple(
            key
            for key, item in here.items()
            if key not in known and not is_retained(item) and not _controlled(item)
        ),
        leaving=tuple(key for key, item in live.items() if _leaves(item)),
    )


def _leaves(item: Live) -> bool:
    return "deletionTimestamp" in item["metadata"]


def _controlled(item: Live) -> bool:
    """Return whether a controller made an object, with labels copied from one of ours."""
    return bool(item["metadata"].get(_OWNERS))


def _edit(record: Recorded, item: Live) -> Edit | None:
    if item["metadata"].get("resourceVersion") == record.version:
        return None
    wanted = dict(record.inputs)
    if record.key.kind == "PersistentVolumeClaim":
        spec = cast("dict[str, Any]", wanted.get("spec") or {})
        wanted["spec"] = {key: value for key, value in spec.items() if key in _CLAIM_SPEC}
    comparison = _Comparison()
    patch = comparison.patch(wanted, item)
    sealed = comparison.sealed and _written_by_others(record, item)
    if not patch and not sealed:
        return None
    if "strategy" in cast("dict[str, Any]", patch.get("spec") or {}):
        # The API server has filled it in, and refuses it beside `Recreate`.
        patch["spec"]["strategy"].setdefault("rollingUpdate", None)
    return Edit(record=record, patch=patch, sealed=sealed)


def _written_by_others(record: Recorded, item: Live) -> bool:
    """Return whether anybody but the engine has written an object: what is sealed cannot be read.

    Who writes leaves a name in the object, and the version that we know is not the object's.
    """
    entries = cast("list[Live]", item["metadata"].get("managedFields") or [])
    return any(entry.get("manager") != record.manager for entry in entries)


@dataclass
class _Comparison:
    """Collects whether a value was met that cannot be compared."""

    sealed: bool = field(default=False)

    def patch(self, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON merge patch from `found` to `wanted`; empty when nothing differs."""
        return dict(self._differing(wanted, found))

    def _differing(
        self, wanted: Mapping[str, Any], found: Mapping[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        for key, value in wanted.items():
            there = found.get(key)
            if is_secret(value):
                self.sealed = True
            elif isinstance(value, dict) and isinstance(there, dict):
                inner = self.patch(cast("dict[str, Any]", value), cast("dict[str, Any]", there))
                if inner:
                    yield key, inner
            elif not self._same(cast("object", value), there):
                yield key, value

    def _same(self, wanted: object, found: object) -> bool:
        if isinstance(wanted, list) and isinstance(found, list):
            ours, theirs = cast("list[object]", wanted), cast("list[object]", found)
            return len(ours) == len(theirs) and all(map(self._same, ours, theirs))
        if isinstance(wanted, dict) and isinstance(found, dict):
            return not self.patch(cast("dict[str, Any]", wanted), cast("dict[str, Any]", found))
        if found is None:
            # The API server drops what is empty or false.
            return not wanted
        return wanted == found
