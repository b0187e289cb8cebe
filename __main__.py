"""The Pulumi program: stack file -> plan -> components -> outputs. It wires and decides nothing.

The only file that reads Pulumi's configuration and the environment. `FLEET_IMAGE` names an image
that the cluster already holds and that is used instead of the stack file's; `FLEET_BUILD_NETWORK`
is the network of build steps on a Docker daemon without a bridge (`host`).
"""

import os
from pathlib import Path

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from components.environment import FleetEnvironment, FleetEnvironmentArgs
from components.image import RuntimeImage, RuntimeImageArgs
from components.placement import declare_target
from components.providers import kubernetes_providers
from fleet import __version__
from fleet.errors import InputError
from fleet.images.tags import image_tags
from fleet.plan.environment import make_plan
from fleet.stackfile.program_input import engine_input, with_image


def main() -> None:
    """Declare the stack."""
    known = CONFIG.get()
    try:
        secret_keys = filter(is_config_secret, known)
        environment, secrets = engine_input(pulumi.get_stack(), Path(), known, set(secret_keys))
        settings = with_image(environment.config.image, os.getenv("FLEET_IMAGE"))
    except InputError as error:
        raise pulumi.RunError(str(error)) from None
    plan = make_plan(environment, secrets)
    target = declare_target(plan.environment, environment.config, os.environ)
    providers = kubernetes_providers(target.api)
    tags = image_tags(settings, Path("image"), __version__)
    built = RuntimeImageArgs(image=settings, tags=tags, network=os.getenv("FLEET_BUILD_NETWORK"))
    image = RuntimeImage("runtime", built)
    config = pulumi.Config()
    sealed = {key: config.require_secret(key) for key in sorted(secrets)}
    fleet = FleetEnvironment(
        plan.environment,
        FleetEnvironmentArgs(
            plan=plan,
            image=target.delivered(settings, image.reference),
            api_keys=sealed,
            keeper=providers.keeper,
        ),
        pulumi.ResourceOptions(provider=providers.main),
    )
    outputs = target.declare_services(providers, fleet, sealed)
    for name in ("urls", "usernames", "passwords", "namespaces", "retained"):
        outputs[name] = getattr(fleet, name)
    for name, value in {**outputs, "imageRef": image.reference}.items():
        pulumi.export(name, value)


main()
