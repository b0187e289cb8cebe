"""What the make-believe cloud knows of each kind of resource: ids, names, references, rules.

From the provider's documentation (what replaces a resource) and the cloud's own (what refuses).
Leaves out: keeping them (`alibaba`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of resource."""

    prefix: str
    """What its ids begin with; empty where its name is its id."""
    name: str = ""
    """The property that no two of the kind may share."""
    replaces: frozenset[str] = frozenset()
    """Properties whose change makes it anew."""
    refers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Properties that name another resource, which must be there; `?` before a kind: it may be
    deleted all the same."""
    refusal: str = "DependencyViolation"
    """What the cloud says while something needs it."""
    holds_data: bool = False
    once: tuple[str, ...] = ()
    """Properties that one resource of the kind can have for itself: a second is refused."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SPOT = "spotStrategy spotPriceLimit spotInterruptionBehavior spotDuration"

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "alicloud:vpc/network:Network": Kind(
            prefix="vpc",
            replaces=_words("isDefault userCidrs"),
            refusal="DependencyViolation.VSwitch",
        ),
        "alicloud:vpc/switch:Switch": Kind(
            prefix="vsw",
            replaces=_words("cidrBlock vpcId zoneId"),
            refers={"vpcId": "vpc"},
            refusal="DependencyViolation.NetworkInterface",
        ),
        "alicloud:vpc/natGateway:NatGateway": Kind(
            prefix="ngw",
            replaces=_words("vpcId vswitchId networkType"),
            refers={"vpcId": "vpc", "vswitchId": "vsw"},
            refusal="DependencyViolation.SnatEntry",
        ),
        "alicloud:vpc/snatEntry:SnatEntry": Kind(
            prefix="snat",
            replaces=_words("snatTableId sourceVswitchId"),
            refers={"snatTableId": "stb", "sourceVswitchId": "vsw"},
        ),
        "alicloud:ecs/securityGroup:SecurityGroup": Kind(
            prefix="sg", replaces=_words("securityGroupType vpcId"), refers={"vpcId": "vpc"}
        ),
        "alicloud:ecs/securityGroupRule:SecurityGroupRule": Kind(
            prefix="sgr",
            replaces=_words("type ipProtocol portRange cidrIp policy priority securityGroupId"),
            refers={"securityGroupId": "?sg"},
        ),
        "alicloud:ecs/eipAddress:EipAddress": Kind(
            prefix="eip",
            replaces=_words("internetChargeType paymentType isp netmode zone"),
            refusal="IncorrectEipStatus",
        ),
        "alicloud:ecs/eipAssociation:EipAssociation": Kind(
            prefix="eipassoc",
            replaces=_words("allocationId instanceId instanceType"),
            refers={"allocationId": "eip", "instanceId": "?i ngw"},
            once=("allocationId",),
            refusal="IncorrectEipStatus",
        ),
        "alicloud:ecs/ecsKeyPair:EcsKeyPair": Kind(
            prefix="",
            name="keyPairName",
            replaces=_words("keyPairName"),
            refusal="InvalidOperation.KeyPairInUse",
        ),
        "alicloud:ecs/ecsDisk:EcsDisk": Kind(
            prefix="d",
            replaces=_words("encrypted kmsKeyId multiAttach snapshotId zoneId"),
            refusal="IncorrectDiskStatus",
            holds_data=True,
        ),
        "alicloud:ecs/ecsDiskAttachment:EcsDiskAttachment": Kind(
            prefix="attach",
            replaces=_words("diskId instanceId"),
            refers={"diskId": "d", "instanceId": "?i"},
            once=("diskId",),
        ),
        "alicloud:ecs/instance:Instance": Kind(
            prefix="i",
            replaces=_words(
                "availabilityZone systemDiskCategory systemDiskEncrypted imageId " + _SPOT
            ),
            refers={"vswitchId": "vsw", "securityGroups": "sg", "keyName": "key"},
        ),
        "alicloud:ecs/autoSnapshotPolicy:AutoSnapshotPolicy": Kind(
            prefix="sp", refusal="SnapshotPolicyInUse"
        ),
        "alicloud:ecs/ecsAutoSnapshotPolicyAttachment:EcsAutoSnapshotPolicyAttachment": Kind(
            prefix="spa",
            replaces=_words("autoSnapshotPolicyId diskId"),
            refers={"autoSnapshotPolicyId": "sp", "diskId": "?d"},
        ),
        "alicloud:ecs/ramRoleAttachment:RamRoleAttachment": Kind(
            prefix="rra", replaces=_words("ramRoleName instanceId"), refers={"ramRoleName": "role"}
        ),
        "alicloud:nas/fileSystem:FileSystem": Kind(
            prefix="nas",
            replaces=_words("protocolType storageType fileSystemType encryptType zoneId kmsKeyId"),
            refusal="InvalidFileSystemStatus.MountTargetExists",
            holds_data=True,
        ),
        "alicloud:nas/accessGroup:AccessGroup": Kind(
            prefix="",
            name="accessGroupName",
            replaces=_words("accessGroupName accessGroupType fileSystemType"),
            refusal="InvalidAccessGroup.AlreadyAttached",
        ),
        "alicloud:nas/accessRule:AccessRule": Kind(
            prefix="rule",
            replaces=_words("accessGroupName fileSystemType"),
            refers={"accessGroupName": "?access"},
        ),
        "alicloud:nas/mountTarget:MountTarget": Kind(
            prefix="mt",
            replaces=_words("fileSystemId vpcId vswitchId networkType"),
            refers={
                "fileSystemId": "nas",
                "accessGroupName": "access",
                "vpcId": "vpc",
                "vswitchId": "vsw",
            },
        ),
        "alicloud:cs/managedKubernetes:ManagedKubernetes": Kind(
            prefix="c",
            name="name",
            replaces=_words("profile podCidr serviceCidr proxyMode ipStack clusterDomain"),
            refers={"vswitchIds": "vsw", "podVswitchIds": "vsw", "securityGroupId": "sg"},
            refusal="ErrorClusterHasNodePool",
        ),
        "alicloud:cs/nodePool:NodePool": Kind(
            prefix="np",
            replaces=_words("clusterId"),
            refers={"clusterId": "c", "vswitchIds": "vsw"},
        ),
        "alicloud:cs/registryEnterpriseNamespace:RegistryEnterpriseNamespace": Kind(
            prefix="crn",
            name="name",
            replaces=_words("instanceId name"),
            refers={"instanceId": "cri"},
        ),
        "alicloud:cs/registryEnterpriseRepo:RegistryEnterpriseRepo": Kind(
            prefix="crr",
            name="name",
            replaces=_words("instanceId namespace name"),
            refers={"instanceId": "cri"},
            holds_data=True,
        ),
        "alicloud:slb/applicationLoadBalancer:ApplicationLoadBalancer": Kind(
            prefix="lb", replaces=_words("addressType vswitchId"), refers={"vswitchId": "vsw"}
        ),
        "alicloud:slb/acl:Acl": Kind(prefix="acl", replaces=_words("ipVersion")),
        "alicloud:slb/aclEntryAttachment:AclEntryAttachment": Kind(
            prefix="entry", replaces=_words("aclId entry comment"), refers={"aclId": "?acl"}
        ),
        "alicloud:dns/alidnsRecord:AlidnsRecord": Kind(
            prefix="record", replaces=_words("domainName")
        ),
        "alicloud:ram/role:Role": Kind(
            prefix="",
            name="roleName",
            replaces=_words("roleName"),
            refusal="DeleteConflict.Role.Policy",
        ),
        "alicloud:ram/policy:Policy": Kind(
            prefix="",
            name="policyName",
            replaces=_words("policyName"),
            refusal="DeleteConflict.Policy.Role",
        ),
        "alicloud:ram/rolePolicyAttachment:RolePolicyAttachment": Kind(
            prefix="rpa",
            replaces=_words("roleName policyName policyType"),
            refers={"roleName": "role", "policyName": "policy"},
        ),
        "alicloud:fc/v3Function:V3Function": Kind(
            prefix="",
            name="functionName",
            replaces=_words("functionName"),
            refusal="TriggerNotDeleted",
        ),
        "alicloud:fc/v3Trigger:V3Trigger": Kind(
            prefix="trigger",
            replaces=_words("functionName triggerName triggerType"),
            refers={"functionName": "function"},
        ),
    }
)
# Kinds whose id is their name, by the word that references use.
BY_NAME = MappingProxyType(
    {
        "key": "alicloud:ecs/ecsKeyPair:EcsKeyPair",
        "access": "alicloud:nas/accessGroup:AccessGroup",
        "role": "alicloud:ram/role:Role",
        "policy": "alicloud:ram/policy:Policy",
        "function": "alicloud:fc/v3Function:V3Function",
    }
)
