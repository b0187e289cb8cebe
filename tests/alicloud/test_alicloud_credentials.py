"""Who works in the cloud: what the provider accepts is accepted, in its order, or told by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fleet.alicloud.credentials import (
    CredentialsError,
    OidcRole,
    Way,
    credentials_problem,
    oidc_role,
    sdk_credentials,
    way_of,
)

KEYS = {"ALICLOUD_ACCESS_KEY": "id", "ALICLOUD_SECRET_KEY": "secret"}
OIDC = {
    "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/ci",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/ci",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/run/token",
}
WAYS: list[tuple[str | None, Mapping[str, str], Way]] = [
    (None, KEYS, Way.KEYS),
    (
        None,
        {"ALIBABA_CLOUD_ACCESS_KEY_ID": "id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret"},
        Way.KEYS,
    ),
    ("ops", {}, Way.PROFILE),
    (None, {"ALICLOUD_PROFILE": "ops"}, Way.PROFILE),
    (None, {"ALIBABA_CLOUD_PROFILE": "ops"}, Way.PROFILE),
    (None, {"ALIBABA_CLOUD_CREDENTIALS_URI": "http://127.0.0.1/credentials"}, Way.URI),
    (None, {"ALICLOUD_ECS_ROLE_NAME": "machine"}, Way.ECS_ROLE),
    (None, {"ALIBABA_CLOUD_ECS_METADATA": "machine"}, Way.ECS_ROLE),
    (None, OIDC, Way.OIDC),
    # The provider asks in this order.
    ("ops", KEYS | OIDC, Way.KEYS),
    ("ops", OIDC, Way.PROFILE),
    (None, {"ALICLOUD_ECS_ROLE_NAME": "machine", **OIDC}, Way.ECS_ROLE),
]


@pytest.mark.parametrize(("profile", "variables", "way"), WAYS)
def test_whoever_the_provider_accepts_is_accepted(
    profile: str | None, variables: Mapping[str, str], way: Way
) -> None:
    assert way_of(profile, variables) is way
    assert credentials_problem(profile, variables) is None


def test_nobody_is_told_before_the_cloud_is_asked() -> None:
    assert str(credentials_problem(None, {})) == (
        "cluster.profile: not set: nobody to work as: ALICLOUD_ACCESS_KEY, ALICLOUD_SECRET_KEY not "
        "in the environment either, nor a role (ECS, OIDC) or a credentials URI: name a profile of "
        "the aliyun command line, or export the two variables"
    )
    with pytest.raises(CredentialsError, match="nobody to work as"):
        sdk_credentials(None, {})


@pytest.mark.parametrize("profile", [None, "ops"])
def test_half_a_key_pair_is_refused_also_beside_a_profile(profile: str | None) -> None:
    problem = str(credentials_problem(profile, {"ALIBABA_CLOUD_ACCESS_KEY_ID": "id"}))
    assert problem == (
        f"cluster.profile: {profile or 'not set'}: half a key pair: ALICLOUD_SECRET_KEY is not in "
        "the environment, the other half is, and it comes before a profile: export both variables, "
        "or neither"
    )


@pytest.mark.parametrize("missing", OIDC)
def test_a_role_by_oidc_takes_all_three_variables(missing: str) -> None:
    variables = {name: value for name, value in OIDC.items() if name != missing}
    assert credentials_problem(None, variables) is not None


def test_only_a_role_by_oidc_has_to_be_told_to_the_provider() -> None:
    assert oidc_role(None, KEYS | OIDC) is None
    assert oidc_role(None, OIDC) == OidcRole(
        role_arn="acs:ram::1:role/ci",
        provider_arn="acs:ram::1:oidc-provider/ci",
        token_file="/run/token",  # noqa: S106  (a path)
        session_name="opencode-fleet",
    )


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        (KEYS, "static_ak"),
        (KEYS | {"ALICLOUD_SECURITY_TOKEN": "token"}, "static_sts"),
        ({"ALICLOUD_PROFILE": "ops"}, "cli_profile"),
        ({"ALICLOUD_CREDENTIALS_URI": "http://127.0.0.1/credentials"}, "credential_uri"),
        ({"ALICLOUD_ECS_ROLE_NAME": "machine"}, "ecs_ram_role"),
        (OIDC, "oidc_role_arn"),
    ],
)
def test_the_vendors_sdk_is_asked_for_the_same_way(variables: dict[str, str], kind: str) -> None:
    client: Any = sdk_credentials(None, variables)
    assert client.cloud_credential.type_name == kind
