"""What must hold for every Kubernetes object the program declares, as functions over the record.

The rules of `policy/`, and two that only Pulumi's options tell. Each returns one line for each
offence. Leaves out: rules for cloud resources (`tests.support.policy`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType

from policy.kubernetes import RULES
from tests.support.recorded import Recorded

Rule = Callable[[Sequence[Recorded]], Iterator[str]]


def data_stays(resources: Sequence[Recorded]) -> Iterator[str]:
    """Claims, static volumes and the namespaces around them outlive every deletion."""
    for kind in ("Namespace", "PersistentVolume", "PersistentVolumeClaim"):
        for item in _kind(resources, kind):
            if item.name == "door-namespace":
                continue  # it holds nobody's work
            if not item.options.retain_on_delete:
                yield f"{item.name}: deleted with the stack"
            if item.options.delete_before_replace or item.options.replace_on_changes:
                yield f"{item.name}: replaced"


def secrets_are_marked(resources: Sequence[Recorded]) -> Iterator[str]:
    """State holds no password or key in clear."""
    for item in _kind(resources, "Secret"):
        for key in item.inputs.get("data", {}):
            if not item.is_secret(f"data.{key}"):
                yield f"{item.name}: {key} in clear"


def _kind(resources: Sequence[Recorded], kind: str) -> Iterator[Recorded]:
    objects = (item for item in resources if item.typ.startswith("kubernetes:"))
    return (item for item in objects if item.typ.split(":")[-1] == kind)


POLICIES: MappingProxyType[str, Rule] = MappingProxyType(
    {**RULES, "data_stays": data_stays, "secrets_are_marked": secrets_are_marked}
)
