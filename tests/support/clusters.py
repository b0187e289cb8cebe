"""The smallest valid clusters on Alibaba Cloud, to be changed by each test; no pulumi needed.

Short because tests change the two clusters to what they need.
"""

from __future__ import annotations

from typing import Any

from fleet.alicloud.config import AckCluster, VmCluster

_SHARED: dict[str, Any] = {
    "region": "ap-southeast-1",
    "webCidrs": ["203.0.113.0/24"],
}


def vm(**changes: Any) -> VmCluster:
    """Return the smallest `vm` cluster, with `changes` to its camelCase keys."""
    base = _SHARED | {
        "kind": "vm",
        "zone": "ap-southeast-1c",
        "adminCidrs": ["203.0.113.7/32"],
    }
    return VmCluster.model_validate(base | changes)


def ack(**changes: Any) -> AckCluster:
    """Return the smallest `ack` cluster, with `changes` to its camelCase keys."""
    base = _SHARED | {
        "kind": "ack",
        "zones": ["ap-southeast-1b", "ap-southeast-1c"],
        "nodePools": [{"name": "base", "types": ["ecs.g7.xlarge"]}],
    }
    return AckCluster.model_validate(base | changes)
