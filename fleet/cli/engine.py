"""Commands that run the engine: up, preview, destroy, refresh, wait, and what helps with them.

Only what may be typed; `cli.deployment` does it. The engine's library takes half a second to
import, which no other command should wait for.
"""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli.options import Context, DoorImage, Image, Json, Stack
from fleet.cli.shell import reported
from fleet.images.tags import given_images

Timeout = Annotated[float, typer.Option(help="Seconds to wait for runtimes.", min=1)]
Wait = Annotated[bool, typer.Option(help="Wait until runtimes are ready.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Print the engine's own events too.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the `fleet` application."""
    app.command("up")(up)
    app.command("preview")(preview)
    app.command("destroy")(destroy)
    app.command("refresh")(refresh)
    app.command("wait")(wait_for)
    app.command("seed")(seed)
    app.command("env")(env)


def up(
    stack: Stack = "dev",
    image: Image = None,
    door_image: DoorImage = None,
    context: Context = None,
    wait: Wait = True,
    timeout: Timeout = 300,
    yes: Yes = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Bring the cluster to what the stack file says, and wait for the runtimes."""
    with reported():
        from fleet.cli import runs  # noqa: PLC0415

        given = given_images(image, door_image)
        deployment = runs.Deployment.of(stack, context, given, verbose=verbose)
        runs.up(deployment, timeout if wait else None, confirmed=yes, as_json=as_json)


def preview(
    stack: Stack = "dev",
    image: Image = None,
    door_image: DoorImage = None,
    context: Context = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Show who is created, restarted, resized, suspended, removed, and why; change nothing.

    Exit code 3 when something would change.
    """
    with reported():
        from fleet.cli import runs  # noqa: PLC0415

        given = given_images(image, door_image)
        deployment = runs.Deployment.of(stack, context, given, verbose=verbose)
        runs.preview(deployment, as_json=as_json)


def destroy(
    stack: Stack = "dev",
    context: Context = None,
    yes: Yes = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Delete everything of an environment but namespaces and claims: nobody's work."""
    with reported():
        from fleet.cli import runs  # noqa: PLC0415

        deployment = runs.Deployment.of(stack, context, verbose=verbose)
        runs.destroy(deployment, confirmed=yes, as_json=as_json)


def refresh(stack: Stack = "dev", context: Context = None, verbose: Verbose = False) -> None:
    """Read what is in the cluster into the engine's state; change nothing in the cluster."""
    with reported():
        from fleet.cli import runs  # noqa: PLC0415

        runs.refresh(runs.Deployment.of(stack, context, verbose=verbose))


def wait_for(
    stack: Stack = "dev", context: Context = None, timeout: Timeout = 300, as_json: Json = False
) -> None:
    """Wait until every active user's runtime is ready, and say what each waits for."""
    with reported():
        from fleet.cli import runs  # noqa: PLC0415

        runs.wait(runs.Deployment.of(stack, context), timeout, as_json=as_json)


def seed(
    stack: Stack = "dev",
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make another one: every password changes.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Make the seed that all passwords are derived from, sealed into the stack file."""
    with reported():
        from fleet.cli import runs  # noqa: PLC0415

        runs.Deployment.of(stack).make_seed(rotate=rotate, confirmed=yes)


def env(stack: Stack = "dev", image: Image = None, door_image: DoorImage = None) -> None:
    """Print shell lines after which plain `pulumi` works on the same stack."""
    with reported():
        from fleet.cli import runs  # noqa: PLC0415

        given = given_images(image, door_image)
        runs.Deployment.of(stack, given=given).print_variables()
