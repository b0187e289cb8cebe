"""The recorded resources in the form scanners read: a Terraform plan.

Owns: names of kinds and arguments on the other side. Leaves out: running a scanner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from tests.support.recorded import Recorded

# Only kinds that scanners have rules for need an entry; the others keep their own names.
_KINDS = MappingProxyType(
    {
        "EcsDisk": "alicloud_disk",
        "SecurityGroupRule": "alicloud_security_group_rule",
        "SecurityGroup": "alicloud_security_group",
        "Instance": "alicloud_instance",
        "ManagedKubernetes": "alicloud_cs_kubernetes",
        "NodePool": "alicloud_cs_kubernetes_node_pool",
        "FileSystem": "alicloud_nas_file_system",
        "Policy": "alicloud_ram_policy",
        "Role": "alicloud_ram_role",
    }
)


def terraform_plan(resources: Sequence[Recorded]) -> dict[str, Any]:
    """Return a plan that creates every Alibaba Cloud resource of the record."""
    planned = [_planned(r) for r in resources if r.package == "alicloud" and not r.is_provider]
    return {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": planned}},
        "resource_changes": [
            {**one, "change": {"actions": ["create"], "before": None, "after": one["values"]}}
            for one in planned
        ],
        "configuration": {"root_module": {}},
    }


def _planned(resource: Recorded) -> dict[str, Any]:
    kind = resource.typ.rsplit(":", 1)[-1]
    name = re.sub(r"[^a-zA-Z0-9_-]", "-", resource.name)
    typ = _KINDS.get(kind, f"alicloud_{_snake(kind)}")
    return {
        "address": f"{typ}.{name}",
        "mode": "managed",
        "type": typ,
        "name": name,
        "provider_name": "registry.terraform.io/aliyun/alicloud",
        "values": _values(resource.inputs),
    }


def _values(inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        known = cast("Mapping[str, Any]", inputs)
        return {_snake(key): _values(value) for key, value in known.items()}
    if isinstance(inputs, list):
        return [_values(item) for item in cast("list[Any]", inputs)]
    return inputs


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
