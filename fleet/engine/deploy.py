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
from fleet.cluster.owned import Key, is_retained, labels_of, owned
from fleet.cluster.runtimes import deployment_of, is_asleep, restart
from fleet.engine.claims import claim_problems
from fleet.engine.drift import Drift, find_drift
from fleet.engine.looked import Looked
from fleet.engine.ownership import identities, refuse_foreign
from fleet.engine.recovery import (
    Recovery,
    changed_secrets,
    delete_unknown,
    recover,
    stale_managers,
)
from fleet.engine.seed import Seed, choose_seed
from fleet.engine.stack import EngineStack, Program, RunFailedError
from fleet.engine.state import NOTHING, State
from fleet.engine.surroundings import absent, growth_problems, refuse_taken_hosts
from fleet.errors import InputError, Problem
from fleet.names import LABEL_POOL, slug
from fleet.plan.environment import Plan, UserPlan
from fleet.plan.stacks import Part

Listener = Callable[[EngineEvent], None]
_RESTART_SECONDS = 180.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """One stack of an environment before a run: what it is to have, and what it has."""

    stack: EngineStack
    plan: Plan
    """What of the environment's plan is this stack's."""
    state: State | None
    """None where there is no stack yet."""
    live: Mapping[Key, Live] | None
    """The objects in the cluster that belong to it; None where there is no cluster yet."""
    done: str = ""
    """What the last run that worked has written down."""
    gone: bool = False
    """Whether its pool has left the stack file."""
    settled: bool = False
    """Whether state and cluster were found alike: neither holds its objects here then."""

    @property
    def pool(self) -> str | None:
        """The pool that the stack is of, if of one."""
        return self.stack.part.pool

    @property
    def drift(self) -> Drift:
        """How the cluster differs from the state."""
        if self.settled:
            return Drift()
        return find_drift(self.stack.environment, self.state or NOTHING, self.live or {})

    def unchanged(self, digest: str) -> bool:
        """Return whether a run that declares what `digest` stands for would find nothing to do.

        Whoever has written the state since the run that is written down may have changed anything:
        another machine, `pulumi` by hand, a `refresh`, a run that was cut off.
        """
        state = self.state
        if state is None or self.gone or self.done != mark(digest, state):
            return False
        return not state.pending and self.drift == Drift()


def mark(digest: str, state: State) -> str:
    """Return what is written down of a run that worked: what it declared, the state it left."""
    return f"{digest} {state.written}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """What there is before a run."""

    shares: tuple[Share, ...]
    """The only stack or the base stack, then the stacks of pools, by name."""
    live: Mapping[Key, Live] | None
    """The environment's objects; None where there is no cluster yet."""
    seed: Seed
    absent: Sequence[str] = ()
    """What the stack file names and the cluster does not have, a line each."""

    @property
    def first(self) -> Share:
        """The only stack, or the base stack."""
        return self.shares[0]

    @property
    def drift(self) -> Drift:
        """How the cluster differs from all states."""
        found = [share.drift for share in self.shares]
        return Drift(
            missing=tuple(record for drift in found for record in drift.missing),
            edited=tuple(edit for drift in found for edit in drift.edited),
            unknown=tuple(key for drift in found for key in drift.unknown),
            leaving=tuple(key for drift in found for key in drift.leaving),
        )


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

    def add(self, other: Outcome) -> None:
        """Take in what another stack's run did."""
        self.put_back += other.put_back
        self.taken_over += other.taken_over
        self.deleted += other.deleted
        self.restarted += other.restarted
        self.error = self.error or other.error

    def as_json(self) -> dict[str, Any]:
        """Return the outcome for `--json`."""
        return {
            "putBack": self.put_back,
            "takenOver": self.taken_over,
            "deleted": self.deleted,
            "restarted": self.restarted,
        }


