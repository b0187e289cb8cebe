"""A deployment from beginning to end: checks, way back, engine, what comes after it.

Nothing is touched before everything that can be checked has been. Leaves out: asking the operator,
sealing the seed, printing (`cli.deployment`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from pulumi.automation.events import EngineEvent

from fleet.cluster.client import Cluster, Live
from fleet.cluster.owned import RETAINED_KINDS, Key, owned
from fleet.cluster.runtimes import restart
from fleet.engine.claims import claim_problems
from fleet.engine.drift import Drift, find_drift
from fleet.engine.ownership import identities, refuse_foreign
from fleet.engine.recovery import Recovery, changed_secrets, delete_unknown, recover
from fleet.engine.seed import Seed, choose_seed
from fleet.engine.stack import EngineStack, Program, RunFailedError
from fleet.engine.state import NOTHING, State
from fleet.engine.surroundings import absent, growth_problems, refuse_taken_hosts
from fleet.errors import InputError
from fleet.names import slug
from fleet.plan.environment import Plan

Listener = Callable[[EngineEvent], None]
_RESTART_SECONDS = 180.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """What there is before a run."""

    state: State | None
    """None where there is no stack yet."""
    live: Mapping[Key, Live] | None
    """The environment's objects; None where there is no cluster yet."""
    seed: Seed
    absent: Sequence[str] = ()
    """What the stack file names and the cluster does not have, a line each."""

    def drift(self, environment: str) -> Drift:
        """Return how the cluster differs from the state."""
        return find_drift(environment, self.state or NOTHING, self.live or {})


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What a run did beside what the engine's events tell."""

    put_back: list[str] = field(default_factory=list[str])
    """Objects that somebody had deleted or edited."""
    taken_over: list[str] = field(default_factory=list[str])
    """Objects of ours that no state knew."""
    deleted: list[str] = field(default_factory=list[str])
    """Objects of ours that neither a state nor the stack file knew."""
    restarted: list[str] = field(default_factory=list[str])
    """Users whose pod may have read a Secret that somebody had edited."""
    error: str | None = None
    """What ended the engine with an error; its events say more."""

    def as_json(self) -> dict[str, Any]:
        """Return the outcome for `--json`."""
        return {
            "putBack": self.put_back,
            "takenOver": self.taken_over,
            "deleted": self.deleted,
            "restarted": self.restarted,
        }


def look(
    stack: EngineStack,
    cluster: Cluster | None,
    plan: Plan,
    written_seed: Callable[[], str | None],
) -> Before:
    """Find out what there is, and refuse what cannot work; nothing is touched.

    Raises InputError for what existing claims forbid, ClusterError for what is somebody else's,
    EngineError while another run is under way.
    """
    stack.clear_dead_locks()
    # Opening the seed, a listing and reading the state take a second together, most of it waiting.
    with ThreadPoolExecutor(2) as pool:
        opened = pool.submit(written_seed)
        listed = pool.submit(owned, cluster, plan.environment) if cluster is not None else None
        state = stack.state()
    live = listed.result() if listed is not None else None
    known = identities(live or {})
    missing: Sequence[str] = ()
    seed = choose_seed(plan.environment, opened.result(), stack.settings.data, known.values())
    if cluster is not None and live is not None:
        refuse_foreign(cluster, plan, live, seed.identity)
        problems = claim_problems(plan, live) + growth_problems(cluster, plan, live)
        if problems:
            raise InputError(problems)
        refuse_taken_hosts(cluster, plan)
        missing = absent(cluster, plan, live)
    return Before(state=state, live=live, seed=seed, absent=missing)


def prepare(
    stack: EngineStack, cluster: Cluster | None, before: Before, tell: Callable[[str], None]
) -> Recovery:
    """Find the way back from whatever happened since the last run; say what it is."""
    if cluster is None or before.live is None:
        return Recovery()
    recovery = recover(stack, cluster, before.state or NOTHING, before.live, _ignore)
    put_back = recovery.put_back
    if put_back:
        tell(f"deleted or edited by somebody, put back: {named(put_back)}")
    if recovery.unknown:
        tell(f"ours, but unknown to the engine, taken over: {named(recovery.unknown)}")
    return recovery


def run(stack: EngineStack, program: Program, recovery: Recovery, listen: Listener) -> Outcome:
    """Run the engine; an error of it is in the outcome."""
    outcome = Outcome(put_back=[str(key) for key in recovery.put_back])
    try:
        stack.up(program, listen, recovery.variables)
    except RunFailedError as error:
        outcome.error = str(error)
    return outcome


def settle(
    stack: EngineStack, cluster: Cluster, plan: Plan, recovery: Recovery, outcome: Outcome
) -> None:
    """After a run that worked: delete what nobody knows, restart who may hold an old password."""
    gone = delete_unknown(stack, cluster, recovery.unknown)
    outcome.deleted = [str(key) for key in gone]
    outcome.taken_over = [str(key) for key in recovery.unknown if key not in set(gone)]
    changed = changed_secrets(cluster, recovery.secrets)
    for user in plan.users:
        if user.active and slug(user.id) in changed:
            restart(cluster, user, _RESTART_SECONDS, _report_nothing)
            outcome.restarted.append(user.id)


def destroy(
    stack: EngineStack, cluster: Cluster | None, before: Before, listen: Listener
) -> Outcome:
    """Delete all that is not retained, what no state knows too."""
    outcome = Outcome()
    if before.state is not None:
        try:
            stack.destroy(listen)
        except RunFailedError as error:
            outcome.error = str(error)
    if cluster is not None and outcome.error is None:
        left = (
            replace(before, state=None, live=owned(cluster, stack.name)).drift(stack.name).unknown
        )
        outcome.deleted = [str(key) for key in delete_unknown(stack, cluster, left)]
    return outcome


def retained(live: Mapping[Key, Live]) -> list[str]:
    """Return what a `destroy` leaves in the cluster."""
    return sorted(str(key) for key in live if key.kind in RETAINED_KINDS)


_NAMED = 3


def named(items: Sequence[object]) -> str:
    """Return objects as part of a line: some by name, the rest as a number."""
    more = len(items) - _NAMED
    listed = ", ".join(str(item) for item in items[:_NAMED])
    return f"{listed} and {more} more" if more > 0 else listed


def _ignore(event: EngineEvent) -> None:
    del event


def _report_nothing(step: str, done: int, total: int, waiting: Sequence[str] = ()) -> None:
    del step, done, total, waiting
