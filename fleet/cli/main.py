"""The `fleet` command: what changes an environment as a whole.

Day-to-day commands stand in `cli_runtimes`, image and secret ones in `cli_build`, cloud reports in
`cli_cloud`. Exit codes: 0 done, 1 failed, 2 wrong input.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fleet.cli import build as cli_build
from fleet.cli import cloud as cli_cloud
from fleet.cli import runtimes as cli_runtimes
from fleet.cli.options import Context, Image, Json, Stack
from fleet.cli.progress import reporting
from fleet.cli.shell import (
    FAILED,
    cluster_of,
    interactive,
    kubectl_of,
    need_existing,
    read_environment,
    reported,
    run,
    say,
    say_json,
    unsealed,
    warn,
)
from fleet.cluster.apply import (
    Outcome,
    delete_objects,
    make_objects,
    read_changes,
    refuse_other_engine,
)
from fleet.cluster.changes import Changes
from fleet.cluster.compare import changes_against_file
from fleet.cluster.kubectl import Kubectl
from fleet.cluster.lease import held, identity
from fleet.cluster.live import KEPT_KINDS, owned
from fleet.cluster.mending import restart_stale, undo_rolling_updates
from fleet.cluster.purge import purge_user
from fleet.cluster.rollout import unready, wait_ready
from fleet.cluster.summary import outcome_lines, plan_lines
from fleet.images.tags import resolve_image
from fleet.manifests.render import RenderInputs, as_stream, rendered_files, write_files
from fleet.plan.environment import UserPlan, make_plan
from fleet.stackfile.reading import Environment
from fleet.stackfile.schema import schema_text

app = typer.Typer(
    name="fleet",
    help="One isolated, persistent OpenCode workspace per user, from one stack file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
cli_runtimes.register(app)
cli_build.register(app)
cli_cloud.register(app)

TakeOver = Annotated[bool, typer.Option(help="Although Pulumi or GitOps deployed it.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for runtimes.", min=1)]


@app.command()
def validate(stack: Stack = "dev") -> None:
    """Check a stack file and its scenes; print every problem at once."""
    with reported():
        environment = read_environment(stack)
        count = len(environment.config.users)
        say(f"{stack}: {count} users, {len(environment.config.scenes)} scenes, no problems")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a stack file."""
    say(schema_text().rstrip("\n"))


@app.command()
def render(
    out: Annotated[str, typer.Option("-o", "--out", help="Folder to write, or - to print.")],
    stack: Stack = "dev",
    image: Image = None,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Secrets with their data: for a sealer, kubectl.")
    ] = False,
) -> None:
    """Write the environment's manifests as YAML; no secret value unless asked."""
    with reported():
        environment = read_environment(stack)
        need_existing(environment)
        reference = _image(environment, image)
        inputs = RenderInputs(image=reference, secrets=unsealed(stack), with_secrets=with_secrets)
        files = rendered_files(make_plan(environment), inputs)
        if out == "-":
            say(as_stream(files).rstrip("\n"))
            return
        count = write_files(files, Path(out), private=with_secrets)
        told = (
            "Secrets in them hold data: keep them to yourself"
            if with_secrets
            else ("Secrets in them have no data")
        )
        say(f"{out}: {count} files and kustomization.yaml; {told}")