def look(
    stacks: Sequence[tuple[EngineStack, Plan]],
    cluster: Cluster | None,
    plan: Plan,
    written_seed: Callable[[], str | None],
) -> Before:
    """Find out what there is, and refuse what cannot work; nothing is touched.

    `stacks` are the environment's, each with its part of the plan, the first one first. Raises
    InputError for what existing claims forbid, ClusterError for what is somebody else's,
    EngineError while another run is under way.
    """
    for stack, _ in stacks:
        stack.clear_dead_locks()
    first = stacks[0][0]
    # Opening the seed, a listing and reading the state take a second together, most of it waiting.
    with ThreadPoolExecutor(2) as pool:
        opened = pool.submit(written_seed)
        listed = pool.submit(owned, cluster, plan.environment) if cluster is not None else None
        # Of pools the state may be known without being read, when the objects are listed.
        states = [stack.state() for stack, _ in stacks if stack.pool is None]
    live = listed.result() if listed is not None else None
    known = identities(live or {})
    missing: Sequence[str] = ()
    seed = choose_seed(plan.environment, opened.result(), first.settings.data, known.values())
    if cluster is not None and live is not None:
        refuse_foreign(cluster, plan, live, seed.identity)
        problems = claim_problems(plan, live) + growth_problems(cluster, plan, live)
        if problems:
            raise InputError(problems)
        refuse_taken_hosts(cluster, plan)
        missing = absent(cluster, plan, live)
    looked = Looked.at(plan.environment, first.settings.data)
    shares = [_share(first, stacks[0][1], states[0], live)]
    shares += [_pool_share(stack, mine, live, looked) for stack, mine in stacks[1:]]
    if first.part.divided:
        without = _pools_of(live or {}) - {share.pool for share in shares}
        nothing = replace(plan, pools=())
        shares += [_share(first.of_pool(pool, 0), nothing, None, live) for pool in sorted(without)]
        looked.keep()
    refuse_other_division(shares)
    return Before(shares=tuple(shares), live=_slim(live, shares), seed=seed, absent=missing)


def _pool_share(
    stack: EngineStack, plan: Plan, live: Mapping[Key, Live] | None, looked: Looked
) -> Share:
    """Return a pool's stack; of one that is as it should be only that it is."""
    mine = of_part(live or {}, stack.part)
    state = looked.as_before(stack.name, stack.file, mine)
    if state is None:
        state = stack.state()
        share = _share(stack, plan, state, live)
        if share.gone or state is None or not _alike(share, state):
            return share
        looked.note(stack.name, stack.file, mine, state)
        state = replace(state, objects={})
    return replace(_share(stack, plan, state, None), settled=bool(plan.pools))


def _alike(share: Share, state: State) -> bool:
    live = share.live
    if live is None or state.pending or share.drift != Drift():
        return False
    return not stale_managers(state, live)


def _slim(live: Mapping[Key, Live] | None, shares: Sequence[Share]) -> Mapping[Key, Live] | None:
    """Return the objects, of settled pools only who they are: a thousand users' fill the memory."""
    settled = {share.pool for share in shares if share.settled}
    if live is None or not settled:
        return live
    return {
        key: _header(item) if labels_of(item).get(LABEL_POOL) in settled else item
        for key, item in live.items()
    }


def _header(item: Live) -> Live:
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": metadata}


def _share(
    stack: EngineStack, plan: Plan, state: State | None, live: Mapping[Key, Live] | None
) -> Share:
    divided = stack.part.divided
    return Share(
        stack=stack,
        plan=plan,
        state=state,
        live=of_part(live, stack.part) if live is not None else None,
        done=stack.done() if divided and state is not None else "",
        gone=stack.part.pool is not None and not plan.pools,
    )


def _pools_of(live: Mapping[Key, Live]) -> set[str]:
    """Return the pools that have anything in the cluster but what is retained."""
    pools = (labels_of(item).get(LABEL_POOL) for item in _deletable(live))
    return {pool for pool in pools if pool}


def _deletable(live: Mapping[Key, Live]) -> list[Live]:
    return [item for item in live.values() if not is_retained(item)]


