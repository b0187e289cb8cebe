"""Commands on runtimes that exist: status, open, password, logs, restart, purge-data."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from fleet.cli.options import Context, Json, Stack, User
from fleet.cli.progress import reporting
from fleet.cli.shell import (
    cluster_of,
    interactive,
    read_environment,
    reported,
    say,
    say_json,
    say_table,
    unsealed,
    warn,
)
from fleet.cluster.backups import backup_json, backup_words, notes
from fleet.cluster.logs import LogRequest
from fleet.cluster.logs import logs as read_logs
from fleet.cluster.purge import purge_user
from fleet.cluster.runtimes import (
    chat_folder,
    find_user,
    need_active,
    open_session,
    restart,
)
from fleet.cluster.states import states
from fleet.errors import InputError, Problem
from fleet.images.tags import resolve_image
from fleet.names import SEED_KEY
from fleet.plan.environment import UserPlan, make_plan
from fleet.plan.passwords import user_password
from fleet.stackfile.project_file import locate, read_yaml
from fleet.stackfile.reading import Environment
from fleet.values.secrecy import missing_seed

Timeout = Annotated[float, typer.Option(help="Seconds to wait for the runtime.", min=1)]


def register(app: typer.Typer) -> None:
    """Add the commands to the `fleet` application."""
    app.command("status")(status)
    app.command("open")(open_workspace)
    app.command("password")(password)
    app.command("logs")(logs)
    app.command("restart")(restart_runtime)
    app.command("purge-data", hidden=True)(purge_data)


def _one(stack: str, user: str) -> tuple[UserPlan, Environment]:
    environment = read_environment(stack)
    return find_user(make_plan(environment), user), environment


def status(
    stack: Stack = "dev",
    context: Context = None,
    volumes: Annotated[bool, typer.Option(help="Ask for volume use too.")] = True,
    as_json: Json = False,
) -> None:
    """Show every user: state, phase, restarts, image, volume use, URL."""
    with reported():
        environment = read_environment(stack)
        cluster = cluster_of(environment, context)
        plan = make_plan(environment)
        rows = states(cluster, plan, volumes=volumes)
        noted = notes(cluster, plan)
        if as_json:
            say_json({"users": [{**row.as_json(), **backup_json(noted, row.user)} for row in rows]})
            return
        head = ("USER", "STATE", "PHASE", "RESTARTS", "VOLUME", "IMAGE", "URL", "NOTE")
        if noted:
            head = (*head[:5], "BACKUP", *head[5:])
        lines = [
            (
                row.user,
                row.state,
                row.phase,
                str(row.restarts),
                row.volume,
                *backup_words(noted, row.user),
                row.image.rpartition("/")[2],
                row.url,
                row.note,
            )
            for row in rows
        ]
        say_table(head, lines)


def open_workspace(
    user: User,
    scene: Annotated[str | None, typer.Option(help="Scene to open a chat in.")] = None,
    stack: Stack = "dev",
    context: Context = None,
    browser: Annotated[bool, typer.Option(help="Open the link in a browser.")] = True,
) -> None:
    """Make a chat in a scene, print its link, open it."""
    with reported():
        found, environment = _one(stack, user)
        # A suspended user is told at once, whatever the cluster does.
        need_active(found)
        chat_folder(found, scene)
        link = open_session(cluster_of(environment, context), found, scene)
        say(link)
        warn(f"user name {found.id}, password: fleet password {found.id} -s {stack}")
        if browser and interactive():
            webbrowser.open(link)


def password(user: User, stack: Stack = "dev") -> None:
    """Print a user's password, and nothing else; it needs no cluster."""
    with reported():
        found, environment = _one(stack, user)
        if SEED_KEY not in environment.secret_keys:
            raise InputError([missing_seed()])
        say(user_password(found, _seed(stack)))


def _seed(stack: str) -> str:
    """Return the stack file's seed in clear."""
    file, _ = locate(stack, Path.cwd())
    if read_yaml(file).get("secretsprovider") in (None, "passphrase"):
        return unsealed(stack)[SEED_KEY]
    # Only the engine opens what is not sealed with a passphrase.
    from fleet.cli.deployment import Deployment  # noqa: PLC0415

    with Deployment.of(stack).stack() as engine:
        return engine.secret(SEED_KEY)


def logs(
    user: User,
    stack: Stack = "dev",
    context: Context = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Keep printing.")] = False,
    previous: Annotated[bool, typer.Option(help="Of the container before.")] = False,
    tail: Annotated[int, typer.Option(help="Lines from the end; -1 for all.", min=-1)] = 200,
) -> None:
    """Print a runtime's log, its init container's included."""
    with reported():
        found, environment = _one(stack, user)
        need_active(found)
        wanted = LogRequest(follow=follow, previous=previous, tail=tail if tail >= 0 else None)
        for line in read_logs(cluster_of(environment, context), found, wanted):
            say(line, now=follow)


def restart_runtime(
    user: User, stack: Stack = "dev", context: Context = None, timeout: Timeout = 180
) -> None:
    """Restart a runtime and wait until it is ready; chats and files stay."""
    with reported():
        found, environment = _one(stack, user)
        need_active(found)
        cluster = cluster_of(environment, context)
        with reporting() as report:
            restart(cluster, found, timeout, report)
        say(f"{user}: restarted, ready")


def purge_data(
    user: User,
    confirm: Annotated[str, typer.Option(help="The id once more, in full.")],
    stack: Stack = "dev",
    context: Context = None,
) -> None:
    """Delete a former user's claim and data for good; the stack file lists the id under purge."""
    with reported():
        environment = read_environment(stack)
        if confirm != user or user not in environment.config.purge:
            rule = "the id must stand under `purge:` and be typed twice"
            raise InputError([Problem("purge", user, rule, f"add it, give --confirm {user}")])
        image = resolve_image(environment.config, environment.folder)
        cluster = cluster_of(environment, context)
        secret = make_plan(environment).pull_secret
        done = purge_user(cluster, environment.name, user, image, secret)
        say(f"{user}: deleted {', '.join(done)}" if done else f"{user}: nothing left to delete")
