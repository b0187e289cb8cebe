"""The scalar types of a stack file: one named rule each, written and tested once.

Leaves out: rules that span several fields (`rules`).
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from fleet.values.model import broken
from fleet.values.quantity import canonical_quantity, parse_quantity

USER_ID_MAX = 128
_USER_ID = re.compile(r"[a-z0-9]([a-z0-9._@+-]*[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_DOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)
_SECRET_KEY = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")
# k8s.io/apimachinery validation: IsDNS1123Label, IsQualifiedName, IsValidLabelValue.
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_URL = re.compile(
    r"https?://(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?:/[A-Za-z0-9._~/%@:+-]*)?"
)
_LAST_PORT = 65535

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
            _foreign(value)
            or "write it in lower case without other characters, e.g. alice or alice.smith",
        )
    if value in RESERVED_USERS:
        raise broken(
            "this id is reserved", f"use an id other than {', '.join(sorted(RESERVED_USERS))}"
        )
    return value


def _foreign(value: str) -> str | None:
    """Return advice on the first letter that is none of ASCII's: some look exactly like one."""
    foreign = next((letter for letter in value if letter.isprintable() and letter > "~"), None)
    if foreign is None:
        return None
    return f"replace {foreign} ({unicodedata.name(foreign, f'U+{ord(foreign):04X}')})"


