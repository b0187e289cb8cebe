"""Starts or stops one ECS instance; runs in Function Compute, on a timer, with a role.

`payload` of the trigger is `start` or `stop`. Leaves out: when (`schedule_plan`).
"""

from __future__ import annotations

import json
import os
from typing import Any

from fleet.alicloud.rpc import Credentials, call, ecs_endpoint

_ACTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "start": ("StartInstance", {}),
    # Economical mode: CPU and memory are given back and not paid for.
    "stop": ("StopInstance", {"StoppedMode": "StopCharging"}),
}


def handler(event: bytes, context: Any) -> str:
    """Do what the trigger's payload says; a refused call fails the invocation."""
    action, more = _ACTIONS[json.loads(event)["payload"]]
    region = os.environ["FLEET_REGION"]
    role = context.credentials
    answer = call(
        os.environ.get("FLEET_ECS_ENDPOINT", ecs_endpoint(region)),
        action,
        {"RegionId": region, "InstanceId": os.environ["FLEET_INSTANCE"], **more},
        Credentials(role.access_key_id, role.access_key_secret, role.security_token),
    )
    return json.dumps(answer)
