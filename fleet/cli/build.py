"""Commands that prepare a deployment: the runtime image, secrets of the stack file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fleet import __version__
from fleet.cli.options import Json, Stack
from fleet.cli.shell import (
    docker_of,
    ensured_passphrase,
    read_environment,
    reported,
    say,
    say_json,
    warn,
)
from fleet.errors import InputError, Problem
from fleet.images.build import build, prune, push
from fleet.images.tags import image_tags, resolve_image
from fleet.stackfile.image import ImageMode
from fleet.stackfile.seal_file import seal_into

Host = Annotated[
    str | None, typer.Option(envvar="DOCKER_HOST", help="Docker daemon, as DOCKER_HOST.")
]

image_app = typer.Typer(help="The runtime image, with the Docker daemon.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the `fleet` application."""
    app.add_typer(image_app, name="image")
    app.command("secret")(secret)


@image_app.command("build")
def image_build(
    stack: Stack = "dev",
    base: Annotated[
        str | None, typer.Option(help="Stand-in where the configured base cannot be pulled.")
    ] = None,
    network: Annotated[str | None, typer.Option(help="As in docker build --network.")] = None,
    docker_host: Host = None,
    as_json: Json = False,
) -> None:
    """Build the image unless its source tag exists, push it when the stack file says so."""
    with reported():
        environment = read_environment(stack)
        image = environment.config.image
        if image.mode not in (ImageMode.DAEMON, ImageMode.BUILDKIT):
            rule, change = "this mode builds nothing", "use mode: daemon"
            raise InputError([Problem("image.mode", image.mode, rule, change)])
        docker = docker_of(docker_host)
        warn("image: building takes minutes the first time, seconds when nothing changed")
        context = environment.folder / "image"
        tags, built = build(docker, image, context, base=base, network=network)
        if image.push:
            push(docker, image, tags)
        warn(f"image: {'built' if built else 'unchanged, not built again'}")
        reference = f"{image.repository}:{tags.source}"
        if as_json:
            say_json({"reference": reference, "built": built, "pushed": image.push})
            return
        say(reference)


@image_app.command("ref")
def image_ref(stack: Stack = "dev", as_json: Json = False) -> None:
    """Print the reference that runtimes use."""
    with reported():
        environment = read_environment(stack)
        reference = resolve_image(environment.config, environment.folder)
        if as_json:
            say_json({"reference": reference})
            return
        say(reference)


@image_app.command("prune")
def image_prune(stack: Stack = "dev", docker_host: Host = None, as_json: Json = False) -> None:
    """Remove this project's old images and build cache; keep what the stack file uses."""
    with reported():
        environment = read_environment(stack)
        image = environment.config.image
        tags = image_tags(image, environment.folder / "image", __version__)
        keep = (tags.source, tags.lock, tags.version)
        removed = prune(docker_of(docker_host), image, keep)
        if as_json:
            say_json({"removed": list(removed)})
            return
        say(
            f"removed {len(removed)} images: {', '.join(removed) or 'none'}; cache older than a day"
        )


def secret(
    key: Annotated[str, typer.Argument(help="Top-level key, e.g. modelApiKey.")],
    stack: Stack = "dev",
) -> None:
    """Seal a secret, read from standard input, into the stack file, as `pulumi config set` does."""
    with reported():
        if sys.stdin.isatty():
            value = typer.prompt(f"{key}", hide_input=True, err=True)
        else:
            value = sys.stdin.read().strip("\r\n")
        path = seal_into(stack, Path.cwd(), key, value, ensured_passphrase())
        say(f"{path.name}: {key} sealed; fleet up to use it")
