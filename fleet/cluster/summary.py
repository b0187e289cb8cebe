"""Plans and outcomes as lines for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fleet.cluster.apply import Outcome
from fleet.cluster.changes import Action, Changes
from fleet.plan.environment import Plan

# A page; beyond it the counts say more than the names.
_LISTED = 40


def plan_lines(changes: Changes) -> Iterator[str]:
    """Yield what an apply would do, a line a user, the untouched ones as a count."""
    counts = Counter(item.action for item in changes.users)
    for item in changes.users:
        if item.action is not Action.NONE:
            why = f" ({', '.join(item.reasons)})" if item.reasons else ""
            yield f"{item.action:<9} {item.user}{why}"
    shared = [item for item in changes.apply if item.user is None]
    for item in shared:
        yield f"apply     {item.key}"
    for item in changes.delete:
        metadata = item["metadata"]
        yield f"delete    {item['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
    if counts[Action.NONE]:
        yield f"unchanged {counts[Action.NONE]} users"
    if not changes.apply and not changes.delete:
        yield "nothing to do"


def outcome_lines(plan: Plan, changes: Changes, outcome: Outcome) -> Iterator[str]:
    """Yield what an apply did, and where everybody finds their workspace."""
    if not outcome.applied and not outcome.deleted:
        yield f"{plan.environment}: nothing to do, {len(plan.users)} users as they should be"
    else:
        yield (
            f"{plan.environment}: {len(outcome.applied)} objects applied,"
            f" {len(outcome.deleted)} deleted"
        )
    restarted = [item.user for item in changes.users if item.action is Action.RESTART]
    if restarted:
        yield f"restarted: {', '.join(restarted[:_LISTED])}"
    for name in changes.retained[:_LISTED]:
        yield f"retained: claim {name}"
    failed = {failure.user for failure in outcome.failures}
    active = [user for user in plan.users if user.active and user.id not in failed]
    for user in active[:_LISTED]:
        ask = f"fleet password {user.id} -s {plan.environment}"
        yield f"{user.url}  user {user.id}, password: {ask}"
    if len(active) > _LISTED:
        yield f"… and {len(active) - _LISTED} more: fleet status -s {plan.environment}"
