"""A whole environment in a cluster: its door, every pool and every user of its plan.

Owns: handing each component its part, collecting the stack's outputs. Leaves out: providers and
image, which it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import pulumi

from components.door import Door, DoorArgs
from components.pool import PoolNamespace, PoolNamespaceArgs
from components.user import UserStack, UserStackArgs
from fleet.manifests.backup import BackupInputs, secret_data, secret_references, store_keys
from fleet.manifests.backup_pods import password_key
from fleet.manifests.pool import SharedSecret
from fleet.names import slug
from fleet.plan.environment import Plan, PoolPlan, UserPlan
from fleet.plan.passwords import identity_of
from fleet.stackfile.config import TlsMode

if TYPE_CHECKING:
    from components.tls import SelfSigned


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetEnvironmentArgs:
    """What an environment is made of."""

    plan: Plan
    image: pulumi.Input[str]
    seed: pulumi.Output[str]
    """What all passwords are derived from, a secret."""
    sealed: Mapping[str, pulumi.Output[str]]
    """The stack file's secrets, by the top-level key that holds them."""
    secrets: tuple[SharedSecret, ...] = ()
    """What every namespace gets a copy of, such as a login at a registry."""
    adopting: pulumi.ProviderResource
    door_image: pulumi.Input[str] | None = None
    """The door's; None where the door is another stack's."""


class FleetEnvironment(pulumi.ComponentResource):
    """The door, all pools and all users of one stack file."""

    urls: dict[str, str]
    """URL of each user's workspace, by user id."""
    usernames: dict[str, str]
    """Name that each user signs in with, by user id."""
    passwords: pulumi.Output[Mapping[str, str]]
    """Password of each user, by user id; a secret."""
    namespaces: dict[str, str]
    """Namespace of each pool, by the pool's name."""
    authority: pulumi.Output[str] | None
    """Certificate to trust, with `tls: selfSigned`."""
    retained: list[str]
    """What stays in the cluster when the stack is destroyed."""

    def __init__(
        self, name: str, args: FleetEnvironmentArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:environment:FleetEnvironment", name, None, opts)
        plan = args.plan
        self.authority = None
        if args.door_image is not None:
            self._declare_door(args, args.door_image)
        pools = {pool.name: self._declare_pool(pool, args) for pool in plan.pools}
        users = {user.id: self._declare_user(user, pools[user.pool], args) for user in plan.users}
        self.urls = {user.id: user.url for user in plan.users}
        self.usernames = {user.id: user.id for user in plan.users}
        self.passwords = cast(
            # The SDK resolves Outputs inside a dict, which its types do not say.
            "pulumi.Output[Mapping[str, str]]",
            pulumi.Output.secret({user_id: stack.password for user_id, stack in users.items()}),
        )
        self.namespaces = {pool.name: pool.namespace for pool in plan.pools}
        self.retained = [
            *(item for pool in pools.values() for item in pool.retained),
            *(stack.retained for stack in users.values()),
        ]
        self.register_outputs({})

    def _declare_certificate(self, plan: Plan) -> SelfSigned:
        # Loads the SDK of the tls provider, which nothing else needs.
        from components.tls import SelfSigned, SelfSignedArgs  # noqa: PLC0415

        name = f"fleet-{plan.environment}"
        # Release 0.1.0 made it elsewhere: a new authority would have to be trusted anew.
        former = "opencode-fleet:services:CloudServices$opencode-fleet:tls:SelfSigned"
        return SelfSigned(
            name,
            SelfSignedArgs(hosts=plan.door.hosts),
            pulumi.ResourceOptions(parent=self, aliases=[pulumi.create_urn(name, former)]),
        )

    def _declare_door(self, args: FleetEnvironmentArgs, image: pulumi.Input[str]) -> None:
        copies = args.secrets
        if args.plan.access.tls is TlsMode.SELF_SIGNED:
            made = self._declare_certificate(args.plan)
            self.authority = made.authority
            copies = (*copies, made.secret)
        Door(
            "door",
            DoorArgs(
                door=args.plan.door,
                image=image,
                pull_secret=args.plan.pull_secret,
                seed=args.seed,
                sealed=args.sealed,
                secrets=copies,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _declare_pool(self, pool: PoolPlan, args: FleetEnvironmentArgs) -> PoolNamespace:
        return PoolNamespace(
            pool.name,
            PoolNamespaceArgs(
                pool=pool,
                # No secret: it only tells environments of one name apart.
                identity=pulumi.Output.unsecret(args.seed.apply(identity_of)),
                secrets=args.secrets,
                backup=_backup_inputs(pool, args),
                adopting=args.adopting,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _declare_user(
        self, user: UserPlan, pool: PoolNamespace, args: FleetEnvironmentArgs
    ) -> UserStack:
        return UserStack(
            user.id,
            UserStackArgs(
                user=user,
                image=args.image,
                pull_secret=args.plan.pull_secret,
                seed=args.seed,
                secrets={use.key: args.sealed[use.source] for use in user.runtime.secrets},
                namespace=pool.namespace,
                counted=pool.counted,
                ready=pool.ready,
                adopting=args.adopting,
            ),
            pulumi.ResourceOptions(parent=self),
        )


def _backup_inputs(pool: PoolPlan, args: FleetEnvironmentArgs) -> BackupInputs | None:
    backup = pool.backup
    if backup is None:
        return None
    sealed = {key: args.sealed[key] for key in secret_references(backup)}
    # The SDK resolves Outputs inside a dict, which its types do not say.
    opened = cast("pulumi.Output[dict[str, str]]", pulumi.Output.all(**sealed))
    data = opened.apply(partial(secret_data, pool, backup))
    keys = [*(password_key(slug(user.id)) for user in pool.users), *store_keys(backup)]
    return BackupInputs(
        image=args.image,
        pull_secret=args.plan.pull_secret,
        secret_data={key: data[key] for key in keys},
    )
