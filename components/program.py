"""The Pulumi program: stack file -> plan -> components -> outputs. It wires and decides nothing.

The same function serves `__main__.py`, which plain `pulumi` runs, and `fleet up`. What it knows of
the world around it is handed in; only secret values it asks the engine for, which has them sealed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pulumi

from components.environment import FleetEnvironment, FleetEnvironmentArgs
from components.image import RuntimeImage, RuntimeImageArgs
from components.placement import declare_target
from components.providers import kubernetes_providers
from components.target import Target
from fleet import __version__
from fleet.errors import InputError
from fleet.images.tags import DOOR, KINDS, RUNTIME, ImageKind, image_tags
from fleet.names import PROJECT, SEED_KEY
from fleet.plan.environment import make_plan
from fleet.stackfile.image import Image
from fleet.stackfile.program_input import read_engine, with_image
from fleet.stackfile.reading import Environment
from fleet.values.secrecy import missing_seed

_ROOT = Path(__file__).parents[1]


def declare_stack(
    name: str,
    folder: Path,
    config: Mapping[str, str],
    secret_keys: Collection[str],
    variables: Mapping[str, str],
) -> None:
    """Declare an environment and export its outputs; raise RunError with every broken rule.

    `folder` is where the stack file's paths start; the one to run in is the program's. `config` and
    `secret_keys` are the engine's, with full keys. Of `variables`, the process's: `FLEET_IMAGE`
    and `FLEET_DOOR_IMAGE` name images that the cluster already holds and that are used instead of
    the stack file's;
    `FLEET_BUILD_NETWORK` is the network of build steps on a Docker daemon without a bridge
    (`host`); a cloud reads its credentials.
    """
    try:
        environment = read_engine(name, folder, config, secret_keys)
        if SEED_KEY not in environment.secret_keys:
            raise InputError([missing_seed()])
        images = {
            kind.name: with_image(kind.settings(environment.config), kind.variable, variables)
            for kind in KINDS
        }
    except InputError as error:
        raise pulumi.RunError(str(error)) from None
    plan = make_plan(environment)
    target = declare_target(plan.environment, environment.config, variables)
    providers = kubernetes_providers(target.api)
    image, on_nodes = _declare_image(RUNTIME, images[RUNTIME.name], target, variables)
    _, door_on_nodes = _declare_image(DOOR, images[DOOR.name], target, variables)
    sealed = _sealed(environment)
    fleet = FleetEnvironment(
        plan.environment,
        FleetEnvironmentArgs(
            plan=plan,
            image=on_nodes,
            door_image=door_on_nodes,
            seed=sealed[SEED_KEY],
            sealed=sealed,
            secrets=target.secrets(sealed),
            adopting=providers.adopting,
        ),
        pulumi.ResourceOptions(provider=providers.main),
    )
    outputs = target.declare_services(providers)
    if fleet.authority is not None:
        outputs["authority"] = fleet.authority
    for key in ("url", "urls", "usernames", "passwords", "namespaces", "retained"):
        outputs[key] = getattr(fleet, key)
    for key, value in {**outputs, "imageRef": image.reference}.items():
        pulumi.export(key, value)


def _declare_image(
    kind: ImageKind, settings: Image, target: Target, variables: Mapping[str, str]
) -> tuple[RuntimeImage, pulumi.Output[str]]:
    """Declare an image; return it and its reference once the cluster can have it."""
    tags = image_tags(settings, _ROOT / kind.folder, __version__, kind)
    network = variables.get("FLEET_BUILD_NETWORK")
    arguments = RuntimeImageArgs(kind=kind, image=settings, tags=tags, network=network)
    image = RuntimeImage(kind.name, arguments)
    return image, target.image_reference(kind, settings, image.reference)


def _sealed(environment: Environment) -> dict[str, pulumi.Output[str]]:
    """Return the stack file's secrets, by top-level key."""
    config = pulumi.Config(PROJECT)
    return {key: config.require_secret(key) for key in sorted(environment.secret_keys)}
