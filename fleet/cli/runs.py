"""What the engine's commands do: check, ask, run, wait, tell.

Owns: the order of questions and what is printed. Leaves out: what may be typed (`cli.engine`), the
parts of a run (`engine.deploy`).
"""

from __future__ import annotations

import signal
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from fleet.cli.deployment import Deployment, asked
from fleet.cli.progress import watching
from fleet.cli.shell import FAILED, say, say_json, warn
from fleet.cluster.client import Cluster
from fleet.cluster.owned import RETAINED_KINDS, labels_of, owned
from fleet.cluster.purge import purge_user
from fleet.cluster.report import Failure, Progress, failure_lines
from fleet.cluster.waiting import retry_stuck, wait_ready
from fleet.engine.changes import Changes, find_changes
from fleet.engine.deploy import Before, Outcome, look, named, prepare, retained, settle
from fleet.engine.deploy import destroy as destroy_all
from fleet.engine.deploy import run as run_engine
from fleet.engine.events import Phase, place_of
from fleet.engine.program import ROOT
from fleet.engine.stack import EngineStack
from fleet.errors import CHANGES, InputError, Problem
from fleet.images.tags import resolve_image
from fleet.names import LABEL_USER, slug
from fleet.stackfile.warnings import warnings_of

_LISTED = 40
_DIFFERS = frozenset({"update", "delete"})
_GOES_ON = "the rest was done; mend the cause and run this again: it goes on from here"


@dataclass(frozen=True, slots=True)
class _Done:
    """All that is to be told of a run."""

    changes: Changes
    outcome: Outcome
    purged: Sequence[str]
    retained: Sequence[str]
    failures: Sequence[Failure]

    def as_json(self) -> dict[str, Any]:
        failures = [str(failure) for failure in self.failures]
        if self.outcome.error is not None and not failures:
            failures = [self.outcome.error]
        return {
            "changes": self.changes.as_json(),
            **self.outcome.as_json(),
            "purged": list(self.purged),
            "retained": list(self.retained),
            "failures": failures,
        }

    def lines(self) -> Sequence[str]:
        outcome = self.outcome
        lines = self.changes.lines(done=True)
        if outcome.put_back:
            lines.append(f"put back  {named(outcome.put_back)}")
        if outcome.deleted:
            lines.append(f"deleted   {named(outcome.deleted)}: ours, and no longer wanted")
        if outcome.restarted:
            lines.append(f"restarted {named(outcome.restarted)}: their Secret had been edited")
        return [*lines, *(f"purged    {item}" for item in self.purged)]


def up(deployment: Deployment, timeout: float | None, *, confirmed: bool, as_json: bool) -> None:
    """Deploy, wait for the runtimes unless `timeout` is None, purge, say what was done."""
    with _ending_kindly():
        existing = deployment.existing_cluster()
        with deployment.stack() as stack:
            cluster = existing or deployment.made_cluster(stack)
            before = look(stack, cluster, deployment.plan, partial(deployment.written_seed, stack))
            for line in warnings_of(deployment.environment):
                warn(line)
            _confirm_purge(deployment, before, confirmed=confirmed)
            deployment.keep_seed(stack, before.seed)
            with watching() as progress:
                done = _deploy(deployment, stack, existing, before, timeout, progress)
            stack.tidy()
    _tell(deployment, done, as_json=as_json)


