"""The data of a former user, deleted for good because the stack file names them under `purge:`.

Owns: running the command once an id. Leaves out: the deleting and its checks (`fleet purge-data`).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import pulumi
import pulumi_command as command


@dataclass(frozen=True, kw_only=True, slots=True)
class PurgedUserArgs:
    """Whose data, and in which environment."""

    user_id: str
    environment: str


class PurgedUser(pulumi.ComponentResource):
    """One former user whose claims are gone."""

    def __init__(
        self, name: str, args: PurgedUserArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:purge:PurgedUser", name, None, opts)
        user, environment = args.user_id, args.environment
        words = ["uv", "run", "fleet", "purge-data", user, "-s", environment, "--confirm", user]
        command.local.Command(
            f"{name}-data",
            # Runs when the resource is made and never again: nothing of it depends on the rest.
            create=shlex.join(words),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
