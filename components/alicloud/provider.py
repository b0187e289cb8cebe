"""The one Alibaba Cloud provider of an environment.

Leaves out: credentials, which come from the named profile or the ALICLOUD_* variables.
"""

from __future__ import annotations

import pulumi_alicloud as alicloud

from fleet.alicloud.config import AckCluster, VmCluster


def cloud_provider(name: str, cluster: VmCluster | AckCluster) -> alicloud.Provider:
    """Make the explicit provider under which all of an environment's cloud resources go."""
    return alicloud.Provider(
        f"{name}-alicloud",
        region=cluster.region,
        profile=cluster.profile,
        account_type=cluster.account_type,
        account_id=cluster.account_id,
        # A typing error in the region is found by our own list, without a call to the cloud.
        skip_region_validation=True,
        # Otherwise a new image wipes the system disk in place, and shows as a harmless update.
        # Arguments classes, because a provider's plain dicts are sent with Python's spelling.
        features=alicloud.ProviderFeaturesArgs(
            ecs_instance=alicloud.ProviderFeaturesEcsInstanceArgs(replace_on_image_update=True)
        ),
    )
