"""What an environment owns in a cluster: every object that carries its label.

Claims, volumes and pools' namespaces are owned too, but never deleted with it: they hold people's
work. The door's namespace holds none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, cast

from fleet.cluster.client import Cluster, Live
from fleet.cluster.kinds import KINDS
from fleet.names import LABEL_ENVIRONMENT, door_selector

RETAINED_KINDS = frozenset({"Namespace", "PersistentVolumeClaim", "PersistentVolume"})
_OWNED = (
    # The numerous ones first: they are asked for side by side.
    "deployments",
    "secrets",
    "persistentvolumeclaims",
    "ingresses",
    "services",
    "configmaps",
    "httproutes",
    "namespaces",
    "persistentvolumes",
    "resourcequotas",
    "limitranges",
    "serviceaccounts",
    "roles",
    "rolebindings",
    "networkpolicies",
    "poddisruptionbudgets",
    "cronjobs",
)
_PLURALS = {KINDS[plural].name: plural for plural in _OWNED}


class Key(NamedTuple):
    """Identity of an object in a cluster."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {place}{self.name}"

    @property
    def address(self) -> tuple[str, str, str | None]:
        """What the client asks for: kind in plural, name, namespace."""
        return _PLURALS[self.kind], self.name, self.namespace or None


def key_of(item: Mapping[str, Any]) -> Key:
    """Return an object's identity."""
    metadata = item["metadata"]
    return Key(item["kind"], metadata.get("namespace", ""), metadata["name"])


def labels_of(item: Live) -> dict[str, str]:
    """Return an object's labels."""
    return cast("dict[str, str]", item["metadata"].get("labels") or {})


def notes_of(item: Live) -> dict[str, str]:
    """Return an object's annotations."""
    return cast("dict[str, str]", item["metadata"].get("annotations") or {})


def is_retained(item: Live) -> bool:
    """Return whether an object of an environment stays in the cluster when that goes."""
    if item["kind"] == "Namespace":
        # Only of the door's it is known that it holds nobody's work.
        return not door_selector().items() <= labels_of(item).items()
    return item["kind"] in RETAINED_KINDS


def owned(
    cluster: Cluster, environment: str, kinds: Collection[str] | None = None
) -> dict[Key, Live]:
    """Return every object that an environment owns, of all kinds or of some."""
    asked = [plural for plural in _OWNED if kinds is None or KINDS[plural].name in kinds]
    objects = cluster.list_all(asked, labels={LABEL_ENVIRONMENT: environment})
    return {key_of(item): item for items in objects.values() for item in items}
