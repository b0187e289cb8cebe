"""What the engine's state says is in the cluster, object by object.

Owns: reading an exported deployment. Values that are secret stay sealed. Leaves out: fetching it
(`stack`) and what follows from it (`recovery`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from fleet.cluster.owned import Key
from fleet.names import LABEL_ENVIRONMENT, LABEL_POOL

# Marks a value of a state as special; https://www.pulumi.com/docs/iac/using-pulumi/state-backends
SPECIAL = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the mark, no secret
_KUBERNETES = "kubernetes:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A Kubernetes object that the state holds."""

    urn: str
    key: Key
    inputs: Mapping[str, Any]
    """What it was last made to be."""
    version: str
    """The cluster's version of it when it was last read or written."""
    manager: str
    """The name under which the engine owns its fields."""

    @property
    def pool(self) -> str:
        """The pool that it belongs to; empty where it is of none."""
        return str(self._labels().get(LABEL_POOL, ""))

    def belongs_to(self, environment: str) -> bool:
        """Return whether it carries the label by which the environment's objects are listed."""
        return self._labels().get(LABEL_ENVIRONMENT) == environment

    def _labels(self) -> Mapping[str, Any]:
        return _mapping(_mapping(self.inputs.get("metadata")).get("labels"))


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What a stack's state holds of a cluster."""

    objects: Mapping[Key, Recorded]
    resources: int
    """How many resources there are, of whatever kind."""
    pending: tuple[str, ...]
    """URNs of resources that a killed run may have made or not."""
    written: str = ""
    """When it was written, as the engine has it: another one for every run of anybody's."""
    protected: tuple[str, ...] = ()
    """Resources that the engine refuses to delete, by kind and name."""

    @property
    def empty(self) -> bool:
        """Whether nothing is deployed."""
        return self.resources == 0


NOTHING = State(objects={}, resources=0, pending=())
"""The state of a stack on which nothing was ever done."""


def read_state(deployment: Mapping[str, Any]) -> State:
    """Return what an exported deployment holds."""
    resources = cast("list[dict[str, Any]]", deployment.get("resources") or [])
    objects: dict[Key, Recorded] = {}
    for item in resources:
        record = _recorded(item)
        # One that is to be deleted after its replacement stands for nothing that should be there.
        if record is not None and not item.get("delete"):
            objects[record.key] = record
    pending = cast("list[dict[str, Any]]", deployment.get("pending_operations") or [])
    return State(
        objects=objects,
        resources=sum(1 for item in resources if item["type"] != "pulumi:pulumi:Stack"),
        written=str(_mapping(deployment.get("manifest")).get("time", "")),
        protected=tuple(_named(str(item["urn"])) for item in resources if item.get("protect")),
        pending=tuple(str(_mapping(item.get("resource")).get("urn", "")) for item in pending),
    )


def _named(urn: str) -> str:
    *_, kind, name = urn.split("::")
    return f"{kind.rsplit(':', 1)[-1]} {name}"


def _recorded(item: Mapping[str, Any]) -> Recorded | None:
    if not str(item["type"]).startswith(_KUBERNETES) or not item.get("custom"):
        return None
    inputs, outputs = _mapping(item.get("inputs")), _mapping(item.get("outputs"))
    metadata = _mapping(outputs.get("metadata")) or _mapping(inputs.get("metadata"))
    kind, name = inputs.get("kind"), metadata.get("name")
    if not isinstance(kind, str) or not isinstance(name, str):
        return None
    return Recorded(
        urn=str(item["urn"]),
        key=Key(kind, str(metadata.get("namespace", "")), name),
        inputs=inputs,
        version=str(metadata.get("resourceVersion", "")),
        manager=str(outputs.get("__fieldManager", "")),
    )


def is_secret(value: object) -> bool:
    """Return whether a value of a state is sealed."""
    return _mapping(value).get(SPECIAL) == _SECRET


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
