"""The keys of the door: who may come in and how, when workspaces sleep, what the door runs on.

Leaves out: rules that span several keys (`door_rules`), domain and certificates (`config.Access`).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fleet.alicloud.clock import time_zone
from fleet.stackfile.image import Reference
from fleet.values.model import Model, broken
from fleet.values.scalars import (
    BaseUrl,
    Cidr,
    CpuQuantity,
    Line,
    MemoryQuantity,
    SecretKey,
)

NEVER = "never"
_UNITS = {"m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?P<number>[1-9][0-9]{0,4})(?P<unit>[mhd])")
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")
_TOKEN_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
# Somebody who reads sends nothing: sooner than the first, no runtime is put to sleep.
_SHORTEST, _LONGEST = 10 * 60, 366 * 86400


def seconds(duration: str) -> int:
    """Return a duration of the stack file in seconds."""
    return int(duration[:-1]) * _UNITS[duration[-1]]


def _duration(value: str) -> str:
    if not _DURATION.fullmatch(value):
        raise broken("a duration is a whole number of minutes, hours or days", "write it like 8h")
    if not _SHORTEST <= seconds(value) <= _LONGEST:
        raise broken("a duration is between 10m and 366d here", "write it like 8h")
    return value


def _suspend_after(value: str) -> str:
    return value if value == NEVER else _duration(value)


def _time(value: str) -> str:
    if not _TIME.fullmatch(value):
        raise broken(
            "a time of day is hours and minutes, from 00:00 to 23:59", "write it like 08:00"
        )
    return value


def _header(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise broken("a header's name has letters, digits and hyphens", "write X-Forwarded-User")
    return value


def _scope(value: str) -> str:
    if not _SCOPE.fullmatch(value):
        raise broken("a scope is one word of printable characters", "write it like openid")
    return value


def _claim(value: str) -> str:
    if not _SCOPE.fullmatch(value):
        raise broken("a claim is one word of printable characters", "write it like email")
    return value


def _token_name(value: str) -> str:
    if not _TOKEN_NAME.fullmatch(value):
        rule = "a token's name has 1 to 40 of a-z 0-9 and hyphens, letter or digit at the ends"
        raise broken(rule, "write it like agent-control-1")
    return value


Duration = Annotated[str, AfterValidator(_duration)]
SuspendAfter = Annotated[str, AfterValidator(_suspend_after)]
TimeOfDay = Annotated[str, AfterValidator(_time)]
TimeZone = Annotated[str, Field(max_length=64), AfterValidator(time_zone)]
HeaderName = Annotated[str, AfterValidator(_header)]
Scope = Annotated[str, AfterValidator(_scope)]
Claim = Annotated[str, AfterValidator(_claim)]
TokenName = Annotated[str, AfterValidator(_token_name)]


class SignInMode(StrEnum):
    """How people show who they are."""

    PASSWORD = "password"  # noqa: S105 - a mode's name
    OIDC = "oidc"
    HEADER = "header"


class Oidc(Model):
    """The company's OpenID Connect provider."""

    issuer: BaseUrl
    """Its issuer URL; `/.well-known/openid-configuration` stands below it."""
    client_id: Line
    """What the provider calls the door."""
    client_secret: SecretKey = "oidcClientSecret"  # noqa: S105 - a key's name
    """Top-level secret key that holds the client secret."""
    scopes: Annotated[tuple[Scope, ...], Field(max_length=20)] = ("openid", "profile", "email")
    """What is asked for; openid must be among them."""
    claim: Claim = "preferred_username"
    """The claim that is compared with users' `login`."""


class HeaderSignIn(Model):
    """A proxy of the company's own in front, which has asked already."""

    name: HeaderName = "X-Forwarded-User"
    """The header in which the proxy says who it is."""
    peers: Annotated[tuple[Cidr, ...], Field(min_length=1, max_length=20)]
    """Address ranges that the header is believed from."""


class Sessions(Model):
    """How long a sign-in holds."""

    idle: Duration = "12h"
    """Without use."""
    absolute: Duration = "7d"
    """At most."""
    version: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 1
    """Raise it to sign everybody out, and to end every personal token."""


class SignIn(Model):
    """Who may come in."""

    mode: SignInMode = SignInMode.PASSWORD
    """The users' derived passwords, a provider, or a proxy in front."""
    oidc: Oidc | None = None
    """The provider (mode oidc)."""
    header: HeaderSignIn | None = None
    """The proxy in front (mode header)."""
    sessions: Sessions = Sessions()
    """How long a sign-in holds."""


class Weekday(StrEnum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class Hours(Model):
    """Working hours: runtimes wake ahead of them, and sleep after them unless somebody works."""

    zone: TimeZone
    """Time zone by its name in the IANA list, e.g. Asia/Shanghai."""
    days: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7)] = (
        Weekday.MON,
        Weekday.TUE,
        Weekday.WED,
        Weekday.THU,
        Weekday.FRI,
    )
    """Days of the week."""
    start: TimeOfDay
    """When they begin, e.g. 08:00."""
    end: TimeOfDay
    """When they end, e.g. 19:00; before the start it is on the next day."""


class Idle(Model):
    """When a runtime that nobody uses goes to sleep: its pod ends, all else stays."""

    suspend_after: SuspendAfter | None = None
    """Time without use, e.g. 8h; `never` keeps it awake whatever stands further out."""
    hours: Hours | None = None
    """Working hours."""


class DoorCpu(Model):
    """CPU in cores of each of the door's two containers."""

    request: CpuQuantity = "50m"
    """What is reserved."""
    limit: CpuQuantity = "1"
    """What is never passed."""


class DoorMemory(Model):
    """Memory of each of the door's two containers."""

    request: MemoryQuantity = "96Mi"
    """What is reserved."""
    limit: MemoryQuantity = "384Mi"
    """What is never passed."""


class Door(Model):
    """What the door runs on."""

    replicas: Annotated[int, Field(ge=1, le=10, strict=True)] | None = None
    """Pods; unset is 2 on `ack`, else 1. Write 2 or more where the cluster has several nodes."""
    reference: Reference | None = None
    """The door's image (image modes prebuilt and local)."""
    cpu: DoorCpu = DoorCpu()
    """Processor time of each container."""
    memory: DoorMemory = DoorMemory()
    """Memory of each container."""
    notice: Line | None = None
    """A line for everybody, above the front page."""


class ServiceToken(Model):
    """A program of the company that acts for users."""

    name: TokenName
    """What logs call it."""
    secret: SecretKey
    """Top-level secret key that holds the token, at least 32 characters."""


class AgentControl(Model):
    """A control plane of the company's own that opens workspaces for users."""

    tokens: Annotated[tuple[ServiceToken, ...], Field(max_length=10)] = ()
    """Its tokens; two at a time are rotated without a gap."""


Kind = Literal["existing", "vm", "ack"]


def default_replicas(kind: Kind) -> int:
    """Return how many pods a door has where the file says nothing."""
    return 2 if kind == "ack" else 1
