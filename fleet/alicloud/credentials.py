"""Who works in the cloud: found in the environment in the same order as the Pulumi provider does.

So that a program of ours never works as somebody else than the provider in the same run. Owns: the
order, half a key pair, the vendor's SDK object for each way. Leaves out: calls (`api`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any

from fleet.errors import Problem

# Each list in the provider's own order (schema of terraform-provider-alicloud 2).
_KEY_ID = ("ALICLOUD_ACCESS_KEY", "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABACLOUD_ACCESS_KEY_ID")
_KEY_SECRET = (
    "ALICLOUD_SECRET_KEY",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABACLOUD_ACCESS_KEY_SECRET",
)
_TOKEN = (
    "ALICLOUD_SECURITY_TOKEN",
    "ALIBABA_CLOUD_SECURITY_TOKEN",
    "ALIBABACLOUD_SECURITY_TOKEN",
)
_PROFILE = ("ALICLOUD_PROFILE", "ALIBABA_CLOUD_PROFILE")
_PROFILES_FILE = ("ALICLOUD_SHARED_CREDENTIALS_FILE", "ALIBABA_CLOUD_CREDENTIALS_FILE")
_URI = ("ALICLOUD_CREDENTIALS_URI", "ALIBABA_CLOUD_CREDENTIALS_URI")
_ECS_ROLE = ("ALICLOUD_ECS_ROLE_NAME", "ALIBABA_CLOUD_ECS_METADATA")
_ROLE_ARN, _OIDC_ARN = "ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"
_OIDC_FILE = "ALIBABA_CLOUD_OIDC_TOKEN_FILE"
_SESSION = "ALIBABA_CLOUD_ROLE_SESSION_NAME"


class Way(StrEnum):
    """How somebody is known to the cloud."""

    KEYS = "keys"
    PROFILE = "profile"
    URI = "uri"
    ECS_ROLE = "ecsRole"
    OIDC = "oidc"


class CredentialsError(Exception):
    """Nobody to work as; the text is for the operator."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OidcRole:
    """A role that an OIDC token is exchanged for; the token stays in its file."""

    role_arn: str
    provider_arn: str
    token_file: str
    session_name: str


def way_of(profile: str | None, variables: Mapping[str, str]) -> Way | None:
    """Return how the provider will sign, or None when it knows nobody.

    Keys in the environment come before a profile, also before one that the stack file names.
    """
    ways = {
        Way.KEYS: _first(_KEY_ID, variables) and _first(_KEY_SECRET, variables),
        Way.PROFILE: profile or _first(_PROFILE, variables),
        Way.URI: _first(_URI, variables),
        Way.ECS_ROLE: _first(_ECS_ROLE, variables),
        Way.OIDC: all(variables.get(name) for name in (_ROLE_ARN, _OIDC_ARN, _OIDC_FILE)),
    }
    return next((way for way, known in ways.items() if known), None)


def credentials_problem(profile: str | None, variables: Mapping[str, str]) -> Problem | None:
    """Return the problem of a run without credentials, which the cloud would word worse."""
    given = profile or "not set"
    known = {names[0]: _first(names, variables) for names in (_KEY_ID, _KEY_SECRET)}
    missing = [name for name, value in known.items() if not value]
    if len(missing) == 1:
        return Problem(
            "cluster.profile",
            given,
            f"half a key pair: {missing[0]} is not in the environment, the other half is, "
            "and it comes before a profile",
            "export both variables, or neither",
        )
    if way_of(profile, variables) is not None:
        return None
    return Problem(
        "cluster.profile",
        given,
        f"nobody to work as: {', '.join(missing)} not in the environment either, "
        "nor a role (ECS, OIDC) or a credentials URI",
        "name a profile of the aliyun command line, or export the two variables",
    )


def oidc_role(profile: str | None, variables: Mapping[str, str]) -> OidcRole | None:
    """Return the role, where this is the way: the only one that the provider has to be told."""
    if way_of(profile, variables) is not Way.OIDC:
        return None
    return OidcRole(
        role_arn=variables[_ROLE_ARN],
        provider_arn=variables[_OIDC_ARN],
        token_file=variables[_OIDC_FILE],
        session_name=variables.get(_SESSION) or "opencode-fleet",
    )


def sdk_credentials(profile: str | None, variables: Mapping[str, str]) -> Any:
    """Return the vendor's credentials client for whoever the provider works as.

    Raises CredentialsError when there is nobody; what the SDK finds missing, it says when used.
    """
    problem = credentials_problem(profile, variables)
    if problem is not None:
        raise CredentialsError(str(problem))
    # Untyped, and a second to load: only for a program that calls the cloud.
    ways: Any = import_module("alibabacloud_credentials.provider")
    role = oidc_role(profile, variables)
    if role is not None:
        provider = ways.OIDCRoleArnCredentialsProvider(
            role_arn=role.role_arn,
            oidc_provider_arn=role.provider_arn,
            oidc_token_file_path=role.token_file,
            role_session_name=role.session_name,
        )
        return _client(provider)
    match way_of(profile, variables):
        case Way.PROFILE:
            provider = ways.CLIProfileCredentialsProvider(
                profile_name=profile or _first(_PROFILE, variables),
                profile_file=_first(_PROFILES_FILE, variables),
            )
        case Way.URI:
            provider = ways.URLCredentialsProvider(uri=_first(_URI, variables))
        case Way.ECS_ROLE:
            provider = ways.EcsRamRoleCredentialsProvider(role_name=_first(_ECS_ROLE, variables))
        case _:
            provider = _keys(ways, variables)
    return _client(provider)


def _client(provider: Any) -> Any:
    return import_module("alibabacloud_credentials.client").Client(provider=provider)


def _keys(ways: Any, variables: Mapping[str, str]) -> Any:
    pair = {
        "access_key_id": _first(_KEY_ID, variables),
        "access_key_secret": _first(_KEY_SECRET, variables),
    }
    token = _first(_TOKEN, variables)
    if token is None:
        return ways.StaticAKCredentialsProvider(**pair)
    return ways.StaticSTSCredentialsProvider(security_token=token, **pair)


def _first(names: tuple[str, ...], variables: Mapping[str, str]) -> str | None:
    return next((variables[name] for name in names if variables.get(name)), None)