def _deploy(
    deployment: Deployment,
    stack: EngineStack,
    existing: Cluster | None,
    before: Before,
    timeout: float | None,
    progress: Progress,
) -> _Done:
    plan = deployment.plan
    former = existing or deployment.made_cluster(stack)
    recovery = prepare(stack, former, before, progress.say)
    watch = deployment.watch(progress)
    outcome = run_engine(stack, deployment.program(), recovery, watch)
    cluster = existing or deployment.made_cluster(stack)
    if cluster is not None:
        # One that went away in mid-run is told at once, not after every user's wait.
        cluster.ready()
        # Now and then the API server refuses an object because another one was counted against the
        # pool's quota at the same moment (409); once more is enough for those.
        if outcome.error is not None and watch.begin_again():
            outcome = run_engine(stack, deployment.program(), recovery, watch)
    failures = list(watch.failures)
    purged: list[str] = []
    stays: list[str] = []
    if cluster is not None:
        if outcome.error is None:
            settle(stack, cluster, plan, recovery, outcome)
        if timeout is not None:
            failures += _wait(deployment, cluster, timeout, failures, progress)
        if outcome.error is None and not failures:
            purged = _purge(deployment, cluster)
        stays = retained(owned(cluster, plan.environment, RETAINED_KINDS))
    claims = _purge_claims(deployment, before)
    changes = find_changes(watch.happened(), purge=claims, claims=_claims(before))
    return _Done(changes, outcome, purged, stays, failures)


def _confirm_purge(deployment: Deployment, before: Before, *, confirmed: bool) -> None:
    """Ask before data is deleted for good; raise InputError when nobody says yes."""
    claims = _purge_claims(deployment, before)
    listed = ", ".join(claim for of_user in claims.values() for claim in of_user)
    if claims and not confirmed and not asked(f"Delete for good: {listed}?"):
        rule = f"the data of these users is deleted for good: {listed}"
        change = "give --yes, or take them out of `purge:`; nothing was done"
        raise InputError([Problem("purge", ", ".join(claims), rule, change)])


def _purge_claims(deployment: Deployment, before: Before) -> dict[str, list[str]]:
    """Return the claims that are there of users whose data is to be deleted for good."""
    owners = _claims(before)
    claims = {
        user: [name for name, owner in owners.items() if owner == slug(user)]
        for user in deployment.plan.purge
    }
    return {user: names for user, names in claims.items() if names}


def _claims(before: Before) -> dict[str, str]:
    """Return the users' claims in the cluster, each with its user as the label has it."""
    return {
        f"{key.namespace}/{key.name}": owner
        for key, item in (before.live or {}).items()
        if key.kind == "PersistentVolumeClaim" and (owner := labels_of(item).get(LABEL_USER))
    }


def _purge(deployment: Deployment, cluster: Cluster) -> list[str]:
    """Delete the data of everybody listed; one that is gone already costs one look."""
    plan, done = deployment.plan, list[str]()
    for user in plan.purge:
        image = deployment.image or resolve_image(deployment.environment.config, ROOT)
        done += purge_user(cluster, plan.environment, user, image, plan.pull_secret)
    return done


def _wait(
    deployment: Deployment,
    cluster: Cluster,
    timeout: float,
    failed: Sequence[Failure],
    progress: Progress,
) -> list[Failure]:
    broken = {failure.user for failure in failed}
    users = [user for user in deployment.plan.users if user.active and user.id not in broken]
    if not users:
        return []
    retry_stuck(cluster, users)
    return wait_ready(cluster, users, timeout, progress)


def _tell(deployment: Deployment, done: _Done, *, as_json: bool) -> None:
    name = deployment.place.name
    urls = {user.id: user.url for user in deployment.plan.users if user.active}
    if as_json:
        say_json({"environment": name, **done.as_json(), "urls": urls})
    else:
        for line in done.lines():
            say(line)
        for user, url in list(urls.items())[:_LISTED]:
            say(f"{url}  user {user}, password: fleet password {user} -s {name}")
        if len(urls) > _LISTED:
            say(f"… and {len(urls) - _LISTED} more: fleet status -s {name}")
    if done.outcome.error is not None or done.failures:
        _fail(done.failures, done.outcome.error)


def _fail(failures: Sequence[Failure], error: str | None) -> None:
    for line in failure_lines(failures) or [error or ""]:
        warn(line)
    warn(_GOES_ON)
    raise SystemExit(FAILED)


