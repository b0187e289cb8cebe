"""The way back after a run that ended badly, a lost state, a takeover, or somebody's edits.

Before a run, the cluster is made what the state says, as far as the state can be read; what is gone
is taken out of the state, so that the run makes it again. After it, what nobody knows is deleted.
Everything here can be cut off and run again. Leaves out: finding the differences (`drift`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, cast

from fleet.cluster.client import Cluster, Live
from fleet.cluster.owned import RETAINED_KINDS, Key, labels_of, owned
from fleet.engine.drift import Edit, find_drift
from fleet.engine.stack import ADOPT, OnEvent
from fleet.engine.state import NOTHING, Recorded, State
from fleet.errors import ClusterError, RefusedError
from fleet.names import FIELD_MANAGER, LABEL_USER

_PARALLEL = 8
_PATIENCE = 90.0
# More URNs than this are no shorter to list than to say "all".
_MANY = 500
_INVALID, _NOT_FOUND = 422, 404
_ENGINES = "pulumi-kubernetes-"


class Stack(Protocol):
    """What is asked of a stack here."""

    @property
    def name(self) -> str:
        """What the engine calls it."""
        ...

    @property
    def environment(self) -> str:
        """The environment that it belongs to."""
        ...

    def state(self) -> State | None:
        """Return what the state holds."""
        ...

    def refresh(self, on_event: OnEvent, targets: Sequence[str] | None = None) -> None:
        """Read objects anew into the state."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovery:
    """What a run has to know of what was found before it."""

    missing: tuple[Key, ...] = ()
    """Objects that were deleted by somebody: the run makes them again."""
    edited: tuple[Key, ...] = ()
    """Objects that somebody edited; they are put back, Secrets by the run."""
    unknown: tuple[Key, ...] = ()
    """Objects of ours that the state did not hold."""
    secrets: Mapping[Key, Live] = field(default_factory=dict[Key, Live], repr=False)
    """Users' Secrets that were edited, as they were found."""

    @property
    def put_back(self) -> list[Key]:
        """Everything that somebody had deleted or edited."""
        return list(dict.fromkeys((*self.missing, *self.edited)))

    @property
    def variables(self) -> Mapping[str, str]:
        """Settings of the run: a provider of 4.29 or newer refuses objects that exist."""
        return ADOPT if self.unknown else {}


def recover(
    stack: Stack,
    cluster: Cluster,
    state: State,
    live: Mapping[Key, Live],
    on_event: OnEvent,
) -> Recovery:
    """Put back what can be put back, and prepare the state for a run."""
    drift = find_drift(stack.environment, state, live)
    _await_gone(cluster, drift.leaving)
    remade = _put_back(cluster, drift.edited)
    release_fields(cluster, stale_managers(state, live))
    missing = [*drift.missing, *remade]
    sealed = [edit.record for edit in drift.edited if edit.sealed]
    _reread(stack, [*missing, *sealed], on_event, pending=bool(state.pending))
    return Recovery(
        missing=tuple(record.key for record in missing),
        edited=tuple(edit.record.key for edit in drift.edited),
        unknown=drift.unknown,
        secrets={record.key: live[record.key] for record in sealed if record.key.kind == "Secret"},
    )


def _await_gone(cluster: Cluster, leaving: Iterable[Key]) -> None:
    """Wait for objects on their way out: one that is written to now is gone a moment later."""
    deadline = time.monotonic() + _PATIENCE
    for key in leaving:
        if key.kind in ("PersistentVolumeClaim", "PersistentVolume"):
            continue  # held by a running pod: nothing that waiting would end
        while (found := cluster.get(*key.address)) and "deletionTimestamp" in found["metadata"]:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{key}: it is being deleted, and still there after {_PATIENCE:.0f} s: look"
                    " for its finalizers, and run this again when it is gone"
                )
            time.sleep(0.5)


