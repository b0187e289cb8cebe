"""How the door is set up: one JSON file, and a folder of secrets, a file each.

The stack's program writes both (`fleet.manifests.door`). A mistake in them is one of ours, so it
ends the process with what is wrong.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class SignInMode(StrEnum):
    """How people show who they are."""

    PASSWORD = "password"  # noqa: S105 - a mode's name
    OIDC = "oidc"
    HEADER = "header"


class Oidc(_Model):
    """An OpenID Connect provider; the client secret is the secret file `oidc-client-secret`."""

    issuer: str
    client_id: str
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    claim: str = "preferred_username"
    """Claim that is compared with users' `login`."""


class Header(_Model):
    """A proxy of the company's own in front, which has asked already."""

    name: str = "X-Forwarded-User"
    peers: tuple[str, ...]
    """Address ranges the header is believed from."""


class Sessions(_Model):
    """How long a sign-in holds."""

    idle_minutes: Annotated[int, Field(ge=5)] = 12 * 60
    absolute_minutes: Annotated[int, Field(ge=5)] = 7 * 24 * 60
    version: int = 1
    """Raised, it ends every session and every personal token."""

    @property
    def idle(self) -> timedelta:
        """How long a session lives without use."""
        return timedelta(minutes=self.idle_minutes)

    @property
    def absolute(self) -> timedelta:
        """How long a session lives at most."""
        return timedelta(minutes=self.absolute_minutes)


class Settings(_Model):
    """Everything the door is told that is no secret."""

    environment: str
    namespace: str
    """The door's own."""
    pools: tuple[str, ...]
    """Namespaces of the runtimes."""
    domain: str
    scheme: str
    port: int | None = None
    """Port in URLs when it is not the scheme's own."""
    sign_in: SignInMode = SignInMode.PASSWORD
    oidc: Oidc | None = None
    header: Header | None = None
    sessions: Sessions = Sessions()
    trusted_proxies: tuple[str, ...] = ()
    """Address ranges whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    notice: str | None = None
    """A line for everybody, above the front page."""

    def origin(self, host: str) -> str:
        """Return the origin of a host of this environment, as browsers write it."""
        return f"{self.scheme}://{host}" + (f":{self.port}" if self.port else "")

    @property
    def front(self) -> str:
        """Origin of the front page."""
        return self.origin(self.domain)


def read_settings(path: Path) -> Settings:
    """Read the settings; raises ValueError with what is wrong."""
    return Settings.model_validate_json(path.read_bytes())


def read_secrets(folder: Path) -> dict[str, str]:
    """Return the secrets by file name: `seed`, `oidc-client-secret`, `service-token-<name>`."""
    return {
        file.name: file.read_text(encoding="utf-8").strip()
        for file in sorted(folder.iterdir())
        if file.is_file() and not file.name.startswith(".")
    }