def refuse_other_division(shares: Sequence[Share]) -> None:
    """Raise InputError when the environment was deployed with the other `stacks.per`.

    The engine would delete from the one stack what another one is to make, under its runtimes.
    """
    first = shares[0]
    objects = (first.state or NOTHING).objects.values()
    if first.stack.part.divided:
        pools = [record for record in objects if record.pool]
        if pools:
            raise _other_division(first.stack.environment, "pool", "environment")
        return
    if first.stack.settings.state_folder is None and not first.drift.unknown:
        return  # asking for the list of stacks takes a second, and nothing hints at more of them
    for pool in first.stack.pool_stacks():
        state = first.stack.peer(pool).state()
        if state is not None and not state.empty:
            raise _other_division(first.stack.environment, "environment", "pool")


def _other_division(environment: str, now: str, before: str) -> InputError:
    rule = f"it was deployed with `per: {before}`, and objects do not move between stacks"
    change = (
        f"write per: {before}, run fleet destroy -s {environment}, write per: {now} and run"
        " fleet up: claims, files and passwords stay"
    )
    return InputError([Problem("stacks.per", now, rule, change)])


def deployed(stacks: Sequence[tuple[EngineStack, Plan]]) -> list[Share]:
    """Return those of an environment's stacks that are there, to be read anew.

    Raises EngineError while another run is under way.
    """
    for stack, _ in stacks:
        stack.clear_dead_locks()
    shares = [
        Share(stack=stack, plan=plan, state=stack.state(), live=None) for stack, plan in stacks
    ]
    return [share for share in shares if share.state is not None or share.pool is None]


def of_part(live: Mapping[Key, Live], part: Part) -> Mapping[Key, Live]:
    """Return those of an environment's objects that belong to one of its stacks."""
    if not part.divided:
        return live
    return {key: item for key, item in live.items() if labels_of(item).get(LABEL_POOL) == part.pool}


def prepare(share: Share, cluster: Cluster | None, tell: Callable[[str], None]) -> Recovery:
    """Find the way back from whatever happened since the last run; say what it is."""
    if cluster is None or share.live is None or share.settled:
        return Recovery()
    recovery = recover(share.stack, cluster, share.state or NOTHING, share.live, ignore)
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


def settle(share: Share, cluster: Cluster, recovery: Recovery, outcome: Outcome) -> None:
    """After a run that worked: delete what nobody knows, restart who may hold an old password."""
    gone = delete_unknown(share.stack, cluster, recovery.unknown)
    outcome.deleted = [str(key) for key in gone]
    outcome.taken_over = [str(key) for key in recovery.unknown if key not in set(gone)]
    changed = changed_secrets(cluster, recovery.secrets)
    for user in share.plan.users:
        if user.active and slug(user.id) in changed and _is_awake(cluster, user):
            restart(cluster, user, _RESTART_SECONDS, _report_nothing)
            outcome.restarted.append(user.id)


def _is_awake(cluster: Cluster, user: UserPlan) -> bool:
    """Return whether a runtime may have read its Secret; one that sleeps reads it when it wakes."""
    deployment = deployment_of(cluster, user)
    return deployment is not None and not is_asleep(deployment)


def destroy(share: Share, cluster: Cluster | None, listen: Listener) -> Outcome:
    """Delete all of a stack that is not retained, what no state knows too."""
    outcome, stack = Outcome(), share.stack
    if share.state is not None:
        try:
            stack.destroy(listen)
        except RunFailedError as error:
            outcome.error = str(error)
    if cluster is not None and outcome.error is None:
        live = of_part(owned(cluster, stack.environment), stack.part)
        left = replace(share, state=None, live=live, settled=False).drift.unknown
        outcome.deleted = [str(key) for key in delete_unknown(stack, cluster, left)]
    return outcome


def retained(live: Mapping[Key, Live]) -> list[str]:
    """Return what a `destroy` leaves in the cluster."""
    return sorted(str(key) for key, item in live.items() if is_retained(item))


_NAMED = 3


def named(items: Sequence[object]) -> str:
    """Return objects as part of a line: some by name, the rest as a number."""
    more = len(items) - _NAMED
    listed = ", ".join(str(item) for item in items[:_NAMED])
    return f"{listed} and {more} more" if more > 0 else listed


def ignore(event: EngineEvent) -> None:
    """Listen to nothing."""
    del event


def _report_nothing(step: str, done: int, total: int, waiting: Sequence[str] = ()) -> None:
    del step, done, total, waiting