def _put_back(cluster: Cluster, edits: Iterable[Edit]) -> list[Recorded]:
    """Undo edits; return objects that had to be deleted because the edit cannot be undone."""
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return [record for record in pool.map(partial(_undo, cluster), edits) if record is not None]


def _undo(cluster: Cluster, edit: Edit) -> Recorded | None:
    key = edit.record.key
    if not edit.patch:
        return None
    kind, name, namespace = key.address
    try:
        cluster.patch(kind, name, edit.patch, namespace)
    except RefusedError as refusal:
        if refusal.status == _NOT_FOUND:
            return edit.record
        # A field that cannot change on a living object: it was made anew with another value.
        if refusal.status != _INVALID or key.kind in RETAINED_KINDS:
            raise
        cluster.delete(kind, name, namespace, wait=_PATIENCE)
        return edit.record
    return None


def _reread(stack: Stack, records: Iterable[Recorded], on_event: OnEvent, *, pending: bool) -> None:
    """Read objects anew into the state; what is pending from a killed run is forgotten there."""
    urns = sorted({record.urn for record in records})
    if len(urns) > _MANY:
        stack.refresh(on_event)
    elif urns or pending:
        # Without any target the engine would read everything.
        stack.refresh(on_event, urns or [f"urn:pulumi:{stack.name}::none::none:none:None::none"])


def delete_unknown(stack: Stack, cluster: Cluster, unknown: Iterable[Key]) -> list[Key]:
    """Delete those of some objects that the state does not know now either; return which."""
    keys = list(unknown)
    if not keys:
        return []
    state = stack.state() or NOTHING
    live = owned(cluster, stack.environment)
    deleted = [key for key in keys if key not in state.objects and key in live]
    for key in deleted:
        kind, name, namespace = key.address
        cluster.delete(kind, name, namespace, uid=live[key]["metadata"]["uid"])
    release_fields(cluster, stale_managers(state, live))
    return deleted


def changed_secrets(cluster: Cluster, before: Mapping[Key, Live]) -> set[str]:
    """Return the users (as their label has them) whose Secret holds other data than before."""
    return {
        labels_of(old)[LABEL_USER]
        for key, old in before.items()
        if LABEL_USER in labels_of(old) and _data(cluster.get(*key.address)) != _data(old)
    }


def _data(secret: Live | None) -> object:
    return secret.get("data") if secret is not None else None


def stale_managers(state: State, live: Mapping[Key, Live]) -> dict[Key, tuple[str, list[str]]]:
    """Return objects whose fields are still owned by an engine of before, with its names there.

    What such a one owns alone would outlive its removal from the program for ever.
    """
    objects: dict[Key, tuple[str, list[str]]] = {}
    for key, record in state.objects.items():
        item = live.get(key)
        if item is None or not record.manager or key.kind in RETAINED_KINDS:
            continue
        entries = cast("list[Live]", item["metadata"].get("managedFields") or [])
        names = [
            str(entry["manager"])
            for entry in entries
            if entry.get("operation") == "Apply" and not entry.get("subresource")
        ]
        stale = [name for name in names if _is_ours(name) and name != record.manager]
        if stale and record.manager in names:
            objects[key] = (item["apiVersion"], stale)
    return objects


def _is_ours(manager: str) -> bool:
    return manager == FIELD_MANAGER or manager.startswith(_ENGINES)


def release_fields(cluster: Cluster, stale: Mapping[Key, tuple[str, list[str]]]) -> None:
    """Take from engines of before what they own; a field that only they own goes."""
    release: list[Callable[[], Live]] = []
    for key, (version, managers) in stale.items():
        metadata = {"name": key.name, **({"namespace": key.namespace} if key.namespace else {})}
        empty = {"apiVersion": version, "kind": key.kind, "metadata": metadata}
        release += [partial(cluster.apply, empty, manager=manager) for manager in managers]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        for done in [pool.submit(call) for call in release]:
            done.result()
