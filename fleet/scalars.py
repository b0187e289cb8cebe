"""The scalar types of a stack file: one named rule each, written and tested once.

Leaves out: rules that span several fields (`rules`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from fleet.model import broken
from fleet.quantity import canonical_quantity, parse_quantity

USER_ID_MAX = 128
_USER_ID = re.compile(r"[a-z0-9]([a-z0-9._@+-]*[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_DOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)
_SECRET_KEY = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")

# Hosts an operator will want for other things, and words that are objects of ours.
RESERVED_USERS = frozenset({"admin", "agent-control", "api", "default", "root", "www"})
# Folders that `/app` or OpenCode itself already gives a meaning.
RESERVED_SCENES = frozenset(
    {"agents", "app", "data", "lost-found", "node-modules", "opencode", "tmp"}
)


def _user_id(value: str) -> str:
    if len(value) > USER_ID_MAX or not _USER_ID.fullmatch(value):
        raise broken(
            f"a user id has 1 to {USER_ID_MAX} of a-z 0-9 . _ @ + -, letter or digit at the ends",
            "write it in lower case without other characters, e.g. alice or alice.smith",
        )
    if value in RESERVED_USERS:
        raise broken(
            "this id is reserved", f"use an id other than {', '.join(sorted(RESERVED_USERS))}"
        )
    return value


def _label(what: str, limit: int, reserved: frozenset[str] = frozenset()) -> Callable[[str], str]:
    def check(value: str) -> str:
        if len(value) > limit or not _LABEL.fullmatch(value) or "--" in value:
            raise broken(
                f"a {what} has 1 to {limit} of a-z 0-9 and single hyphens inside",
                f"rename the {what}, e.g. {what}-1",
            )
        if value in reserved:
            raise broken(
                f"this {what} is reserved", f"use a {what} other than {', '.join(sorted(reserved))}"
            )
        return value

    return check


def _quantity(what: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        try:
            if parse_quantity(value) <= 0:
                raise ValueError
        except ValueError:
            example = "250m or 2" if what == "CPU" else "512Mi or 2Gi"
            raise broken(
                f"a {what} quantity is a positive number with a Kubernetes suffix",
                f"write it like {example}",
            ) from None
        if what != "CPU" and parse_quantity(value).denominator != 1:
            raise broken(
                f"a {what} quantity is a whole number of bytes", "write it like 512Mi or 2Gi"
            )
        if what == "CPU" and (parse_quantity(value) * 1000).denominator != 1:
            raise broken("CPU is counted in whole thousandths of a core", "write it like 250m or 2")
        return canonical_quantity(value)

    return check


def _number_as_text(value: object) -> object:
    """`limit: 2` in YAML is a number; Kubernetes files allow it, so do these."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _cidr(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=True))
    except ValueError as error:
        try:
            fixed = str(ipaddress.ip_network(value, strict=False))
        except ValueError:
            fixed = "10.1.0.0/16"
        raise broken(f"not a network in CIDR form ({error})", f"write it like {fixed}") from None


def _domain(value: str) -> str:
    if not _DOMAIN.fullmatch(value):
        raise broken(
            "a domain is a DNS name in lower case, without scheme, port or trailing dot",
            "write it like fleet.example.com",
        )
    return value


def _secret_key(value: str) -> str:
    if not _SECRET_KEY.fullmatch(value):
        raise broken(
            "a secret is named by its top-level config key, letters and digits",
            "write the key's name, e.g. modelApiKey",
        )
    return value


def _url(value: str) -> str:
    if not re.fullmatch(r"https?://[A-Za-z0-9._~:\[\]-]+(/[A-Za-z0-9._~/%-]*)?", value):
        raise broken(
            "a base URL is http:// or https:// without user, password, query or fragment",
            "write it like https://api.openai.com/v1",
        )
    return value.rstrip("/")


def _relative_path(value: str) -> str:
    parts = value.split("/")
    if not value or value.startswith("/") or "\\" in value or ".." in parts or "\x00" in value:
        raise broken(
            "a path is relative to the stack file's folder and stays inside it",
            "write it like scenes/coding",
        )
    return "/".join(part for part in parts if part not in ("", "."))


def _line(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise broken("this text is one line of printable characters", "remove control characters")
    return value.strip()


UserId = Annotated[str, AfterValidator(_user_id)]
SceneId = Annotated[str, AfterValidator(_label("scene", 40, RESERVED_SCENES))]
ProfileName = Annotated[str, AfterValidator(_label("profile", 40))]
PoolName = Annotated[str, AfterValidator(_label("pool", 20))]
EnvironmentName = Annotated[str, AfterValidator(_label("environment", 20))]
ObjectName = Annotated[str, AfterValidator(_label("object name", 63))]
CpuQuantity = Annotated[str, BeforeValidator(_number_as_text), AfterValidator(_quantity("CPU"))]
MemoryQuantity = Annotated[
    str, BeforeValidator(_number_as_text), AfterValidator(_quantity("memory or storage"))
]
Cidr = Annotated[str, AfterValidator(_cidr)]
Domain = Annotated[str, AfterValidator(_domain)]
SecretKey = Annotated[str, AfterValidator(_secret_key)]
BaseUrl = Annotated[str, Field(max_length=2048), AfterValidator(_url)]
RelativePath = Annotated[str, Field(max_length=512), AfterValidator(_relative_path)]
Line = Annotated[str, Field(max_length=128), AfterValidator(_line)]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
