"""What an apply will do, object by object and user by user, before anything changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from fleet.cluster.desired import Desired
from fleet.cluster.kubectl import Live, part
from fleet.cluster.live import KEPT_KINDS, Difference, Key, differences, key_of
from fleet.names import LABEL_POOL, LABEL_USER, USER_ID
from fleet.plan.environment import Plan, UserPlan


class Action(StrEnum):
    """What happens to a user."""

    CREATE = "create"
    RESTART = "restart"
    RESUME = "resume"
    SUSPEND = "suspend"
    UPDATE = "update"
    REMOVE = "remove"
    RETAIN = "retained"
    PURGE = "purge"
    NONE = "unchanged"


@dataclass(frozen=True, kw_only=True, slots=True)
class UserChange:
    """What happens to one user, and why."""

    user: str
    pool: str
    action: Action
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """Everything an apply will do."""

    apply: tuple[Desired, ...]
    """Objects that are missing or differ, in the order they must be made."""
    delete: tuple[Live, ...]
    retained: tuple[str, ...]
    """Claims of users who are not in the roster, as namespace/name."""
    users: tuple[UserChange, ...]
    stale: tuple[UserPlan, ...] = ()
    """Users whose running pod holds a password or key that is replaced, their Deployment being as
    it should: somebody deleted or edited their Secret."""

    def as_json(self) -> dict[str, Any]:
        """Return the changes for `--json`."""
        return {
            "apply": [str(item.key) for item in self.apply],
            "delete": [str(key_of(item)) for item in self.delete],
            "retained": list(self.retained),
            "users": [asdict(change) for change in self.users],
        }


def find_changes(plan: Plan, desired: Sequence[Desired], live: Mapping[Key, Live]) -> Changes:
    """Compare what should be with what is."""
    differing: dict[Key, list[Difference]] = {}
    for item in desired:
        found = live.get(item.key)
        if found is None:
            differing[item.key] = []
        elif diffs := differences(item.manifest, found):
            differing[item.key] = diffs
    wanted = {item.key for item in desired}
    gone = [item for key, item in live.items() if key not in wanted]
    stale = tuple(user for user in plan.users if _is_stale(user, live, differing))
    return Changes(
        apply=tuple(item for item in desired if item.key in differing),
        delete=tuple(item for item in gone if item["kind"] not in KEPT_KINDS),
        retained=tuple(sorted(_claim(item) for item in gone if _is_user_claim(item))),
        users=(
            *_roster(plan, desired, live, differing, {user.id for user in stale}),
            *_former(plan, gone),
        ),
        stale=stale,
    )


def _is_stale(
    user: UserPlan, live: Mapping[Key, Live], differing: Mapping[Key, list[Difference]]
) -> bool:
    secret = Key("Secret", user.namespace, user.name)
    deployment = Key("Deployment", user.namespace, user.name)
    if not user.active or deployment not in live or secret not in differing:
        return False
    replaced = any(item.path.startswith("data") for item in differing[secret])
    restarts = restart_reasons(differing.get(deployment, []))
    return (secret not in live or replaced) and not restarts


def _is_user_claim(item: Live) -> bool:
    return item["kind"] == "PersistentVolumeClaim" and LABEL_USER in item["metadata"]["labels"]


def _claim(item: Live) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def _roster(
    plan: Plan,
    desired: Sequence[Desired],
    live: Mapping[Key, Live],
    differing: Mapping[Key, list[Difference]],
    stale: Collection[str],
) -> Iterable[UserChange]:
    touched: dict[str, list[str]] = {}
    for item in desired:
        if item.user is not None and item.key in differing:
            touched.setdefault(item.user.id, []).append(item.key.kind)
    for user in plan.users:
        key = Key("Deployment", user.namespace, user.name)
        found = live.get(key)
        action, reasons = Action.NONE, tuple[str, ...]()
        if found is None:
            had = Key("PersistentVolumeClaim", user.namespace, user.name) in live
            action = Action.CREATE
            reasons = ("finds the data of before again",) if had else ()
        elif user.id in touched:
            was_active = found["spec"].get("replicas", 1) > 0
            reasons = restart_reasons(differing.get(key, []))
            if was_active != user.active:
                action = Action.RESUME if user.active else Action.SUSPEND
            elif reasons and user.active:
                action = Action.RESTART
            elif user.id in stale:
                action, reasons = Action.RESTART, ("its Secret was changed or deleted",)
            else:
                action, reasons = Action.UPDATE, tuple(sorted(set(touched[user.id])))
        yield UserChange(user=user.id, pool=user.pool, action=action, reasons=reasons)


def _former(plan: Plan, gone: Sequence[Live]) -> Iterable[UserChange]:
    running = {item["metadata"]["name"] for item in gone if item["kind"] == "Deployment"}
    for item in gone:
        if not _is_user_claim(item):
            continue
        metadata = item["metadata"]
        user = part(metadata, "annotations").get(USER_ID, metadata["labels"][LABEL_USER])
        action = Action.REMOVE if metadata["name"] in running else Action.RETAIN
        reasons = (f"claim {metadata['name']} and its data stay",)
        if user in plan.purge:
            action, reasons = Action.PURGE, ("listed under purge: its data is deleted for good",)
        pool = metadata["labels"].get(LABEL_POOL, "")
        yield UserChange(user=user, pool=pool, action=action, reasons=reasons)


_REASONS = (
    (".image", "image"),
    ("password-fingerprint", "password"),
    ("api-key", "model API key"),
    (".env", "environment"),
    (".resources", "profile"),
)


def restart_reasons(diffs: Iterable[Difference]) -> tuple[str, ...]:
    """Return why a pod restarts, in the stack file's words; empty when its template is the same."""
    found: dict[str, None] = {}
    for item in diffs:
        if not item.path.startswith("spec.template"):
            continue
        if "volume" in item.path.lower() or ".env" in item.path:
            found["scenes or managed config"] = None
            continue
        reason = next((word for mark, word in _REASONS if mark in item.path), item.path)
        found[reason] = None
    return tuple(found)
