"""`fleet move`: a user to another pool, with all their work, by a backup and a restore.

Apart from `cli.backup` because it runs the engine, which takes half a second to import.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fleet.cli.options import Context, DoorImage, Image, Stack, User
from fleet.cli.progress import reporting
from fleet.cli.shell import (
    FAILED,
    cluster_of,
    hung_up,
    interactive,
    read_environment,
    reported,
    say,
    warn,
)
from fleet.cluster import backups
from fleet.cluster.client import Cluster
from fleet.cluster.runtimes import find_user
from fleet.errors import ClusterError, InputError, Problem
from fleet.images.tags import given_images
from fleet.plan.environment import UserPlan, make_plan
from fleet.stackfile.reading import Environment
from fleet.stackfile.roster_edit import edit_file, set_field


def register(app: typer.Typer) -> None:
    """Add the command to the `fleet` application."""
    app.command("move")(move)


def move(
    user: User,
    pool: Annotated[str, typer.Option(help="The pool to move to.")],
    stack: Stack = "dev",
    context: Context = None,
    image: Image = None,
    door_image: DoorImage = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Move a user to another pool: backup, edit of the stack file, update, restore."""
    with reported():
        environment = read_environment(stack)
        found = find_user(make_plan(environment), user)
        _need_way(environment, found, pool)
        cluster = cluster_of(environment, context)
        warn(
            f"{user}: the runtime is stopped and backed up, the stack file edited (pool: {pool}),"
            f" the environment brought up, the work restored; claim {found.namespace}/{found.name}"
            " stays as it is"
        )
        if not yes and not (interactive() and typer.confirm("Move?", err=True)):
            warn("move: not confirmed: nothing was changed: give --yes")
            raise SystemExit(FAILED)
        made = _parted(cluster, found, stack, pool)
        from fleet.cli import runs  # noqa: PLC0415

        deployment = runs.Deployment.of(stack, context, given_images(image, door_image))
        runs.up(deployment, None, confirmed=yes, as_json=False)
        moved = find_user(make_plan(read_environment(stack)), user)
        name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        with hung_up(), reporting() as report:
            wanted: dict[str, object] = {"at": made, "paths": [], "name": name}
            done = backups.restore(cluster, moved, wanted, report)
        say(f"{user}: is in pool {pool} with the work of {done['at']}")
        say(f"the old claim is retained: {found.namespace}/{found.name}")


def _need_way(environment: Environment, found: UserPlan, pool: str) -> None:
    plan_pool = backups.pool_of(make_plan(environment), found)
    known = sorted({"default", *environment.config.pools})
    if pool not in known:
        rule, change = "no such pool", f"use one of {', '.join(known)}, or add it under pools"
        raise InputError([Problem("--pool", pool, rule, change)])
    if pool == found.pool:
        raise InputError([Problem("--pool", pool, "the user is in it", "name another")])
    if plan_pool.backup is not None and plan_pool.backup.repository.claim is not None:
        rule = "backups on a claim are of one pool alone"
        raise InputError([Problem("backup.repository", "claim", rule, "use s3 or nfs to move")])


def _parted(cluster: Cluster, found: UserPlan, stack: str, pool: str) -> str:
    """Back the stopped user up and edit the file; return the backup. Else all is as it was."""
    with hung_up(), reporting() as report, backups.stopped(cluster, found, report) as held:
        done = backups.back_up(cluster, found, report)
        if not done["ok"]:
            raise ClusterError(f"user {found.id}: {done.get('error')}: nothing was changed")
        edit_file(stack, Path.cwd(), partial(set_field, user_id=found.id, key="pool", value=pool))
        warn(f"{found.id}: pool: {pool} stands in the stack file")
        # The update deletes this runtime; until then nobody shall write what no backup has.
        held.stay()
        return str(done["snapshot"])
