"""A make-believe Alibaba Cloud for component tests: what it would answer, and stack-file clusters.

Owns: outputs of made resources, answers of look-ups. Leaves out: running
(`engine`) and judging (`policy`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pulumi

from components.alicloud.cluster import CloudArgs
from components.alicloud.machine_cluster import MachineCluster
from components.alicloud.managed_cluster import ManagedCluster
from components.alicloud.provider import cloud_provider
from fleet.alicloud.config import AckCluster, VmCluster
from tests.support.recorded import Recorded
from tests.support.recording import Answer, Engine, Outputs, run

ADDRESS, NAT_ADDRESS = "198.51.100.10", "198.51.100.20"
LOGIN_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGludmVudGVkIGtleSBvZiBub2JvZHksIDMyIGJ5dGVz"
PRIVATE_PEM = "-----BEGIN PRIVATE KEY-----\ninvented\n-----END PRIVATE KEY-----\n"
REQUEST_PEM = "-----BEGIN CERTIFICATE REQUEST-----\ninvented\n-----END CERTIFICATE REQUEST-----\n"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


ANSWER = json.dumps(
    {
        "ca": encoded("the CA"),
        "certificate": encoded("the certificate"),
        "hostKeys": encoded(f"{LOGIN_KEY} root@fleet\n"),
    }
)


def _eip(resource: Recorded) -> Mapping[str, Any]:
    return {"ipAddress": NAT_ADDRESS if resource.name.endswith("nat-address") else ADDRESS}


OUTPUTS: Mapping[str, Outputs] = {
    "alicloud:ecs/eipAddress:EipAddress": _eip,
    "alicloud:cs/managedKubernetes:ManagedKubernetes": lambda _: {
        "connections": [
            {
                "apiServerInternet": "https://198.51.100.30:6443",
                "apiServerIntranet": "https://172.20.0.30:6443",
            }
        ]
    },
    "alicloud:slb/applicationLoadBalancer:ApplicationLoadBalancer": lambda _: {
        "address": "198.51.100.40"
    },
    "alicloud:nas/mountTarget:MountTarget": lambda _: {
        "mountTargetDomain": "0abc-xyz.ap-southeast-1.nas.aliyuncs.com"
    },
    "alicloud:vpc/natGateway:NatGateway": lambda _: {"snatTableIds": "stb-1"},
    "alicloud:ram/role:Role": lambda r: {"arn": f"acs:ram::1:role/{r.inputs['roleName']}"},
    "tls:index/privateKey:PrivateKey": lambda _: {
        "privateKeyPem": PRIVATE_PEM,
        "privateKeyOpenssh": "-----BEGIN OPENSSH PRIVATE KEY-----",
        "publicKeyOpenssh": f"{LOGIN_KEY}\n",
    },
    "tls:index/certRequest:CertRequest": lambda _: {"certRequestPem": REQUEST_PEM},
    "tls:index/selfSignedCert:SelfSignedCert": lambda _: {"certPem": "AUTHORITY"},
    "tls:index/locallySignedCert:LocallySignedCert": lambda _: {"certPem": "CERTIFICATE"},
    "command:local:Command": lambda _: {"stdout": f"FLEET-ACCESS {ANSWER}\n"},
}


def _credential(_: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "certificateAuthorities": [
            {"clusterCert": encoded("CA"), "clientCert": encoded("C"), "clientKey": encoded("K")}
        ]
    }


LOOKUPS: Mapping[str, Answer] = {
    "alicloud:cs/getClusterCredential:getClusterCredential": _credential,
}


def engine(**lookups: Answer) -> Engine:
    """Return an engine in this world; look-ups by the last part of their token."""
    known = dict(LOOKUPS) | {_TOKENS[name]: answer for name, answer in lookups.items()}
    return Engine(outputs=OUTPUTS, lookups=known)


_TOKENS = {
    "networks": "alicloud:vpc/getNetworks:getNetworks",
    "switches": "alicloud:vpc/getSwitches:getSwitches",
    "groups": "alicloud:ecs/getSecurityGroups:getSecurityGroups",
    "addresses": "alicloud:ecs/getEipAddresses:getEipAddresses",
    "instances": "alicloud:ecs/getInstances:getInstances",
}


def declare(cluster: VmCluster | AckCluster, world: Engine | None = None, **changes: Any) -> Engine:
    """Run the whole cloud side of an environment named `fleet-test`, outputs exported.

    Runs in the plain world are kept: nobody changes a finished engine.
    """
    key = f"{cluster.model_dump_json()} {sorted(changes.items())}"
    if world is not None:
        return _run(cluster, world, changes)
    if key not in _RUNS:
        _RUNS[key] = _run(cluster, engine(), changes)
    return _RUNS[key]


_RUNS: dict[str, Engine] = {}


def _run(cluster: VmCluster | AckCluster, world: Engine, changes: Mapping[str, Any]) -> Engine:

    def program() -> None:
        opts = pulumi.ResourceOptions(providers=[cloud_provider("fleet-test", cluster)])
        if isinstance(cluster, VmCluster):
            args = CloudArgs(cluster=cluster, **changes)
            machine = MachineCluster("fleet-test", args, opts)
            made = machine.made
            pulumi.export("known_hosts", machine.known_hosts)
            pulumi.export("login_key", machine.login_key)
        else:
            args = CloudArgs(cluster=cluster, **changes)
            managed = ManagedCluster("fleet-test", args, opts)
            made = managed.made
            pulumi.export("balancer_id", managed.addons.balancer_id)
            pulumi.export("access_list_id", managed.addons.access_list_id)
        for key in ("kubeconfig", "identifier", "address", "domain"):
            pulumi.export(key, getattr(made, key))
        for key, value in made.reports.items():
            pulumi.export(key, value)

    return run(program, world)