def _label(what: str, limit: int, reserved: frozenset[str] = frozenset()) -> Callable[[str], str]:
    def check(value: str) -> str:
        if len(value) > limit or not _LABEL.fullmatch(value) or "--" in value:
            article = "an" if what[0] in "aeiou" else "a"
            raise broken(
                f"{article} {what} name has 1 to {limit} of a-z 0-9 and single hyphens inside",
                _foreign(value) or f"rename it, e.g. {what}-1",
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
                f"a {what} quantity is a positive number with a Kubernetes suffix, below 8Ei",
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
    if "%" in value:
        raise broken("a network has no interface", "remove the % and what follows")
    try:
        network = ipaddress.ip_network(value, strict=True)
    except ValueError:
        try:
            fixed = str(ipaddress.ip_network(value, strict=False))
        except ValueError:
            rule, fixed = "a network is address/prefix", "10.1.0.0/16"
        else:
            rule = "a network's address has no bits set behind its prefix"
        raise broken(rule, f"write it like {fixed}") from None
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        # Kubernetes' parser takes it for IPv4 and then refuses its prefix.
        four = f"{network.network_address.ipv4_mapped}/{network.prefixlen - 96}"
        raise broken("an IPv4 network is written as one", f"write {four}")
    return str(network)


def _address(value: str) -> str:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        rule = "an address has no name, prefix or port"
        raise broken(rule, "write it like 169.254.20.10") from None
    if "%" in value or getattr(address, "ipv4_mapped", None):
        raise broken("an address has no interface and no other spelling", "write it plainly")
    return str(address)


def _domain(value: str) -> str:
    if not _DOMAIN.fullmatch(value):
        raise broken(
            "a domain is a DNS name in lower case, without scheme, port or trailing dot",
            "write it like fleet.example.com",
        )
    return value


def _object_name(value: str) -> str:
    if not _DOMAIN.fullmatch(value):
        raise broken(
            "the name of a Kubernetes object has a-z 0-9 - and dots, letter or digit at the ends",
            "write the name as `kubectl get` prints it",
        )
    return value


def _namespace(value: str) -> str:
    if not _NAMESPACE.fullmatch(value):
        raise broken(
            "a namespace has 1 to 63 of a-z 0-9 and hyphens, letter or digit at the ends",
            "write the name as `kubectl get namespaces` prints it",
        )
    return value


def _label_key(value: str) -> str:
    prefix, slash, name = value.rpartition("/")
    if not name or not _LABEL_VALUE.fullmatch(name) or (slash and not _DOMAIN.fullmatch(prefix)):
        raise broken(
            "a label's key is [domain/]name, the name of at most 63 letters, digits, - _ and dots",
            "write it like app.kubernetes.io/name",
        )
    return value


def _label_value(value: str) -> str:
    if not _LABEL_VALUE.fullmatch(value):
        raise broken(
            "a label's value has at most 63 letters, digits, - _ and dots, none of the last three "
            "at the ends",
            "write it as the pods carry it",
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
    match = _URL.fullmatch(value)
    if match is None or not 0 < int(match["port"] or 1) <= _LAST_PORT:
        raise broken(
            "a base URL is http:// or https:// without user, password, query or fragment",
            "write it like https://api.openai.com/v1",
        )
    return value.rstrip("/")


def _relative_path(value: str) -> str:
    parts = value.split("/")
    kept = "/".join(part for part in parts if part not in ("", "."))
    if not kept or value.startswith("/") or ".." in parts:
        raise broken(
            "a path names a folder below the stack file's (nasPath: below the share's)",
            "write it like scenes/coding",
        )
    if "\\" in kept or not kept.isprintable():
        raise broken(
            "a path has printable characters and no backslash", "write it with / between folders"
        )
    return kept


def _line(value: str) -> str:
    if not value.strip():
        raise broken("this text is not empty", "write something, or remove the key")
    if not value.isprintable():
        raise broken("this text is one line of printable characters", "remove control characters")
    return value.strip()


def _schema(pattern: re.Pattern[str] | str, limit: int) -> WithJsonSchema:
    """Tell editors most of a rule; the rest, and the better message, is the validator's."""
    text = pattern if isinstance(pattern, str) else pattern.pattern
    return WithJsonSchema({"type": "string", "pattern": f"^(?:{text})$", "maxLength": limit})


_QUANTITY = WithJsonSchema({"type": ["string", "number"], "examples": ["250m", "2", "512Mi"]})

UserId = Annotated[str, AfterValidator(_user_id), _schema(_USER_ID, USER_ID_MAX)]
SceneId = Annotated[str, AfterValidator(_label("scene", 40, RESERVED_SCENES)), _schema(_LABEL, 40)]
ProfileName = Annotated[str, AfterValidator(_label("profile", 40)), _schema(_LABEL, 40)]
PoolName = Annotated[str, AfterValidator(_label("pool", 20)), _schema(_LABEL, 20)]
EnvironmentName = Annotated[str, AfterValidator(_label("environment", 20)), _schema(_LABEL, 20)]
ObjectName = Annotated[str, AfterValidator(_object_name), _schema(_DOMAIN, 253)]
NamespaceName = Annotated[str, AfterValidator(_namespace), _schema(_NAMESPACE, 63)]
LabelKey = Annotated[str, Field(max_length=317), AfterValidator(_label_key)]
LabelValue = Annotated[str, AfterValidator(_label_value), _schema(_LABEL_VALUE, 63)]
CpuQuantity = Annotated[
    str, BeforeValidator(_number_as_text), AfterValidator(_quantity("CPU")), _QUANTITY
]
MemoryQuantity = Annotated[
    str,
    BeforeValidator(_number_as_text),
    AfterValidator(_quantity("memory or storage")),
    _QUANTITY,
]
Cidr = Annotated[str, AfterValidator(_cidr)]
Address = Annotated[str, AfterValidator(_address)]
Domain = Annotated[str, AfterValidator(_domain), _schema(_DOMAIN, 253)]
SecretKey = Annotated[str, AfterValidator(_secret_key), _schema(_SECRET_KEY, 63)]
BaseUrl = Annotated[str, Field(max_length=2048), AfterValidator(_url)]
RelativePath = Annotated[str, Field(max_length=512), AfterValidator(_relative_path)]
Line = Annotated[str, Field(max_length=128), AfterValidator(_line)]
Port = Annotated[int, Field(ge=1, le=_LAST_PORT, strict=True)]
