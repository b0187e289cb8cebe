"""Which Pulumi stacks an environment has, what each declares, and what that depends on.

An environment is one stack. With `stacks: {per: pool}` it is a base stack, which has what the pools
share, and one stack a pool: `dev` and `dev.default`. No environment and no pool has a dot in its
name, so that the name of a stack says which part it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from fleet.errors import InputError, Problem
from fleet.plan.environment import Plan, PoolPlan, ScenePlan, UserPlan
from fleet.stackfile.config import ExistingCluster, StackConfig, StacksPer
from fleet.stackfile.image import Image, ImageMode

_SEPARATOR = "."
BASE_OUTPUT = "forPools"
"""Output of the base stack that holds what pools take from it, a secret."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What one stack of an environment stands for."""

    environment: str
    pool: str | None = None
    """The pool, for a stack of one; None for the base stack and for the only one."""
    divided: bool = False
    """Whether pools have stacks of their own."""

    @property
    def stack(self) -> str:
        """The name of the stack."""
        return self.environment if self.pool is None else stack_name(self.environment, self.pool)

    @property
    def base(self) -> bool:
        """Whether this is the stack of what the pools share."""
        return self.divided and self.pool is None

    def of(self, plan: Plan) -> Plan:
        """Return what of the plan is this stack's; an unknown pool has none of it."""
        if not self.divided:
            return plan
        pools = tuple(pool for pool in plan.pools if pool.name == self.pool)
        return replace(plan, pools=pools, has_door=self.pool is None)


def stack_name(environment: str, pool: str) -> str:
    """Return the name of a pool's stack."""
    return f"{environment}{_SEPARATOR}{pool}"


def split_name(stack: str) -> tuple[str, str | None]:
    """Return the environment that a stack belongs to, and the pool that it is of, if of one."""
    environment, _, pool = stack.partition(_SEPARATOR)
    return environment, pool or None


def is_divided(config: StackConfig) -> bool:
    """Return whether each pool has a stack of its own."""
    return config.stacks.per is StacksPer.POOL


def part_named(stack: str, config: StackConfig, plan: Plan) -> Part:
    """Return what a stack stands for; raise InputError where the stack file has no such part."""
    environment, pool = split_name(stack)
    part = Part(environment=environment, pool=pool, divided=is_divided(config))
    if pool is not None and not part.divided:
        rule = f"this stack is of one pool, and the environment {environment} is one stack"
        change = f"use the stack {environment}, or write stacks: {{per: pool}}"
        raise InputError([Problem("stack", stack, rule, change)])
    if pool is not None and not part.of(plan).pools:
        rule = f"the stack file has no pool {pool}"
        change = f"fleet up -s {environment} takes the stack away and retains the data"
        raise InputError([Problem("stack", stack, rule, change)])
    return part


def takes_from_base(config: StackConfig, image: Image) -> bool:
    """Return whether pools need something that only the base stack knows."""
    return must_look_up(image) or not isinstance(config.cluster, ExistingCluster)


def must_look_up(image: Image) -> bool:
    """Return whether only a registry knows which image is meant, anew at every run."""
    return image.mode is ImageMode.PREBUILT and "@sha256:" not in (image.reference or "")


def digest(plan: Plan, facts: Iterable[str]) -> str:
    """Return what stands for everything a stack declares: its plan, and what else it depends on.

    What is secret does not belong among the facts but by what stands in the stack file: sealed.
    """
    text = hashlib.sha256()
    for fact in facts:
        text.update(f"{fact}\0".encode())
    door = plan.door if plan.has_door else None
    for item in (door, plan.access, plan.pull_secret, *map(_pool, plan.pools)):
        text.update(f"{item!r}\0".encode())
    return text.hexdigest()[:32]


def _pool(pool: PoolPlan) -> tuple[object, ...]:
    own = [
        getattr(pool, item.name) for item in fields(pool) if item.name not in {"users", "scenes"}
    ]
    return (*own, list(map(_scene, pool.scenes)), [_user(user) for user in pool.users])


def _user(user: UserPlan) -> tuple[object, ...]:
    own = [getattr(user, item.name) for item in fields(user) if item.name != "runtime"]
    return (*own, replace(user.runtime, scenes=()), list(map(_scene, user.scenes)))


def _scene(scene: ScenePlan) -> tuple[object, ...]:
    # The names of a scene's objects stand for their content.
    names = tuple(part.name for part in scene.config_maps)
    return (scene.id, names, scene.nas_path, scene.version, scene.title, scene.description)
