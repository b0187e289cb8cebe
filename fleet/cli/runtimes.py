"""Commands on runtimes that exist: status, open, password, logs, restart, sleep, rescue, purge."""

from __future__ import annotations

import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fleet.cli.options import Context, Image, Json, Stack, User
from fleet.cli.progress import reporting, watching
from fleet.cli.shell import (
    cluster_of,
    hung_up,
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
from fleet.cluster.certificates import expiring
from fleet.cluster.client import Cluster
from fleet.cluster.logs import LogRequest
from fleet.cluster.logs import logs as read_logs
from fleet.cluster.purge import purge_user
from fleet.cluster.rescue import CONTAINER, rescue_manifest, rescue_pod
from fleet.cluster.runtimes import (
    chat_folder,
    find_user,
    need_active,
    open_session,
    put_to_sleep,
    restart,
    wake,
)
from fleet.cluster.states import states
from fleet.cluster.untrusted import one_line
from fleet.cluster.waiting import wait_ready
from fleet.errors import ClusterError, InputError, Problem
from fleet.images.tags import resolve_image
from fleet.names import SEED_KEY
from fleet.plan.environment import UserPlan, make_plan
from fleet.plan.passwords import user_password
from fleet.stackfile.config import ExistingCluster
from fleet.stackfile.project_file import locate, read_yaml
from fleet.stackfile.reading import Environment
from fleet.values.secrecy import missing_seed

_LONGEST_LINE = 4096

Timeout = Annotated[float, typer.Option(help="Seconds to wait for the runtime.", min=1)]


def register(app: typer.Typer) -> None:
    """Add the commands to the `fleet` application."""
    app.command("status")(status)
    app.command("open")(open_workspace)
    app.command("password")(password)
    app.command("logs")(logs)
    app.command("restart")(restart_runtime)
    app.command("suspend")(suspend)
    app.command("resume")(resume)
    app.command("rescue")(rescue)
    app.command("purge-data", hidden=True)(purge_data)


def _one(stack: str, user: str) -> tuple[UserPlan, Environment]:
    environment = read_environment(stack)
    return find_user(make_plan(environment), user), environment


def _cluster(stack: str, environment: Environment, context: str | None) -> Cluster:
    """Return the cluster, which must answer; one that the stack made by the stack's own output."""
    if context is not None or isinstance(environment.config.cluster, ExistingCluster):
        return cluster_of(environment, context)
    # The engine's library takes half a second to import.
    from fleet.cli.deployment import Deployment  # noqa: PLC0415

    return Deployment.of(stack).cluster()


def status(
    stack: Stack = "dev",
    context: Context = None,
    volumes: Annotated[bool, typer.Option(help="Ask for volume use too.")] = True,
    as_json: Json = False,
) -> None:
    """Show every user: state, phase, last use, next wake, restarts, volume use, URL."""
    with reported():
        environment = read_environment(stack)
        cluster = _cluster(stack, environment, context)
        plan = make_plan(environment)
        rows = states(cluster, plan, volumes=volumes)
        noted = notes(cluster, plan)
        now = datetime.now(UTC)
        soon = [item.line(now) for item in expiring(cluster, environment.name, now)]
        if as_json:
            told = [{**row.as_json(), **backup_json(noted, row.user)} for row in rows]
            say_json({"users": told, "expiring": soon})
            return
        for line in soon:
            warn(line)
        head = ("USER", "STATE", "PHASE", "USED", "RESTARTS", "VOLUME", "IMAGE", "URL", "NOTE")
        if noted:
            head = (*head[:6], "BACKUP", *head[6:])
        lines = [
            (
                row.user,
                row.state,
                row.phase,
                _ago(row.last_used),
                str(row.restarts),
                row.volume,
                *backup_words(noted, row.user),
                row.image.rpartition("/")[2],
                row.url,
                "; ".join(filter(None, (row.note, _wakes(row.next_wake)))),
            )
            for row in rows
        ]
        say_table(head, lines)


def _ago(stamp: str) -> str:
    """Return how long ago something was, as a table has room for it."""
    if not stamp:
        return "-"
    minutes = max(0, int((datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds() // 60))
    for length, unit in ((24 * 60, "d"), (60, "h")):
        if minutes >= length:
            return f"{minutes // length}{unit} ago"
    return f"{minutes}m ago" if minutes else "now"


def _wakes(stamp: str) -> str:
    return f"wakes {datetime.fromisoformat(stamp).astimezone():%a %H:%M}" if stamp else ""


def open_workspace(
    user: User,
    scene: Annotated[str | None, typer.Option(help="Scene to open a chat in.")] = None,
    stack: Stack = "dev",
    context: Context = None,
    browser: Annotated[bool, typer.Option(help="Open the link in a browser.")] = True,
    as_json: Json = False,
) -> None:
    """Make a chat in a scene, print its link, open it."""
    with reported():
        found, environment = _one(stack, user)
        # A suspended user is told at once, whatever the cluster does.
        need_active(found)
        chat_folder(found, scene)
        link = open_session(_cluster(stack, environment, context), found, scene)
        if as_json:
            say_json({"user": found.id, "url": link})
            return
        say(link)
        warn(f"sign in as {found.id}, password: fleet password {found.id} -s {stack}")
        if browser and interactive():
            webbrowser.open(link)


def password(user: User, stack: Stack = "dev") -> None:
    """Print a user's password, and nothing else; it needs no cluster."""
    with reported():
        found, environment = _one(stack, user)
        if SEED_KEY not in environment.secret_keys:
            raise InputError([missing_seed()])
        say(password_of(stack, found))


def password_of(stack: str, user: UserPlan) -> str:
    """Return a user's password, derived from the stack file's seed; it needs no cluster."""
    return user_password(user, _seed(stack))


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
        for line in read_logs(_cluster(stack, environment, context), found, wanted):
            say(line, now=follow)


def restart_runtime(
    user: User,
    stack: Stack = "dev",
    context: Context = None,
    timeout: Timeout = 180,
    as_json: Json = False,
) -> None:
    """Restart a runtime and wait until it is ready; chats and files stay."""
    with reported():
        found, environment = _one(stack, user)
        need_active(found)
        cluster = _cluster(stack, environment, context)
        with reporting() as report:
            restart(cluster, found, timeout, report)
        if as_json:
            say_json({"user": user, "restarted": True})
            return
        say(f"{user}: restarted, ready")


def suspend(user: User, stack: Stack = "dev", context: Context = None) -> None:
    """Put a runtime to sleep now; opening it wakes it. `state: suspended` would keep it so."""
    with reported():
        found, environment = _one(stack, user)
        need_active(found)
        done = put_to_sleep(cluster_of(environment, context), found)
        say(f"{user}: {'asleep; opening it wakes it' if done else 'was asleep already'}")


def resume(
    user: User, stack: Stack = "dev", context: Context = None, timeout: Timeout = 180
) -> None:
    """Wake a sleeping runtime and wait until it is ready."""
    with reported():
        found, environment = _one(stack, user)
        need_active(found)
        cluster = cluster_of(environment, context)
        done = wake(cluster, found)
        with watching() as progress:
            failures = wait_ready(cluster, [found], timeout, progress)
        if failures:
            raise ClusterError("; ".join(map(str, failures)))
        say(f"{user}: {'ready' if done else 'was awake already, ready'}")


def rescue(
    user: User,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND", help="Run this, open no shell.")
    ] = None,
    stack: Stack = "dev",
    context: Context = None,
    image: Image = None,
    timeout: Timeout = 180,
) -> None:
    """Stop a user's runtime and open a shell on their volume; started again when it ends."""
    with reported():
        found, environment = _one(stack, user)
        reference = image or resolve_image(environment.config, environment.folder)
        secret = make_plan(environment).pull_secret
        cluster = _cluster(stack, environment, context)
        pod = rescue_manifest(found, reference, secret)
        with hung_up(), rescue_pod(cluster, found, pod, timeout, warn) as name:
            code = _in_rescue(cluster, found, name, command)
        raise SystemExit(code)


def _in_rescue(cluster: Cluster, user: UserPlan, pod: str, command: list[str] | None) -> int:
    """Run a command in the rescue pod, or a shell on the operator's terminal."""
    if not command:
        warn(f"{user.id}: /app and /data are theirs; leave with exit or Ctrl-D")
        return cluster.terminal(user.namespace, pod, CONTAINER, ["/bin/bash", "--noprofile"])
    done = cluster.exec(user.namespace, pod, CONTAINER, command)
    for line in done.out.splitlines():
        say(one_line(line, _LONGEST_LINE))
    for line in done.err.splitlines():
        warn(one_line(line, _LONGEST_LINE))
    return done.code


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
        cluster = _cluster(stack, environment, context)
        secret = make_plan(environment).pull_secret
        done = purge_user(cluster, environment.name, user, image, secret)
        say(f"{user}: deleted {', '.join(done)}" if done else f"{user}: nothing left to delete")
