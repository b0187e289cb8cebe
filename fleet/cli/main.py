"""The `fleet` command: what changes an environment as a whole.

Day-to-day commands stand in `cli_runtimes`, image and secret ones in `cli_build`, cloud reports in
`cli_cloud`. Exit codes: 0 done, 1 failed, 2 wrong input.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fleet.cli import backup as cli_backup
from fleet.cli import build as cli_build
from fleet.cli import cloud as cli_cloud
from fleet.cli import engine as cli_engine
from fleet.cli import invite as cli_invite
from fleet.cli import move as cli_move
from fleet.cli import people as cli_people
from fleet.cli import runtimes as cli_runtimes
from fleet.cli.options import DoorImage, Image, Json, Stack
from fleet.cli.shell import (
    read_environment,
    reported,
    run,
    say,
    say_json,
    unsealed,
    warn,
)
from fleet.errors import InputError, Problem
from fleet.images.tags import DOOR, resolve_image
from fleet.manifests.render import RenderInputs, as_stream, rendered_files, write_files
from fleet.plan.environment import make_plan
from fleet.stackfile.config import ExistingCluster
from fleet.stackfile.reading import Environment
from fleet.stackfile.schema import schema_text
from fleet.stackfile.warnings import warnings_of

app = typer.Typer(
    name="fleet",
    help="One isolated, persistent OpenCode workspace per user, from one stack file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
cli_runtimes.register(app)
cli_backup.register(app)
cli_move.register(app)
cli_build.register(app)
cli_cloud.register(app)
cli_engine.register(app)
cli_people.register(app)
cli_invite.register(app)


@app.command()
def validate(stack: Stack = "dev", as_json: Json = False) -> None:
    """Check a stack file and its scenes; print every problem at once."""
    with reported():
        try:
            environment = read_environment(stack)
        except InputError as error:
            if as_json:
                say_json({"problems": [asdict(problem) for problem in error.problems]})
            raise
        users, scenes = len(environment.config.users), len(environment.config.scenes)
        warnings = list(warnings_of(environment))
        if as_json:
            told = {"environment": environment.name, "users": users, "scenes": scenes}
            say_json({**told, "problems": [], "warnings": warnings})
            return
        for line in warnings:
            warn(line)
        say(f"{stack}: {users} users, {scenes} scenes, no problems")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a stack file."""
    say(schema_text().rstrip("\n"))


@app.command()
def render(
    out: Annotated[str, typer.Option("-o", "--out", help="Folder to write, or - to print.")],
    stack: Stack = "dev",
    image: Image = None,
    door_image: DoorImage = None,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Secrets with their data: for a sealer, kubectl.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the environment's manifests as YAML; no secret value unless asked."""
    with reported():
        environment = read_environment(stack)
        _need_existing(environment)
        config, folder = environment.config, environment.folder
        inputs = RenderInputs(
            image=image or resolve_image(config, folder),
            door_image=door_image or resolve_image(config, folder, DOOR),
            secrets=unsealed(stack),
            with_secrets=with_secrets,
        )
        files = rendered_files(make_plan(environment), inputs)
        if out == "-":
            say(as_stream(files).rstrip("\n"))
            return
        count = write_files(files, Path(out), private=with_secrets)
        if as_json:
            say_json({"folder": out, "files": sorted(files), "secretData": with_secrets})
            return
        told = (
            "Secrets in them hold data: keep them to yourself"
            if with_secrets
            else ("Secrets in them have no data")
        )
        say(f"{out}: {count} files and kustomization.yaml; {told}")


def _need_existing(environment: Environment) -> None:
    """Raise InputError for a cluster whose image and certificates only the engine can bring."""
    cluster = environment.config.cluster
    if not isinstance(cluster, ExistingCluster):
        rule = "what this kind of cluster needs beside manifests is not rendered"
        raise InputError([Problem("cluster.kind", cluster.kind, rule, "deploy it with fleet up")])


def main() -> None:
    """Run the command line."""
    run(app)
