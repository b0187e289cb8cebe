"""Starting and stopping the machine by the clock, by a small function in the cloud.

Leaves out: what it does (`fleet.alicloud.function.power`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_alicloud as alicloud

from components.alicloud.ram import assume_role_document, declare_policy
from fleet.alicloud.config_vm import Schedule
from fleet.alicloud.function.power import MACHINE, REGION
from fleet.alicloud.schedule_plan import ACTIONS, HANDLER, RUNTIME, code, triggers


@dataclass(frozen=True, kw_only=True, slots=True)
class PowerScheduleArgs:
    """Which machine, when."""

    schedule: Schedule
    region: str
    instance_id: pulumi.Input[str]
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


class PowerSchedule(pulumi.ComponentResource):
    """A function with two timers and the right to start and stop this one machine."""

    function_name: pulumi.Output[str]
    """The function's name, for its log in the console."""

    def __init__(
        self, name: str, args: PowerScheduleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:schedule:PowerSchedule", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = alicloud.ram.Role(
            f"{name}-power-role",
            role_name=f"{name}-power",
            description="opencode-fleet: start and stop one machine",
            assume_role_policy_document=assume_role_document("fc.aliyuncs.com"),
            opts=child,
        )
        machine = pulumi.Output.format("acs:ecs:*:*:instance/{0}", args.instance_id)
        allowed = declare_policy(f"{name}-power", role, ACTIONS, [machine], child)
        function = alicloud.fc.V3Function(
            f"{name}-power",
            function_name=args.schedule.function_name or f"{name}-power",
            description="opencode-fleet: start and stop by the clock",
            runtime=RUNTIME,
            handler=HANDLER,
            code={"zip_file": code()},
            cpu=0.05,
            memory_size=128,
            disk_size=512,
            timeout=60,
            internet_access=True,
            role=role.arn,
            environment_variables={
                REGION: args.region,
                MACHINE: args.instance_id,
            },
            tags=args.tags,
            # Without its rights the first timer would fail.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed]),
        )
        self.function_name = function.function_name
        for what, config in triggers(args.schedule).items():
            alicloud.fc.V3Trigger(
                f"{name}-power-{what}",
                function_name=self.function_name,
                trigger_name=what,
                trigger_type="timer",
                qualifier="LATEST",
                trigger_config=config,
                opts=child,
            )
        self.register_outputs({"functionName": self.function_name})
