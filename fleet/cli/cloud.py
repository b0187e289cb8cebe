"""Reports on the cloud side of an environment: what it costs, which rights it needs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.cost import cost_report
from fleet.alicloud.ram_policy import ram_policy
from fleet.cli.cost_text import cost_json, cost_text
from fleet.cli.options import Json, Stack
from fleet.cli.shell import read_environment, reported, say
from fleet.errors import InputError, Problem
from fleet.stackfile.config import ExistingCluster
from fleet.stackfile.reading import Environment
from fleet.values.quantity import parse_quantity


def register(app: typer.Typer) -> None:
    """Add the commands to the `fleet` application."""
    app.command("cost")(cost)
    app.command("ram-policy")(policy)


def cost(
    stack: Stack = "dev",
    egress: Annotated[float, typer.Option(help="GB a user downloads a month.", min=0)] = 5,
    as_json: Json = False,
) -> None:
    """Estimate what an environment on Alibaba Cloud costs a month, per user and in total."""
    with reported():
        environment = read_environment(stack)
        config = environment.config
        profiles = [config.profile(user.profile) for user in config.users]
        claims = sum(parse_quantity(size.storage) for size in profiles if size is not None)
        report = cost_report(
            _cloud(environment),
            users=len(config.users),
            storage_gib=float(claims) / 2**30,
            egress_gb_a_user=egress,
        )
        say((cost_json if as_json else cost_text)(report).rstrip("\n"))


def policy(stack: Stack = "dev") -> None:
    """Print the least RAM policies for what the stack file asks of Alibaba Cloud."""
    with reported():
        environment = read_environment(stack)
        policies = ram_policy(_cloud(environment), f"fleet-{environment.name}")
        say(json.dumps(policies, indent=2))


def _cloud(environment: Environment) -> VmCluster | AckCluster:
    cluster = environment.config.cluster
    if isinstance(cluster, ExistingCluster):
        rule = "only clusters of kind vm and ack are made on Alibaba Cloud"
        change = "give the environment of one, e.g. -s alicloud-vm"
        raise InputError([Problem("cluster.kind", cluster.kind, rule, change)])
    return cluster
