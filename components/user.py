"""A user in the cluster: Secret, claim, Service, Deployment. Five resources with itself.

Owns: which object waits for which, what outlives the user. Leaves out: what the objects hold
(`fleet.manifests.user`), their namespace (`pool`), how a password is made (`fleet.plan.passwords`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import pulumi

from components.bridge import declare
from components.pool import COUNTED_KINDS, retained_name
from components.providers import retained_options
from fleet.manifests.runtime import RuntimeInputs
from fleet.manifests.types import Manifest
from fleet.manifests.user import secret_text, user_objects
from fleet.names import PASSWORD_KEY
from fleet.plan.environment import UserPlan, fingerprint, secrets_fingerprint
from fleet.plan.passwords import user_password

_ROLES = {
    "Secret": "secret",
    "PersistentVolumeClaim": "claim",
    "Service": "service",
    "Deployment": "deployment",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class UserStackArgs:
    """What a user's runtime needs."""

    user: UserPlan
    image: pulumi.Input[str]
    pull_secret: str | None
    seed: pulumi.Output[str]
    """What the password is derived from, a secret."""
    secrets: Mapping[str, pulumi.Output[str]]
    """What else the user's Secret holds, by its keys; secrets."""
    namespace: pulumi.Input[str]
    """Name of the user's namespace, once it exists."""
    counted: pulumi.Input[str]
    """The same name, once its quota counts what is made."""
    ready: pulumi.Input[str]
    """The same name, once all that the pod mounts and that confines it exists."""
    adopting: pulumi.ProviderResource
    """Adopts the claim of a user who comes back."""


class UserStack(pulumi.ComponentResource):
    """One user's runtime with all that belongs to it."""

    password: pulumi.Output[str]
    """The basic-auth password, a secret."""
    retained: str
    """The claim, which stays in the cluster when the user goes."""

    def __init__(
        self, name: str, args: UserStackArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:user_stack:UserStack", name, None, opts)
        user = args.user
        self.password = args.seed.apply(partial(user_password, user))
        secret, claim, *others = user_objects(user, _inputs(args, self.password))
        made = [
            declare(f"{name}-secret", secret, pulumi.ResourceOptions(parent=self), args.namespace),
            declare(
                f"{name}-claim",
                claim,
                retained_options(self, args.adopting, claim=True),
                args.counted,
            ),
        ]
        for manifest in others:
            runtime = manifest["kind"] == "Deployment"
            declare(
                f"{name}-{_ROLES[manifest['kind']]}",
                manifest,
                # Pulumi sees no dependency, for the pod only names the Secret and the claim. A pod
                # that starts before the Secret is updated would keep the old password.
                pulumi.ResourceOptions(parent=self, depends_on=made if runtime else None),
                _place(args, manifest),
            )
        self.retained = retained_name(claim)
        self.register_outputs({"url": user.url})


def _place(args: UserStackArgs, manifest: Manifest) -> pulumi.Input[str]:
    """Return the namespace's name, once everything is there that this object needs."""
    if manifest["kind"] == "Deployment":
        return args.ready
    return args.counted if manifest["kind"] in COUNTED_KINDS else args.namespace


def _inputs(args: UserStackArgs, password: pulumi.Output[str]) -> RuntimeInputs:
    data = {PASSWORD_KEY: password.apply(secret_text)}
    data |= {key: text.apply(secret_text) for key, text in args.secrets.items()}
    others = pulumi.Output.all(**args.secrets) if args.secrets else None
    return RuntimeInputs(
        image=args.image,
        pull_secret=args.pull_secret,
        secret_data=data,
        password_fingerprint=_mark(password),
        secrets_fingerprint=_marks(others) if others is not None else "",
    )


def _mark(secret: pulumi.Output[str]) -> pulumi.Output[str]:
    """Return the fingerprint of a secret, in clear.

    A secret anywhere in a spec hides all of it from previews; a hash's 16 digits do not give the
    secret away.
    """
    return pulumi.Output.unsecret(secret.apply(fingerprint))


def _marks(secrets: pulumi.Output[dict[str, str]]) -> pulumi.Output[str]:
    """Return the fingerprint of several secrets by their keys, in clear."""
    return pulumi.Output.unsecret(secrets.apply(secrets_fingerprint))