def preview(deployment: Deployment, *, as_json: bool) -> None:
    """Say what `up` would do; exit code 3 when it is anything."""
    with _ending_kindly():
        existing = deployment.existing_cluster()
        with deployment.stack() as stack:
            cluster = existing or deployment.made_cluster(stack)
            before = look(stack, cluster, deployment.plan, partial(deployment.written_seed, stack))
            with watching() as progress, deployment.trial(stack, before) as trial:
                watch = deployment.watch(progress)
                trial.preview(deployment.program(), watch)
    claims = _purge_claims(deployment, before)
    changes = find_changes(watch.planned(), purge=claims, claims=_claims(before))
    drift = before.drift(deployment.place.name)
    put_back = [*(record.key for record in drift.missing), *(e.record.key for e in drift.edited)]
    if as_json:
        back, over = [str(key) for key in put_back], [str(key) for key in drift.unknown]
        say_json({**changes.as_json(), "putBack": back, "takenOver": over})
    else:
        lines = changes.lines() if changes.anything else []
        if put_back:
            lines.append(f"put back  {named(put_back)}: deleted or edited by somebody")
        if drift.unknown:
            lines.append(f"take over {named(drift.unknown)}: ours, but unknown to the engine")
        for line in lines or ["nothing to do"]:
            say(line)
    if changes.anything or put_back or drift.unknown:
        raise SystemExit(CHANGES)


def destroy(deployment: Deployment, *, confirmed: bool, as_json: bool) -> None:
    """Delete what is not retained, after a question that names it."""
    name = deployment.place.name
    with _ending_kindly():
        existing = deployment.existing_cluster()
        with deployment.stack() as stack:
            cluster = existing or deployment.made_cluster(stack)
            before = look(stack, cluster, deployment.plan, partial(deployment.written_seed, stack))
            live = before.live or {}
            stays = retained(live)
            question = (
                f"Delete {len(live) - len(stays)} objects of {name}, among them the runtimes of its"
                f" users? {len(stays)} namespaces and claims are retained."
            )
            if not confirmed and not asked(question):
                warn("destroy: not confirmed: nothing was deleted: give --yes")
                raise SystemExit(FAILED)
            with watching() as progress:
                watch = deployment.watch(progress, len(before.state.objects) if before.state else 0)
                outcome = destroy_all(stack, cluster, before, watch)
    if as_json:
        goes = [str(key) for key in live if str(key) not in stays]
        told = {"environment": name, "deleted": goes, "retained": stays}
        say_json({**told, "failures": [str(failure) for failure in watch.failures]})
    if outcome.error is not None:
        _fail(watch.failures, outcome.error)
    if not as_json:
        _tell_destroyed(name, stays)


def _tell_destroyed(name: str, stays: Sequence[str]) -> None:
    say(f"{name}: destroyed; retained, with everybody's work:")
    for item in stays[:_LISTED]:
        say(f"  {item}")
    if len(stays) > _LISTED:
        say(f"  … and {len(stays) - _LISTED} more")
    say("`fleet up` finds it again; list ids under `purge:` to delete a user's data for good")


def refresh(deployment: Deployment) -> None:
    """Read the cluster into the state."""
    with _ending_kindly():
        deployment.existing_cluster()
        with deployment.stack() as stack:
            stack.clear_dead_locks()
            with watching() as progress:
                watch = deployment.watch(progress)
                stack.refresh(watch)
    read = [step for step in watch.happened() if step.phase is Phase.DONE and step.custom]
    differ = [f"{step.kind} {place_of(step.inputs)}" for step in read if step.op in _DIFFERS]
    say(f"{len(read)} objects read into the engine's state")
    if differ:
        say(f"differ from what they were made to be: {named(differ)}; fleet up puts them back")


def wait(deployment: Deployment, timeout: float, *, as_json: bool) -> None:
    """Wait for every active user's runtime."""
    with watching() as progress:
        failures = _wait(deployment, deployment.cluster(), timeout, (), progress)
    if as_json:
        say_json({"failures": [str(failure) for failure in failures]})
    elif not failures:
        say(f"{deployment.place.name}: every active user's runtime is ready")
    if failures:
        for line in failure_lines(failures):
            warn(line)
        raise SystemExit(FAILED)


@contextmanager
def _ending_kindly() -> Generator[None]:
    """Let a command that is told to end clean up, as one that is interrupted does."""
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
