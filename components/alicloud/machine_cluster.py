"""The cloud side of a `vm` cluster: network, one machine, the way into its k3s, names, schedule.

Owns: the order of its parts, and the machine that is there already. Leaves out: the parts
themselves, everything inside the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_alicloud as alicloud
from pulumi_alicloud.ecs import GetInstancesResult

from components.alicloud.cluster import (
    CloudArgs,
    CloudCluster,
    all_tags,
    declare_files,
    declare_records,
    declare_repository,
    domain_of,
    renamed,
)
from components.alicloud.network import EntranceArgs, Network, NetworkArgs
from components.alicloud.schedule import PowerSchedule, PowerScheduleArgs
from components.alicloud.vm import DataVolume, DiskArgs, Machine, MachineArgs
from components.alicloud.vm_access import AccessArgs, ClusterAccess
from fleet.alicloud.cloud_init import access_command, user_data
from fleet.alicloud.config import VmCluster
from fleet.alicloud.machine_plan import MachineFacts, bootstrap_of
from fleet.alicloud.machine_settings import Bootstrap
from fleet.alicloud.network_plan import openings, switches
from fleet.errors import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class _Host:
    """The machine, made here or there before."""

    instance_id: pulumi.Output[str]
    identifier: pulumi.Output[str]
    address: pulumi.Output[str]
    facts: pulumi.Output[MachineFacts]
    login_key: pulumi.Output[str | None]
    settled: Sequence[pulumi.Resource] = ()
    reports: Mapping[str, pulumi.Output[str]] = field(default_factory=dict[str, pulumi.Output[str]])


class MachineCluster(pulumi.ComponentResource):
    """k3s on one machine, with everything around it."""

    made: CloudCluster
    """The cluster."""
    known_hosts: pulumi.Output[str]
    """SSH host keys of the machine."""
    login_key: pulumi.Output[str | None]
    """Generated login key, secret; it holds None when the key is yours."""
    disk_id: pulumi.Output[str] | None
    """The data disk, made here or before; None without one."""

    def __init__(
        self, name: str, args: CloudArgs[VmCluster], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:vm:MachineCluster", name, None, renamed(opts))
        self._name, self._args, self._cluster = name, args, args.cluster
        self._child = pulumi.ResourceOptions(parent=self)
        self.disk_id = None
        existing = args.cluster.instance.id
        host = self._declare() if existing is None else self._find(existing)
        access = self._open_access(host)
        self._declare_schedule(host)
        declare_records(name, args, host.address, self._child)
        self.known_hosts, self.login_key = access.known_hosts, host.login_key
        self.made = CloudCluster(
            kubeconfig=access.kubeconfig,
            identifier=host.identifier,
            address=host.address,
            domain=domain_of(args, host.address),
            reports={**host.reports, **declare_repository(name, args, self._child)},
        )
        self.register_outputs({"address": self.made.address, "domain": self.made.domain})

    def _declare(self) -> _Host:
        name, args, cluster = self._name, self._args, self._cluster
        network = Network(
            name,
            NetworkArgs(
                vpc_cidr=cluster.network.vpc_cidr,
                zones=(cluster.zone,),
                switches=switches(cluster),
                reuse=cluster.network.reuse,
                entrance=EntranceArgs(
                    openings=openings(cluster), address_id=cluster.network.address.id
                ),
                bandwidth=cluster.network.address.bandwidth,
                protect=cluster.production,
                tags=all_tags(name, args),
            ),
            self._child,
        )
        entrance = network.entrance
        if entrance is None:
            raise AssertionError("an entrance was asked for")
        files = declare_files(name, args, cluster.zone, network, self._child)
        disk_id = self.disk_id = self._disk()
        facts = _facts(entrance.address, network.vpc_cidr, disk_id)
        machine = Machine(
            name,
            MachineArgs(
                instance=cluster.instance,
                production=cluster.production,
                vswitch_id=network.node_switch_ids.apply(lambda ids: ids[0]),
                security_group_id=entrance.security_group_id,
                address_id=entrance.address_id,
                user_data=facts.apply(lambda known: user_data(self._bootstrap(known))),
                disk_id=disk_id,
                tags=all_tags(name, args),
            ),
            self._child,
        )
        return _Host(
            instance_id=machine.instance_id,
            identifier=machine.instance_id if disk_id is None else disk_id,
            address=entrance.address,
            facts=facts,
            login_key=machine.private_key,
            settled=machine.settled,
            reports=files,
        )

    def _find(self, instance_id: str) -> _Host:
        cluster = self._cluster
        machines = alicloud.ecs.get_instances_output(
            ids=[instance_id], opts=pulumi.InvokeOutputOptions(parent=self)
        )
        address = machines.apply(lambda known: check_machine(known, instance_id, cluster.zone))
        disk_id = cluster.data_disk.id if cluster.data_disk is not None else None
        known = pulumi.Output.from_input(instance_id)
        return _Host(
            instance_id=known,
            identifier=known,
            address=address,
            facts=_facts(address, cluster.network.vpc_cidr, disk_id),
            login_key=pulumi.Output.from_input(None),
        )

    def _disk(self) -> pulumi.Output[str] | None:
        cluster = self._cluster
        if cluster.data_disk is None:
            return None
        wanted = DiskArgs(
            zone=cluster.zone,
            disk=cluster.data_disk,
            production=cluster.production,
            tags=all_tags(self._name, self._args),
        )
        return DataVolume(self._name, wanted, self._child).disk_id

    def _open_access(self, host: _Host) -> ClusterAccess:
        cluster = self._cluster
        generation = cluster.k3s.access_generation

        def command(request: str) -> pulumi.Output[str]:
            return host.facts.apply(
                lambda known: access_command(self._bootstrap(known), request, generation)
            )

        wanted = AccessArgs(
            region=cluster.region,
            profile=cluster.profile,
            instance_id=host.instance_id,
            address=host.address,
            command=command,
            settled=host.settled,
        )
        return ClusterAccess(self._name, wanted, self._child)

    def _declare_schedule(self, host: _Host) -> None:
        cluster = self._cluster
        if cluster.schedule is not None:
            wanted = PowerScheduleArgs(
                schedule=cluster.schedule,
                region=cluster.region,
                instance_id=host.instance_id,
                tags=all_tags(self._name, self._args),
            )
            PowerSchedule(self._name, wanted, self._child)

    def _bootstrap(self, facts: MachineFacts) -> Bootstrap:
        args = self._args
        return bootstrap_of(args.cluster, self._name, args.domain, facts, https=args.https)


def _facts(
    address: pulumi.Output[str], vpc_cidr: pulumi.Input[str], disk_id: pulumi.Input[str] | None
) -> pulumi.Output[MachineFacts]:
    known = pulumi.Output.all(address=address, vpc_cidr=vpc_cidr, disk_id=disk_id)
    return known.apply(lambda values: MachineFacts(**values))


def check_machine(found: GetInstancesResult, instance_id: str, zone: str) -> str:
    """Return the public address of a machine that is there, runs, and is in the right zone."""
    if len(found.instances) != 1:
        raise _refused(instance_id, "no such instance in this region", "copy it from the console")
    machine = found.instances[0]
    if machine.availability_zone != zone:
        raise _refused(
            instance_id, f"it is in {machine.availability_zone}, not in {zone}", "change the zone"
        )
    if machine.status != "Running":
        raise _refused(instance_id, f"it is {machine.status}", "start it first")
    address = machine.eip or machine.public_ip
    if not address:
        raise _refused(instance_id, "it has no public address", "bind one in the console")
    return address


def _refused(instance_id: str, rule: str, change: str) -> ValueError:
    return ValueError(str(Problem("cluster.instance.id", instance_id, rule, change)))
