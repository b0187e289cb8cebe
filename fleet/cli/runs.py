"""What the engine's commands do: check, ask, run, wait, tell.

Owns: the order of questions and what is printed. Leaves out: what may be typed (`cli.engine`), the
parts of a run (`engine.deploy`).
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fleet.cli.conditions import Conditions
from fleet.cli.deployment import Deployment, asked
from fleet.cli.ending import ending_of
from fleet.cli.progress import watching
from fleet.cli.shell import FAILED, say, say_json, warn
from fleet.cluster.client import Cluster
from fleet.cluster.door import wait_door
from fleet.cluster.owned import RETAINED_KINDS, labels_of, owned
from fleet.cluster.purge import purge_user
from fleet.cluster.report import Failure, Progress, failure_lines
from fleet.cluster.waiting import retry_stuck, wait_ready
from fleet.engine import parts
from fleet.engine.changes import Changes, find_changes
from fleet.engine.deploy import Before, Outcome, Share, deployed, look, named, retained
from fleet.engine.events import Phase, place_of
from fleet.engine.ownership import many_removed
from fleet.engine.parts import Watches
from fleet.engine.program import ROOT
from fleet.engine.progress import EngineWatch, Together
from fleet.engine.stack import EngineStack
from fleet.errors import CHANGES, InputError, Problem
from fleet.images.tags import RUNTIME, resolve_image
from fleet.names import LABEL_USER, slug
from fleet.stackfile.door import SignInMode
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
    stacks: Sequence[str]

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
            "stacks": list(self.stacks),
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
        with deployment.stack() as stack, deployment.held():
            before = _look(deployment, stack, existing)
            for line in warnings_of(deployment.environment):
                warn(line)
            _confirm_purge(deployment, before, confirmed=confirmed)
            _confirm_removal(deployment, before, confirmed=confirmed)
            _tell_absent(before)
            deployment.keep_seed(stack, before.seed)
            with watching() as progress:
                conditions = Conditions(deployment, stack, existing)
                done = _deploy(deployment, conditions, before, timeout, progress)
    _tell(deployment, done, as_json=as_json)


def _look(deployment: Deployment, first: EngineStack, existing: Cluster | None) -> Before:
    cluster = existing or deployment.made_cluster(first)
    seed = partial(deployment.written_seed, first)
    return look(deployment.stacks(first), cluster, deployment.plan, seed)


def _watches(deployment: Deployment, progress: Progress) -> Watches:
    """Return what gives listeners to runs: one progress for all that run together."""

    def watches(shares: Sequence[Share]) -> Callable[[Share], EngineWatch]:
        counts = {share.stack.name: _objects(share) for share in shares}
        together = Together(progress, sum(counts.values()))

        def watch(share: Share) -> EngineWatch:
            count = counts[share.stack.name]
            if share.pool is None and len(shares) == 1:
                return deployment.watch(progress, count)
            return deployment.watch(together.one(), count, share.pool)

        return watch

    return watches


def _objects(share: Share) -> int:
    """Return about how many objects a run has to do with."""
    held = share.state.resources if share.state is not None else 0
    return held if share.gone else share.stack.place.resources


def _deploy(
    deployment: Deployment,
    conditions: Conditions,
    before: Before,
    timeout: float | None,
    progress: Progress,
) -> _Done:
    plan = deployment.plan
    ran = parts.up(before, conditions, _watches(deployment, progress), progress.say)
    cluster, failures = conditions.cluster(), list(ran.failures)
    purged: list[str] = []
    stays: list[str] = []
    if cluster is not None:
        if timeout is not None:
            if not ran.failed:
                failures += wait_door(cluster, plan.door, timeout, progress)
            failures += _wait(deployment, cluster, timeout, failures, progress)
        if ran.outcome.error is None and not failures:
            purged = _purge(deployment, cluster)
        stays = retained(owned(cluster, plan.environment, RETAINED_KINDS))
    claims = _purge_claims(deployment, before)
    changes = find_changes(ran.steps, purge=claims, claims=_claims(before))
    return _Done(changes, ran.outcome, purged, stays, failures, ran.stacks)


def _confirm_purge(deployment: Deployment, before: Before, *, confirmed: bool) -> None:
    """Ask before data is deleted for good; raise InputError when nobody says yes."""
    claims = _purge_claims(deployment, before)
    listed = ", ".join(claim for of_user in claims.values() for claim in of_user)
    if claims and not confirmed and not asked(f"Delete for good: {listed}?"):
        rule = f"the data of these users is deleted for good: {listed}"
        change = "give --yes, or take them out of `purge:`; nothing was done"
        raise InputError([Problem("purge", ", ".join(claims), rule, change)])


def _confirm_removal(deployment: Deployment, before: Before, *, confirmed: bool) -> None:
    """Ask before many users lose their runtimes; raise InputError when nobody says yes."""
    who = many_removed(deployment.plan, before.live or {})
    if who is None or confirmed or asked(f"Remove {who}? Their claims are retained."):
        return
    rule, change = f"it removes {who}", "give --yes, or put them back; nothing was done"
    raise InputError([Problem("users", f"{len(deployment.plan.users)} users", rule, change)])


def _tell_absent(before: Before) -> None:
    for line in before.absent:
        warn(line)


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
        image = deployment.given.get(RUNTIME.variable)
        image = image or resolve_image(deployment.environment.config, ROOT)
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
    users = [user for user in deployment.plan.users if user.active]
    if as_json:
        urls = {user.id: user.url for user in users}
        url = deployment.plan.door.url
        say_json({"environment": name, **done.as_json(), "url": url, "urls": urls})
    else:
        for line in [*done.lines(), *_entrance(deployment, [user.id for user in users])]:
            say(line)
    if done.outcome.error is not None or done.failures:
        _fail(done.failures, done.outcome.error)


def _entrance(deployment: Deployment, users: Sequence[str]) -> Iterator[str]:
    """Yield where people sign in, and as whom."""
    name, door = deployment.place.name, deployment.plan.door
    yield door.url
    if door.access.sign_in.mode is not SignInMode.PASSWORD:
        return
    for user in users[:_LISTED]:
        yield f"  sign in as {user}, password: fleet password {user} -s {name}"
    if len(users) > _LISTED:
        yield f"  … and {len(users) - _LISTED} more: fleet status -s {name}"


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
            before = _look(deployment, stack, existing)
            _tell_absent(before)
            with watching() as progress, deployment.trial(before) as trial:
                whole = not trial.first.stack.part.divided
                conditions = Conditions(deployment, stack, existing, whole)
                ran = parts.preview(trial, conditions, _watches(deployment, progress))
    claims = _purge_claims(deployment, before)
    changes = find_changes(ran.steps, purge=claims, claims=_claims(before))
    drift = before.drift
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
    if ran.failed:
        _fail(ran.failures, None)
    if changes.anything or put_back or drift.unknown:
        raise SystemExit(CHANGES)


def destroy(deployment: Deployment, *, confirmed: bool, as_json: bool) -> None:
    """Delete what is not retained, after a question that names it."""
    with _ending_kindly():
        existing = deployment.existing_cluster()
        with deployment.stack() as stack, deployment.held():
            before = _look(deployment, stack, existing)
            end = ending_of(deployment, stack, before)
            if not confirmed and not asked(end.question):
                warn("destroy: not confirmed: nothing was deleted: give --yes")
                raise SystemExit(FAILED)
            shares = tuple(replace(share, gone=True) for share in before.shares)
            with watching() as progress:
                conditions = Conditions(deployment, stack, existing)
                going = replace(before, shares=shares)
                ran = parts.down(going, conditions, _watches(deployment, progress))
    if as_json:
        say_json({**end.as_json(), "failures": [str(failure) for failure in ran.failures]})
    if ran.failed:
        _fail(ran.failures, ran.outcome.error)
    if not as_json:
        for line in end.lines():
            say(line)


def refresh(deployment: Deployment) -> None:
    """Read the cluster into the state."""
    with _ending_kindly():
        deployment.existing_cluster()
        with deployment.stack() as stack, deployment.held(), watching() as progress:
            shares = deployed(deployment.stacks(stack))
            ran = parts.refresh(shares, _watches(deployment, progress))
    if ran.failed:
        _fail(ran.failures, ran.outcome.error)
    read = [step for step in ran.steps if step.phase is Phase.DONE and step.custom]
    differ = [f"{step.kind} {place_of(step.inputs)}" for step in read if step.op in _DIFFERS]
    say(f"{len(read)} objects read into the engine's state")
    if differ:
        say(f"differ from what they were made to be: {named(differ)}; fleet up puts them back")


def wait(deployment: Deployment, timeout: float, *, as_json: bool) -> None:
    """Wait for every active user's runtime."""
    with watching() as progress:
        cluster = deployment.cluster()
        failures = wait_door(cluster, deployment.plan.door, timeout, progress)
        failures += _wait(deployment, cluster, timeout, failures, progress)
    if as_json:
        say_json({"failures": [str(failure) for failure in failures]})
    elif not failures:
        say(f"{deployment.place.name}: the door and all runtimes are ready, or asleep")
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