@app.command("plan")
def show_plan(
    stack: Stack = "dev",
    against: Annotated[str, typer.Option(help="`live`, or another stack file.")] = "live",
    image: Image = None,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Show who is created, restarted, resized, suspended, removed, retained; change nothing."""
    with reported():
        environment = read_environment(stack)
        plan = make_plan(environment)
        reference = _image(environment, image)
        if against == "live":
            need_existing(environment)
            kubectl = kubectl_of(environment, context)
            changes, _ = read_changes(kubectl, unsealed(stack), plan, reference)
        else:
            before = read_environment(against)
            changes = changes_against_file(
                unsealed(stack), plan, reference, before, unsealed(against)
            )
        if as_json:
            say_json(changes.as_json())
        else:
            for line in plan_lines(changes):
                say(line)


@app.command()
def apply(
    stack: Stack = "dev",
    image: Image = None,
    context: Context = None,
    wait: Annotated[bool, typer.Option(help="Wait until runtimes are ready.")] = True,
    timeout: Timeout = 300,
    take_over: TakeOver = False,
    as_json: Json = False,
) -> None:
    """Bring the cluster to what the stack file says; apply only what differs."""
    with reported():
        environment = read_environment(stack)
        need_existing(environment)
        plan = make_plan(environment)
        secrets = unsealed(stack)
        reference = _image(environment, image)
        kubectl = kubectl_of(environment, context)
        with held(kubectl, environment.name, identity()):
            changes, live = read_changes(kubectl, secrets, plan, reference)
            if not take_over:
                refuse_other_engine(environment.name, live)
            users = unready(plan.users, live, (item.key for item in changes.apply)) if wait else []
            users += [user for user in changes.stale if wait and user not in users]
            undo_rolling_updates(kubectl, changes, live)
            outcome = _apply(kubectl, environment.name, users, changes, timeout)
            for user_id in () if outcome.failures else plan.purge:
                cluster = cluster_of(environment, context)
                done = purge_user(cluster, environment.name, user_id, reference)
                outcome.deleted.extend(done)
        if as_json:
            urls = {user.id: user.url for user in plan.users if user.active}
            say_json({**outcome.as_json(), "retained": list(changes.retained), "urls": urls})
        else:
            for line in outcome_lines(plan, changes, outcome):
                say(line)
        if outcome.failures:
            for failure in outcome.failures:
                warn(str(failure))
            warn("the rest was done; mend the cause and run this again: it goes on from here")
            raise SystemExit(FAILED)


def _apply(
    kubectl: Kubectl,
    environment: str,
    wait_for: Sequence[UserPlan],
    changes: Changes,
    timeout: float,
) -> Outcome:
    outcome = Outcome()
    with reporting() as report:
        make_objects(kubectl, changes.apply, outcome, report)
        restart_stale(kubectl, changes)
        broken = {failure.user for failure in outcome.failures}
        users = [user for user in wait_for if user.id not in broken]
        outcome.failures.extend(wait_ready(kubectl, environment, users, timeout, report))
        # Pods of users whose update failed may still mount scenes that are no longer rendered.
        kept = {"ConfigMap"} if outcome.failures else set[str]()
        goes = [item for item in changes.delete if item["kind"] not in kept]
        delete_objects(kubectl, goes, outcome)
    return outcome


@app.command()
def destroy(
    stack: Stack = "dev",
    context: Context = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    take_over: TakeOver = False,
    as_json: Json = False,
) -> None:
    """Delete everything of an environment but namespaces and claims: nobody's work."""
    with reported():
        environment = read_environment(stack)
        need_existing(environment)
        kubectl = kubectl_of(environment, context)
        if not yes and not (
            interactive() and typer.confirm(f"Delete the runtimes of {environment.name}?", err=True)
        ):
            warn("destroy: not confirmed: nothing was deleted: give --yes")
            raise SystemExit(FAILED)
        with held(kubectl, environment.name, identity()):
            live = owned(kubectl, environment.name)
            if not take_over:
                refuse_other_engine(environment.name, live)
            outcome = Outcome()
            goes = [item for item in live.values() if item["kind"] not in KEPT_KINDS]
            delete_objects(kubectl, goes, outcome)
        kept = sorted(str(key) for key in live if key.kind in KEPT_KINDS)
        if as_json:
            say_json({"deleted": outcome.deleted, "retained": kept})
            return
        say(f"deleted {len(outcome.deleted)} objects; kept, with everybody's work:")
        for name in kept:
            say(f"  {name}")
        say(
            "`fleet apply` finds it again; list ids under `purge:` to delete a user's data for good"
        )


def _image(environment: Environment, given: str | None) -> str:
    return given or resolve_image(environment.config, environment.folder)


def main() -> None:
    """Run the command line."""
    run(app)
