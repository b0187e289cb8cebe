"""What both kinds of cluster are given and give, and the parts that both have.

Owns: the one result type, files, DNS records and the image repository. Leaves out: the machine
(`machine_cluster`), managed Kubernetes (`managed_cluster`), everything inside the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import pulumi

from components.alicloud.dns import DnsArgs, DnsRecords
from components.alicloud.nas import NasArgs, SharedFiles
from components.alicloud.network import Network
from components.alicloud.registry import Repository, RepositoryArgs
from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.network_plan import switches

# Release 0.1.0 had one component for both kinds. Under its name the new ones, and all that lies in
# them, are found in the state of an environment made then.
_BEFORE = "opencode-fleet:cloud:Cloud"

AnyCluster = TypeVar("AnyCluster", VmCluster, AckCluster)


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudArgs(Generic[AnyCluster]):
    """The `cluster` key, and what the rest of the stack file adds to it."""

    cluster: AnyCluster
    hosts: tuple[str, ...] = ()
    """Hosts for DNS records, in full; used when `cluster.dns` is set."""
    domain: str | None = None
    https: bool = True
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudCluster:
    """A cluster as those see it who use it."""

    kubeconfig: pulumi.Output[str]
    """Secret."""
    identifier: pulumi.Output[str]
    """Stays the same while the cluster's own data does; for the Kubernetes provider."""
    address: pulumi.Output[str]
    """Where users come in."""
    domain: pulumi.Output[str]
    """A name that resolves to the address without any zone (sslip.io)."""
    image_repository: pulumi.Resource | None
    """The image repository, where one is made."""
    reports: Mapping[str, pulumi.Output[str]]
    """What the parts that the stack file asks for have to say, by names of stack outputs."""


def renamed(opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    """Return `opts` with the name that release 0.1.0 gave this component."""
    alias = pulumi.ResourceOptions(aliases=[pulumi.Alias(type_=_BEFORE)])
    return pulumi.ResourceOptions.merge(opts, alias)


def all_tags(name: str, args: CloudArgs[AnyCluster]) -> dict[str, str]:
    """Return the tags of everything that is made."""
    return {"opencode-fleet": name, **args.cluster.tags, **args.tags}


def declare_records(
    name: str,
    args: CloudArgs[AnyCluster],
    address: pulumi.Output[str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Declare the hosts' DNS records, when the stack file has a zone."""
    dns = args.cluster.dns
    if dns is not None:
        DnsRecords(
            name, DnsArgs(zone=dns.zone, hosts=args.hosts, address=address, ttl=dns.ttl), opts
        )


def declare_repository(
    name: str, args: CloudArgs[AnyCluster], opts: pulumi.ResourceOptions
) -> tuple[Repository | None, dict[str, pulumi.Output[str]]]:
    """Declare the image repository, when one is to be made; report registry, namespace and name."""
    registry = args.cluster.registry
    if registry is None or registry.acr is None:
        return None, {}
    made = Repository(name, RepositoryArgs(acr=registry.acr), opts)
    return made, {"repository": pulumi.Output.concat(registry.server, "/", made.path)}


def declare_files(
    name: str,
    args: CloudArgs[AnyCluster],
    zone: str,
    network: Network,
    opts: pulumi.ResourceOptions,
) -> dict[str, pulumi.Output[str]]:
    """Declare shared files, when the stack file wants them; report where they are mounted from."""
    cluster = args.cluster
    if cluster.nas is None:
        return {}
    plans = [plan for plan in switches(cluster) if plan.role == "node"]
    sources = {f"{plan.role}-{plan.zone}": plan.cidr for plan in plans}
    wanted = NasArgs(
        nas=cluster.nas,
        zone=zone,
        vpc_id=network.vpc_id,
        vswitch_id=network.node_switch_ids.apply(lambda ids: ids[0]),
        sources=sources or {"vpc": network.vpc_cidr},
        tags=all_tags(name, args),
    )
    files = SharedFiles(name, wanted, opts)
    return {"nasServer": files.server, "nasPath": pulumi.Output.from_input(files.path)}
