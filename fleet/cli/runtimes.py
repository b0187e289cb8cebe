"""Commands on runtimes that exist: status, open, password, logs, restart, purge-data."""

from __future__ import annotations

import subprocess
import webbrowser
from typing import Annotated

import typer

from fleet.cli.options import Context, Json, Stack, User
from fleet.cli.progress import reporting
from fleet.cli.shell import (
    FAILED,
    cluster_of,
    interactive,
    read_environment,
    reported,
    say,
    say_json,
    warn,
)
from fleet.cluster.kubectl import Kubectl
from fleet.cluster.purge import purge_user
from fleet.cluster.rollout import wait_ready
from fleet.cluster.runtimes import find_user, open_session, read_password, restart, states
from fleet.errors import InputError, Problem
from fleet.images.tags import resolve_image
from fleet.plan.environment import Plan, UserPlan, make_plan

Timeout = Annotated[float, typer.Option(help="Seconds to wait for the runtime.", min=1)]


def register(app: typer.Typer) -> None:
    """Add the commands to the `fleet` application."""
    app.command("status")(status)
    app.command("open")(open_workspace)
    app.command("password")(password)
    app.command("logs")(logs)
    app.command("restart")(restart_runtime)
    app.command("purge-data", hidden=True)(purge_data)


def _open(stack: str, context: str | None) -> tuple[Plan, Kubectl]:
    environment = read_environment(stack)
    return make_plan(environment), cluster_of(environment, context)


def _one(stack: str, context: str | None, user: str) -> tuple[UserPlan, Kubectl]:
    plan, kubectl = _open(stack, context)
    return find_user(plan, user), kubectl


def status(
    stack: Stack = "dev",
    context: Context = None,
    volumes: Annotated[bool, typer.Option(help="Ask for volume use too.")] = True,
    as_json: Json = False,
) -> None:
    """Show every user: state, phase, restarts, image, volume use, URL."""
    with reported():
        plan, kubectl = _open(stack, context)
        rows = states(kubectl, plan, volumes=volumes)
        if as_json:
            say_json({"users": [row.as_json() for row in rows]})
            return
        head = ("USER", "STATE", "PHASE", "RESTARTS", "VOLUME", "IMAGE", "URL")
        lines = [head] + [
            (r.user, r.state, r.phase, str(r.restarts), r.volume, r.image.rpartition("/")[2], r.url)
            for r in rows
        ]
        widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
        for line in lines:
            cells = (text.ljust(width) for text, width in zip(line, widths, strict=True))
            say("  ".join(cells).rstrip())


def open_workspace(
    user: User,
    scene: Annotated[str | None, typer.Option(help="Scene to open a chat in.")] = None,
    stack: Stack = "dev",
    context: Context = None,
    browser: Annotated[bool, typer.Option(help="Open the link in a browser.")] = True,
) -> None:
    """Make a chat in a scene, print its link, open it."""
    with reported():
        found, kubectl = _one(stack, context, user)
        link = open_session(kubectl, found, scene)
        say(link)
        warn(f"user name {found.id}, password: fleet password {found.id} -s {stack}")
        if browser and interactive():
            webbrowser.open(link)


def password(user: User, stack: Stack = "dev", context: Context = None) -> None:
    """Print a user's password, and nothing else."""
    with reported():
        found, kubectl = _one(stack, context, user)
        say(read_password(kubectl, found))


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
        found, kubectl = _one(stack, context, user)
        arguments = [f"--namespace={found.namespace}", f"deployment/{found.name}", "--prefix"]
        arguments += ["--all-containers", f"--tail={tail}"]
        arguments += ["--follow"] if follow else []
        arguments += ["--previous"] if previous else []
        done = subprocess.run(kubectl.command("logs", *arguments), check=False)
        if done.returncode != 0:
            warn(f"user {user}: logs: see the line above; fleet status shows whether a pod runs")
            raise SystemExit(FAILED)


def restart_runtime(
    user: User, stack: Stack = "dev", context: Context = None, timeout: Timeout = 180
) -> None:
    """Restart a runtime and wait until it is ready; chats and files stay."""
    with reported():
        plan, kubectl = _open(stack, context)
        found = find_user(plan, user)
        restart(kubectl, found)
        with reporting() as report:
            failures = wait_ready(kubectl, plan.environment, [found], timeout, report)
        for failure in failures:
            warn(str(failure))
        if failures:
            raise SystemExit(FAILED)
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
        kubectl = cluster_of(environment, context)
        done = purge_user(kubectl, environment.name, user, image)
        say(f"{user}: deleted {', '.join(done)}" if done else f"{user}: nothing left to delete")
