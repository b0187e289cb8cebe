"""The stacks of an environment, run in their order: the first one, then those of pools together.

A stack that would find nothing to do is left alone. A pool that fails stops no other; without the
base stack none begins. Leaves out: what one run is (`deploy`), asking and printing (`cli.runs`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from fleet.cluster.client import Cluster
from fleet.cluster.report import Failure
from fleet.engine import deploy
from fleet.engine.command import StoppedError, heard_by_threads
from fleet.engine.deploy import Before, Outcome, Share, mark
from fleet.engine.events import Step
from fleet.engine.progress import EngineWatch
from fleet.engine.stack import Program
from fleet.errors import EngineError

# Of one run beside others: the engine, its provider, and what Python holds for it.
_MEGABYTES = 450
_MOST = 4
_NOT_BEGUN = "no pool was begun: they need what the base stack makes"


class Conditions(Protocol):
    """What a run needs of whoever starts it."""

    def program(self) -> Program:
        """Return the program that the engine is to run."""
        ...

    def digest(self, share: Share) -> str:
        """Return what stands for everything that a stack is to declare; empty: always run."""
        ...

    @property
    def existing(self) -> Cluster | None:
        """The cluster, where the environment does not make it."""
        ...

    def cluster(self) -> Cluster | None:
        """Return the cluster, once there is one."""
        ...

    def ensure(self, share: Share) -> None:
        """Make a stack that is not there yet."""
        ...


@dataclass(kw_only=True, slots=True)
class Ran:
    """What became of some stacks."""

    outcome: Outcome = field(default_factory=Outcome)
    steps: list[Step] = field(default_factory=list[Step])
    """What the engine did, or would do."""
    failures: list[Failure] = field(default_factory=list[Failure])
    stacks: list[str] = field(default_factory=list[str])
    """The stacks that were run, by name."""

    @property
    def failed(self) -> bool:
        """Whether anything did not work."""
        return bool(self.failures or self.outcome.error)

    def add(self, other: Ran) -> None:
        """Take in what became of other stacks."""
        self.outcome.add(other.outcome)
        self.steps += other.steps
        self.failures += other.failures
        self.stacks += other.stacks


Watches = Callable[[Sequence[Share]], Callable[[Share], EngineWatch]]
"""Takes the stacks that are to be run together, and gives what listens to each."""
Work = Callable[[Share], Ran]


def up(
    before: Before, conditions: Conditions, watches: Watches, tell: Callable[[str], None]
) -> Ran:
    """Bring every stack that changed to what its part of the plan says."""
    first, pools = before.shares[0], before.shares[1:]
    ran = Ran()
    if _changed(first, conditions):
        ran.add(_bring_up(first, conditions, watches([first])(first), tell))
    if ran.failed:
        if pools:
            tell(_NOT_BEGUN)
        return ran
    changed = [share for share in pools if _changed(share, conditions)]
    watch = watches(changed)

    def one(share: Share) -> Ran:
        if share.gone:
            return _take_away(share, conditions, watch(share))
        return _bring_up(share, conditions, watch(share), tell)

    ran.add(side_by_side(changed, one))
    return ran


def _changed(share: Share, conditions: Conditions) -> bool:
    if not share.stack.part.divided:
        return True
    digest = conditions.digest(share)
    return not (digest and share.unchanged(digest))


def _bring_up(
    share: Share, conditions: Conditions, watch: EngineWatch, tell: Callable[[str], None]
) -> Ran:
    stack, program = share.stack, conditions.program()
    conditions.ensure(share)
    recovery = deploy.prepare(share, conditions.cluster(), tell)
    outcome = deploy.run(stack, program, recovery, watch)
    cluster = conditions.cluster()
    if cluster is not None:
        # One that went away in mid-run is told at once, not after every user's wait.
        cluster.ready()
        # An object is refused (409) when somebody else writes the pool's quota at the moment in
        # which it is counted: once more is enough for those (docs/pulumi.md).
        if outcome.error is not None and watch.begin_again():
            outcome = deploy.run(stack, program, recovery, watch)
        if outcome.error is None:
            deploy.settle(share, cluster, recovery, outcome)
    ran = _ran(share, watch, outcome)
    if stack.part.divided and not ran.failed:
        _write_down(share, conditions)
    stack.tidy()
    return ran


def _write_down(share: Share, conditions: Conditions) -> None:
    digest, state = conditions.digest(share), share.stack.state()
    if digest and state is not None:
        share.stack.set_done(mark(digest, state))


def _ran(share: Share, watch: EngineWatch, outcome: Outcome) -> Ran:
    failures = list(watch.failures)
    if outcome.error is not None and share.pool is not None and not failures:
        failures.append(_failure(share, outcome.error))
    return Ran(
        outcome=outcome,
        steps=watch.happened(),
        failures=failures,
        stacks=[share.stack.name],
    )


def _failure(share: Share, cause: str) -> Failure:
    return Failure(user=None, pool=share.pool, step="engine", cause=cause)


def _take_away(share: Share, conditions: Conditions, watch: EngineWatch) -> Ran:
    """Delete what a pool has that is not retained, and its stack."""
    outcome = deploy.destroy(share, conditions.cluster(), watch)
    ran = _ran(share, watch, outcome)
    if not ran.failed and share.state is not None:
        share.stack.remove()
    return ran


def down(before: Before, conditions: Conditions, watches: Watches) -> Ran:
    """Delete what is not retained: of the pools first, for the base stack may hold the cluster."""
    first, pools = before.shares[0], before.shares[1:]
    watch = watches(pools)
    ran = side_by_side(pools, lambda share: _take_away(share, conditions, watch(share)))
    if not ran.failed:
        listen = watches([first])(first)
        # In a cluster that goes too, nothing is left to look for.
        ran.add(_ran(first, listen, deploy.destroy(first, conditions.existing, listen)))
    return ran


def preview(before: Before, conditions: Conditions, watches: Watches) -> Ran:
    """Find out what `up` would do to each stack that changed; nothing is touched."""
    changed = [share for share in before.shares if _changed(share, conditions)]
    watch = watches(changed)

    def one(share: Share) -> Ran:
        listen = watch(share)
        if not share.gone:
            conditions.ensure(share)
            share.stack.preview(conditions.program(), listen)
        elif share.state is not None:
            share.stack.destroy(listen, preview=True)
        failures = list(listen.failures)
        return Ran(steps=listen.planned(), failures=failures, stacks=[share.stack.name])

    return side_by_side(changed, one)


def refresh(shares: Sequence[Share], watches: Watches) -> Ran:
    """Read what is in the cluster into every stack's state."""
    watch = watches(shares)

    def one(share: Share) -> Ran:
        listen = watch(share)
        share.stack.refresh(listen)
        return _ran(share, listen, Outcome())

    return side_by_side(shares, one)


