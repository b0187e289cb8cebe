"""A deployment from beginning to end: checks, seed, way back, engine, what comes after it.

Nothing is touched before everything that can be checked has been. Leaves out: asking the operator
and printing (`cli.engine`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pulumi.automation.events import EngineEvent

from fleet.cluster.client import Cluster, Live
from fleet.cluster.owned import RETAINED_KINDS, Key, owned
from fleet.engine.claims import claim_problems
from fleet.engine.ownership import identities, refuse_foreign
from fleet.engine.recovery import Recovery, recover, settle
from fleet.engine.seed import Origin, Seed, choose_seed, remember_seed
from fleet.engine.stack import EngineStack, Program, RunFailedError
from fleet.engine.state import NOTHING, State
from fleet.errors import InputError
from fleet.plan.environment import Plan

Listener = Callable[[EngineEvent], None]
_NAMED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What there is before a run."""

    state: State | None
    """None where there is no stack yet."""
    live: Mapping[Key, Live] | None
    """The environment's objects; None where there is no cluster yet."""
    seed: Seed


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
    failed: bool = False
    """Whether the engine ended with errors; its events say which."""

    def as_json(self) -> dict[str, Any]:
        """Return the outcome for `--json`."""
        return {
            "putBack": self.put_back,
            "takenOver": self.taken_over,
            "deleted": self.deleted,
            "restarted": self.restarted,
        }


def look(
    stack: EngineStack, cluster: Cluster | None, plan: Plan, secrets: Mapping[str, str]
) -> Found:
    """Find out what there is, and refuse what cannot work; nothing is touched.

    Raises InputError for what existing claims forbid, ClusterError for what is somebody else's,
    EngineError while another run is under way.
    """
    stack.clear_dead_locks()
    live = owned(cluster, plan.environment) if cluster is not None else None
    known = identities(live or {})
    seed = choose_seed(plan.environment, secrets, stack.settings.data, known.values())
    if cluster is not None and live is not None:
        refuse_foreign(cluster, plan, live, seed.identity)
        problems = claim_problems(plan, live)
        if problems:
            raise InputError(problems)
    return Found(state=stack.state(), live=live, seed=seed)


def deploy(  # noqa: PLR0913 - each is a thing of its own
    stack: EngineStack,
    cluster: Cluster | None,
    program: Program,
    found: Found,
    listen: Listener,
    tell: Callable[[str], None],
) -> Outcome:
    """Run the engine, with the way back before it and what nobody knows deleted after it."""
    outcome = Outcome()
    recovery = Recovery()
    if found.state is None:
        stack.create(None)
    if cluster is not None and found.live is not None:
        state = found.state or NOTHING
        recovery = recover(stack, cluster, state, found.live, _ignore)
        outcome.put_back = [str(key) for key in (*recovery.missing, *recovery.edited)]
        if outcome.put_back:
            tell(f"deleted or edited by somebody, put back: {_named(outcome.put_back)}")
        if recovery.unknown:
            tell(f"ours, but unknown to the engine, taken over: {_named(recovery.unknown)}")
    try:
        stack.up(program, listen, recovery.variables)
    except RunFailedError:
        outcome.failed = True
    if cluster is not None and not outcome.failed:
        deleted, outcome.restarted = settle(stack, cluster, recovery)
        outcome.deleted = [str(key) for key in deleted]
        gone = set(deleted)
        outcome.taken_over = [str(key) for key in recovery.unknown if key not in gone]
    return outcome


def keep_seed(stack: EngineStack, environment: str, seed: Seed) -> None:
    """Remember a seed that was made or found here."""
    if seed.origin is Origin.MADE:
        remember_seed(environment, stack.settings.data, seed.text)


def destroy(stack: EngineStack, listen: Listener) -> bool:
    """Delete all that is not retained; return whether all of it went."""
    try:
        stack.destroy(listen)
    except RunFailedError:
        return False
    return True


def retained(live: Mapping[Key, Live]) -> list[str]:
    """Return what a `destroy` leaves in the cluster."""
    return sorted(str(key) for key in live if key.kind in RETAINED_KINDS)


def _ignore(event: EngineEvent) -> None:
    del event


def _named(items: Sequence[object]) -> str:
    more = len(items) - _NAMED
    listed = ", ".join(str(item) for item in items[:_NAMED])
    return f"{listed} and {more} more" if more > 0 else listed
