"""The Pulumi program: stack file -> plan -> components -> outputs. It wires and decides nothing.

The same function serves `__main__.py`, which plain `pulumi` runs, and `fleet up`. What it knows of
the world around it is handed in; only secret values it asks the engine for, which has them sealed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.base import for_pools, shared_by_pools
from components.environment import FleetEnvironment, FleetEnvironmentArgs
from components.image import RuntimeImage, RuntimeImageArgs
from components.placement import declare_target
from components.providers import kubernetes_providers
from components.target import Sealed
from fleet import __version__
from fleet.errors import InputError
from fleet.images.tags import ImageTags, image_tags
from fleet.names import PROJECT, SEED_KEY
from fleet.plan.environment import Plan, make_plan
from fleet.plan.stacks import BASE_OUTPUT, Part, part_named, split_name, takes_from_base
from fleet.stackfile.image import Image
from fleet.stackfile.program_input import read_engine, with_image
from fleet.stackfile.reading import Environment
from fleet.values.secrecy import missing_seed

_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Given:
    """What a program is made of."""

    environment: Environment
    plan: Plan
    """What of the environment's plan is this stack's."""
    image: Image
    tags: ImageTags
    sealed: Sealed
    variables: Mapping[str, str]


def declare_stack(
    name: str,
    folder: Path,
    config: Mapping[str, str],
    secret_keys: Collection[str],
    variables: Mapping[str, str],
) -> None:
    """Declare what a stack stands for and export its outputs; raise RunError with every problem.

    That is an environment, or a part of one (`fleet.plan.stacks`): `name` is the stack's. `folder`
    is where the stack file's paths start; the one to run in is the program's. `config` and
    `secret_keys` are the engine's, with full keys. Of `variables`, the process's: `FLEET_IMAGE`
    names an image that the cluster already holds and that is used instead of the stack file's;
    `FLEET_BUILD_NETWORK` is the network of build steps on a Docker daemon without a bridge
    (`host`); a cloud reads its credentials.
    """
    try:
        environment = read_engine(split_name(name)[0], folder, config, secret_keys)
        if SEED_KEY not in environment.secret_keys:
            raise InputError([missing_seed()])
        image = with_image(environment.config.image, variables.get("FLEET_IMAGE"))
        plan = make_plan(environment)
        part = part_named(name, environment.config, plan)
    except InputError as error:
        raise pulumi.RunError(str(error)) from None
    given = _Given(
        environment=environment,
        plan=part.of(plan),
        image=image,
        tags=image_tags(image, _ROOT / "image", __version__),
        sealed=_sealed(environment),
        variables=variables,
    )
    outputs = _declare_base(given, part) if part.pool is None else _declare_pool(given)
    for key, value in outputs.items():
        pulumi.export(key, value)


def _declare_base(given: _Given, part: Part) -> dict[str, Any]:
    """Declare cluster, image and whatever of the plan is here; return the outputs."""
    config = given.environment.config
    target = declare_target(part.environment, config, given.variables)
    providers = kubernetes_providers(target.api)
    network = given.variables.get("FLEET_BUILD_NETWORK")
    image = RuntimeImage(
        "runtime", RuntimeImageArgs(image=given.image, tags=given.tags, network=network)
    )
    reference = target.image_reference(given.image, image.reference)
    fleet = FleetEnvironment(
        part.environment,
        FleetEnvironmentArgs(
            plan=given.plan,
            image=reference,
            seed=given.sealed[SEED_KEY],
            api_keys=given.sealed,
            secrets=target.secrets(given.sealed),
            adopting=providers.adopting,
        ),
        pulumi.ResourceOptions(provider=providers.main),
    )
    outputs = target.declare_services(providers)
    if fleet.authority is not None:
        outputs["authority"] = fleet.authority
    if not part.divided:
        outputs |= _of_users(fleet)
    elif takes_from_base(config, given.image):
        outputs[BASE_OUTPUT] = for_pools(target, reference, fleet.certificate)
    return {**outputs, "imageRef": image.reference}


def _declare_pool(given: _Given) -> dict[str, Any]:
    """Declare one pool; return the outputs."""
    environment = given.environment
    shared = shared_by_pools(
        environment.name, environment.config, given.image, given.tags, given.sealed
    )
    providers = kubernetes_providers(shared.api)
    fleet = FleetEnvironment(
        environment.name,
        FleetEnvironmentArgs(
            plan=given.plan,
            image=shared.image,
            seed=given.sealed[SEED_KEY],
            api_keys=given.sealed,
            secrets=shared.secrets,
            adopting=providers.adopting,
            own_certificate=False,
        ),
        pulumi.ResourceOptions(provider=providers.main),
    )
    return {**_of_users(fleet), "imageRef": shared.image}


def _of_users(fleet: FleetEnvironment) -> dict[str, Any]:
    keys = ("urls", "usernames", "passwords", "namespaces", "retained")
    return {key: getattr(fleet, key) for key in keys}


def _sealed(environment: Environment) -> dict[str, pulumi.Output[str]]:
    """Return the stack file's secrets, by top-level key."""
    config = pulumi.Config(PROJECT)
    return {key: config.require_secret(key) for key in sorted(environment.secret_keys)}