def side_by_side(shares: Sequence[Share], work: Work) -> Ran:
    """Work on some stacks, as many at once as processors and memory allow.

    What fails of one is told with its pool. Raises StoppedError once all have ended, when somebody
    asked to stop.
    """
    ran = Ran()
    if len(shares) == 1 and shares[0].pool is None:
        ran.add(work(shares[0]))
        return ran
    with heard_by_threads() as interrupts, ThreadPoolExecutor(at_once(len(shares))) as threads:
        futures = [threads.submit(partial(_guarded, work), share) for share in shares]
        wait(futures)
    if interrupts.asked:
        raise StoppedError
    for future in futures:
        ran.add(future.result())
    return ran


def _guarded(work: Work, share: Share) -> Ran:
    try:
        return work(share)
    except StoppedError:
        return Ran()
    except EngineError as error:
        return Ran(failures=[_failure(share, str(error))], stacks=[share.stack.name])


def at_once(count: int, meminfo: Path = Path("/proc/meminfo")) -> int:
    """Return how many of some stacks to run at once: memory is what they need most."""
    allowed = min(count, _MOST, os.cpu_count() or 1)
    for line in meminfo.read_text(encoding="utf-8").splitlines() if meminfo.exists() else ():
        if line.startswith("MemAvailable:"):
            allowed = min(allowed, int(line.split()[1]) // 1024 // _MEGABYTES)
    return max(1, allowed)
