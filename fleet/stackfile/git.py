"""The `git:` keys: who commits, and what opens which forge.

Leaves out: how git and ssh in the image find them (`image/`), the user's Secret
(`plan.runtime_spec`).
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from fleet.values.model import Model, broken
from fleet.values.scalars import Line, SecretKey

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?")
_KNOWN = re.compile(
    r"(@cert-authority )?\S+ (ssh-(ed25519|rsa)|ecdsa-sha2-\S+) [A-Za-z0-9+/=]+( .*)?"
)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise broken(
            "a forge is named by its host, with a port where it has one",
            "write it like git.example.com:8443",
        )
    return value


def _known_host(value: str) -> str:
    if not value.isprintable() or not _KNOWN.fullmatch(value):
        raise broken("it is a line of known_hosts", "write what ssh-keyscan prints for the host")
    return value


def _email(value: str) -> str:
    if len(value) > 254 or not value.isprintable() or not _EMAIL.fullmatch(value):  # noqa: PLR2004
        raise broken("an address is name@host", "write it like alice@example.com")
    return value


GitHost = Annotated[str, AfterValidator(_host)]


class GitAccess(Model):
    """What opens a forge: a token over HTTPS, a key over SSH, or both."""

    token: SecretKey | None = None
    """Top-level secret key with a token or password."""
    username: Line = "x-access-token"
    """User name that goes with the token; GitLab takes oauth2."""
    ssh_key: SecretKey | None = None
    """Top-level secret key with a private SSH key that has no passphrase."""


class Git(Model):
    """What git in the workspaces knows beforehand."""

    hosts: Annotated[dict[GitHost, GitAccess], Field(max_length=20)] = Field(
        default_factory=dict[str, GitAccess]
    )
    """Forges by host; a user's own entry for a host takes the place of this."""
    known_hosts: Annotated[
        tuple[Annotated[str, AfterValidator(_known_host)], ...], Field(max_length=50)
    ] = ()
    """Lines of known_hosts; those of github.com, gitlab.com and bitbucket.org are in the image."""


class UserGit(Model):
    """Who commits, and with what."""

    name: Line | None = None
    """Name of commits."""
    email: Annotated[str, AfterValidator(_email)] | None = None
    """Address of commits."""
    hosts: Annotated[dict[GitHost, GitAccess], Field(max_length=20)] = Field(
        default_factory=dict[str, GitAccess]
    )
    """Forges that this user opens with something of their own."""
