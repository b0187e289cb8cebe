"""The one Alibaba Cloud provider of an environment.

Leaves out: credentials, which it finds itself in the environment (`fleet.alicloud.credentials`);
only for a role by OIDC it has to be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pulumi_alicloud as alicloud

from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.credentials import OidcRole, oidc_role

_NOTHING: Mapping[str, str] = MappingProxyType({})


def cloud_provider(
    name: str, cluster: VmCluster | AckCluster, variables: Mapping[str, str] = _NOTHING
) -> alicloud.Provider:
    """Make the explicit provider under which all of an environment's cloud resources go."""
    role = oidc_role(cluster.profile, variables)
    return alicloud.Provider(
        f"{name}-alicloud",
        region=cluster.region,
        profile=cluster.profile,
        account_type=cluster.account_type,
        account_id=cluster.account_id,
        assume_role_with_oidc=_assumed(role) if role else None,
        # A typing error in the region is found by our own list, without a call to the cloud.
        skip_region_validation=True,
        # Otherwise a new image wipes the system disk in place, and shows as a harmless update.
        # Arguments classes, because a provider's plain dicts are sent with Python's spelling.
        features=alicloud.ProviderFeaturesArgs(
            ecs_instance=alicloud.ProviderFeaturesEcsInstanceArgs(replace_on_image_update=True)
        ),
    )


def _assumed(role: OidcRole) -> alicloud.ProviderAssumeRoleWithOidcArgs:
    return alicloud.ProviderAssumeRoleWithOidcArgs(
        role_arn=role.role_arn,
        oidc_provider_arn=role.provider_arn,
        oidc_token_file=role.token_file,
        role_session_name=role.session_name,
    )
