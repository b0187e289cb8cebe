"""Roles of Resource Access Management: who may take one, and what it allows.

Leaves out: the operator's own policy (`fleet.alicloud.ram_policy`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pulumi
import pulumi_alicloud as alicloud


def assume_role_document(service: str) -> str:
    """Return the trust policy by which `service` may take a role."""
    statement = {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": [service]}}
    return json.dumps({"Statement": [statement], "Version": "1"})


def declare_policy(
    name: str,
    role: alicloud.ram.Role,
    actions: Sequence[str],
    resources: Sequence[pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
) -> alicloud.ram.RolePolicyAttachment:
    """Allow `role` exactly `actions` on `resources`."""
    policy = alicloud.ram.Policy(
        f"{name}-policy",
        policy_name=name,
        policy_document=pulumi.Output.json_dumps(
            {
                "Version": "1",
                "Statement": [
                    {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
                ],
            }
        ),
        opts=opts,
    )
    return alicloud.ram.RolePolicyAttachment(
        f"{name}-policy-of-role",
        role_name=role.role_name,
        policy_name=policy.policy_name,
        policy_type="Custom",
        opts=opts,
    )
