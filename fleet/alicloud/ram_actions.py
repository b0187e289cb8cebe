"""The API calls behind each feature: what a RAM user must be allowed to make, read back and delete.

Source: the calls in the provider's resources (create, read, update, delete) and, for ACK, Alibaba's
list of authorizations. Public addresses belong to `vpc:`; an `eip:` service does not exist. Left
out on purpose: `ecs:ReplaceSystemDisk`, so that no mistake wipes a boot disk. Leaves out: which
features an environment has (`ram_policy`).
"""

from __future__ import annotations

from types import MappingProxyType

_TAGS = ("TagResources", "UnTagResources", "ListTagResources")


def _of(service: str, names: str, *more: str) -> tuple[str, ...]:
    return tuple(f"{service}:{name}" for name in (*names.split(), *more))


ACTIONS = MappingProxyType(
    {
        "network": _of(
            "vpc",
            "CreateVpc DeleteVpc DescribeVpcAttribute DescribeVpcs ModifyVpcAttribute "
            "DescribeRouteTableList ModifyRouteTableAttributes CreateVSwitch DeleteVSwitch "
            "DescribeVSwitchAttributes DescribeVSwitches ModifyVSwitchAttribute",
            *_TAGS,
        ),
        "network-found": _of("vpc", "DescribeVpcs DescribeVSwitches"),
        "address": _of(
            "vpc",
            "AllocateEipAddress ReleaseEipAddress DescribeEipAddresses ModifyEipAddressAttribute "
            "AssociateEipAddress UnassociateEipAddress DeletionProtection",
            *_TAGS,
        ),
        "nat": _of(
            "vpc",
            "CreateNatGateway DeleteNatGateway DescribeNatGateways "
            "ModifyNatGatewayAttribute CreateSnatEntry DeleteSnatEntry ModifySnatEntry "
            "DescribeSnatTableEntries",
        ),
        "security-group": _of(
            "ecs",
            "CreateSecurityGroup DeleteSecurityGroup DescribeSecurityGroups "
            "DescribeSecurityGroupAttribute ModifySecurityGroupAttribute "
            "ModifySecurityGroupPolicy ModifySecurityGroupRule AuthorizeSecurityGroup "
            "RevokeSecurityGroup TagResources UntagResources",
        ),
        "machine": _of(
            "ecs",
            "RunInstances DeleteInstance StartInstance StopInstance RebootInstance "
            "DescribeInstances DescribeInstanceAttribute DescribeInstanceMaintenanceAttributes "
            "DescribeInstanceAttachmentAttributes DescribeInstanceRamRole DescribeUserData "
            "DescribeDisks DescribeNetworkInterfaces DescribeSecurityGroups DescribeTags "
            "ModifyInstanceAttribute ModifyInstanceSpec ModifyInstanceMetadataOptions "
            "ModifyInstanceVpcAttribute JoinSecurityGroup LeaveSecurityGroup ResizeDisk "
            "ModifyDiskSpec ModifyDiskAttribute TagResources UntagResources "
            "DescribeAvailableResource DescribeInstanceTypes DescribeImages DescribeZones",
        ),
        "machine-found": _of("ecs", "DescribeInstances DescribeDisks DescribeInstanceRamRole"),
        "key": _of(
            "ecs", "ImportKeyPair DescribeKeyPairs DeleteKeyPairs AttachKeyPair DetachKeyPair"
        ),
        "data-disk": _of(
            "ecs",
            "CreateDisk DeleteDisk AttachDisk DetachDisk DescribeDisks ResizeDisk ModifyDiskSpec "
            "ModifyDiskAttribute",
        ),
        "snapshots": _of(
            "ecs",
            "CreateAutoSnapshotPolicy DeleteAutoSnapshotPolicy ApplyAutoSnapshotPolicy "
            "CancelAutoSnapshotPolicy DescribeAutoSnapshotPolicyEx ModifyAutoSnapshotPolicyEx",
        ),
        "cloud-assistant": _of(
            "ecs",
            "RunCommand DescribeInvocationResults",
        ),
        "files": _of(
            "nas",
            "CreateFileSystem ModifyFileSystem DeleteFileSystem DescribeFileSystems "
            "CreateMountTarget ModifyMountTarget DeleteMountTarget DescribeMountTargets "
            "CreateAccessGroup ModifyAccessGroup DeleteAccessGroup DescribeAccessGroups "
            "CreateAccessRule ModifyAccessRule DeleteAccessRule DescribeAccessRules DescribeNfsAcl "
            "GetRecycleBinAttribute EnableRecycleBin UpdateRecycleBinAttribute ListTagResources",
        ),
        "dns": _of(
            "alidns",
            "AddDomainRecord DescribeDomainRecordInfo UpdateDomainRecord UpdateDomainRecordRemark "
            "SetDomainRecordStatus DeleteDomainRecord",
        ),
        "kubernetes": _of(
            "cs",
            "CreateCluster DeleteCluster ModifyCluster UpgradeCluster DescribeClusterDetail "
            "DescribeTaskInfo GetClusterCerts CheckControlPlaneLogEnable "
            "DescribeClusterUserKubeconfig CreateClusterNodePool ModifyClusterNodePool "
            # The small p is the API's own spelling.
            "DeleteClusterNodepool DescribeClusterNodePools DescribeClusterNodePoolDetail "
            "DescribeClusterNodes",
        )
        + _of("vpc", "DescribeNatGateways"),
        "balancer": _of(
            "slb",
            "CreateLoadBalancer DeleteLoadBalancer DescribeLoadBalancers "
            "DescribeLoadBalancerAttribute SetLoadBalancerName SetLoadBalancerDeleteProtection "
            "ModifyLoadBalancerInternetSpec ModifyLoadBalancerInstanceSpec "
            "TagResources UntagResources ListTagResources",
        ),
        "balancer-access": _of(
            "slb",
            "CreateAccessControlList DeleteAccessControlList DescribeAccessControlListAttribute "
            "SetAccessControlListAttribute AddAccessControlListEntry RemoveAccessControlListEntry",
        ),
        "role": _of(
            "ram",
            "CreateRole GetRole UpdateRole DeleteRole CreatePolicy GetPolicy DeletePolicy "
            "CreatePolicyVersion DeletePolicyVersion ListPolicyVersions GetPolicyVersion "
            "ListEntitiesForPolicy AttachPolicyToRole DetachPolicyFromRole ListPoliciesForRole "
            "PassRole",
        ),
        "role-of-machine": _of(
            "ecs", "AttachInstanceRamRole DetachInstanceRamRole DescribeInstanceRamRole"
        )
        + _of("ram", "PassRole"),
        "schedule": _of(
            "fc",
            "CreateFunction GetFunction UpdateFunction DeleteFunction CreateTrigger GetTrigger "
            "UpdateTrigger DeleteTrigger",
        ),
        "registry": _of(
            "cr",
            "CreateNamespace GetNamespace UpdateNamespace DeleteNamespace CreateRepository "
            "GetRepository UpdateRepository DeleteRepository",
        ),
    }
)
