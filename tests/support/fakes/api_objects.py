"""What the fake API server keeps: objects in memory, changed by the API's rules.

Server-side apply with owners of fields, patches, finalizers, preconditions, selectors. Leaves out:
HTTP, credentials and faults (`api_server`).
"""

from __future__ import annotations

import copy
import itertools
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from fleet.cluster.kinds import Kind, kind_of

Live: TypeAlias = dict[str, Any]
# A comma between terms, not one between the values of one.
_TERMS = re.compile(r",(?![^(]*\))")
Key: TypeAlias = tuple[str, str, str]


class RefusedRequest(Exception):  # noqa: N818 - an answer, not a failure
    """An answer that is no."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


@dataclass(kw_only=True)
class Objects:
    """The objects of a cluster, for a test to fill and to look at."""

    objects: dict[Key, Live] = field(default_factory=dict[Key, Live])
    owners: dict[Key, dict[str, str]] = field(default_factory=dict[Key, dict[str, str]])
    on_delete: Callable[[Live], None] | None = None
    """What a controller does about an object that was deleted."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def put(self, *items: Mapping[str, Any]) -> None:
        """Place objects as they are, in the place of former ones."""
        with self.lock:
            for item in items:
                kept = copy.deepcopy(dict(item))
                number = next(self.numbers)
                kept["metadata"] = {
                    "uid": f"uid-{number}",
                    "creationTimestamp": f"2026-01-01T00:00:{number % 60:02}Z",
                    **kept["metadata"],
                    "resourceVersion": str(number),
                }
                self.objects[self._key(kept)] = kept

    def of(self, kind: str) -> list[Live]:
        """Return the objects of a kind, by its plural."""
        with self.lock:
            return [item for key, item in self.objects.items() if key[0] == kind]

    def get(self, kind: str, name: str) -> Live:
        """Return one object."""
        return next(item for item in self.of(kind) if item["metadata"]["name"] == name)

    def remove(self, kind: str, name: str) -> None:
        """Take an object away without a word."""
        with self.lock:
            for key in [key for key in self.objects if key[0] == kind and key[2] == name]:
                del self.objects[key]

    def _key(self, item: Mapping[str, Any]) -> tuple[str, str, str]:
        metadata = item["metadata"]
        return kind_of(item).plural, metadata.get("namespace", ""), metadata["name"]

    def select(self, kind: Kind, namespace: str | None, query: Mapping[str, str]) -> list[Live]:
        """Return the objects a list request asks for."""
        with self.lock:
            return [
                copy.deepcopy(item)
                for key, item in sorted(self.objects.items())
                if key[0] == kind.plural
                and namespace in (None, key[1])
                and _selected(item["metadata"].get("labels") or {}, query.get("labelSelector", ""))
                and _fields(item, query.get("fieldSelector", ""))
            ]

    def find(self, kind: Kind, namespace: str | None, name: str) -> Live:
        """Return one object, or refuse with 404."""
        with self.lock:
            found = self.objects.get((kind.plural, namespace or "", name))
        if found is None:
            raise RefusedRequest(404, "NotFound", f'{kind.plural} "{name}" not found')
        return found

    def create(self, kind: Kind, namespace: str | None, item: Live) -> Live:
        """Make an object, or refuse with 409."""
        with self.lock:
            if (kind.plural, namespace or "", item["metadata"]["name"]) in self.objects:
                name = item["metadata"]["name"]
                raise RefusedRequest(409, "AlreadyExists", f'{kind.plural} "{name}" already exists')
            self.put(item)
            return self.find(kind, namespace, item["metadata"]["name"])

    def apply(self, kind: Kind, item: Live, manager: str, *, force: bool) -> Live:
        """Apply an object server-side: fields have owners, and another's is refused with 409."""
        with self.lock:
            key = self._key(item)
            before = copy.deepcopy(self.objects.get(key, {}))
            owners = self.owners.setdefault(key, {})
            wanted = _leaves(item)
            held = _leaves(before)
            for path, value in wanted.items():
                owner = owners.get(path, manager)
                if owner != manager and held.get(path) != value and not force:
                    text = f'Apply failed with 1 conflict: conflict with "{owner}": {path}'
                    raise RefusedRequest(409, "Conflict", text)
            gone = [path for path, owner in owners.items() if owner == manager]
            for path in gone:
                if path not in wanted:
                    _drop(before, path.split("\0"))
                    del owners[path]
            owners.update(dict.fromkeys(wanted, manager))
            self.put(_merged(before, item))
            return self.find(kind, key[1], key[2])

    def patch(self, kind: Kind, namespace: str | None, name: str, change: Any) -> Live:
        """Change an object by a merge patch, or by steps."""
        with self.lock:
            found = copy.deepcopy(self.find(kind, namespace, name))
            if isinstance(change, list):
                for step in cast("list[Live]", change):
                    _step(found, step)
            else:
                found = _merged(found, change)
            self.put(found)
            return self.find(kind, namespace, name)

    def delete(self, kind: Kind, namespace: str | None, name: str, options: Live) -> Live:
        """Delete an object; one with finalizers is only marked."""
        with self.lock:
            found = self.find(kind, namespace, name)
            metadata = found["metadata"]
            wanted = cast("Live", options.get("preconditions") or {}).get("uid")
            if wanted not in (None, metadata["uid"]):
                raise RefusedRequest(409, "Conflict", "the UID in the precondition does not match")
            metadata.setdefault("deletionTimestamp", "2026-01-01T00:00:00Z")
            if not metadata.get("finalizers"):
                self.objects.pop((kind.plural, namespace or "", name))
            if self.on_delete is not None:
                self.on_delete(found)
            return copy.deepcopy(found)


def _selected(labels: Mapping[str, str], selector: str) -> bool:
    for term in filter(None, _TERMS.split(selector)):
        key, among, several = term.partition(" in (")
        if among:
            if labels.get(key) not in several.rstrip(")").split(","):
                return False
            continue
        key, sign, value = term.partition("=")
        if key not in labels or (sign and labels[key] != value):
            return False
    return True


def _fields(item: Live, selector: str) -> bool:
    for term in filter(None, selector.split(",")):
        key, _, value = term.partition("=")
        found: Any = item
        for word in key.split("."):
            found = found.get(word, {})
        if found != value:
            return False
    return True


def _leaves(item: Any, place: str = "") -> dict[str, Any]:
    if not isinstance(item, dict) or not item:
        return {place: item}
    found: dict[str, Any] = {}
    for key, value in cast("Live", item).items():
        inner = f"{place}\0{key}" if place else key
        if inner not in {"apiVersion", "kind", "metadata\0name", "metadata\0namespace"}:
            found |= _leaves(value, inner)
    return found


def _drop(item: Live, path: list[str]) -> None:
    for word in path[:-1]:
        item = item.get(word, {})
    item.pop(path[-1], None)


def _merged(before: Live, change: Live) -> Live:
    result = dict(before)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merged(result[key], cast("Live", value))
        else:
            result[key] = value
    return result


def _step(item: Live, step: Live) -> None:
    *path, last = step["path"].strip("/").replace("~1", "/").split("/")
    for word in path:
        item = item[word]
    if step["op"] == "remove":
        del item[last]
    else:
        item[last] = step["value"]
