"""The configuration files of containerd, the network plugins, kubelet, kube-proxy and CoreDNS.

Pure: plain values in, text or plain data out. Command lines are in components.py.
"""

import json
from pathlib import Path
from typing import Any

from tools.cluster import addresses
from tools.cluster.credentials import Credentials
from tools.cluster.layout import Layout


def containerd(layout: Layout, cni_programs: Path) -> str:
    """The cluster's own containerd: nothing of it outside our state and run folders."""
    plugin = 'plugins."io.containerd.grpc.v1.cri"'

    def quoted(value: str | Path) -> str:
        return json.dumps(str(value))

    return f"""version = 2
root = {quoted(layout.containerd)}
state = {quoted(layout.run / "containerd")}

[grpc]
address = {quoted(layout.containerd_socket)}

[{plugin}]
sandbox_image = {quoted(addresses.PAUSE_IMAGE)}
# Containers in user namespaces and machines without CAP_SYS_RESOURCE cannot lower an OOM score.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
stream_server_address = {quoted(addresses.LOOPBACK)}

[{plugin}.cni]
bin_dir = {quoted(cni_programs)}
conf_dir = {quoted(layout.config / "cni")}

[{plugin}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{plugin}.containerd.runtimes.runc.options]
Root = {quoted(layout.run / "runc")}
SystemdCgroup = false
"""


def cni(layout: Layout, mtu: int) -> dict[str, Any]:
    """Pods on the bridge; masquerading is network.py's, host ports are not offered."""
    address_range = {
        "subnet": str(addresses.POD_CIDR),
        "rangeStart": addresses.FIRST_POD_IP,
        "gateway": addresses.NODE_IP,
    }
    bridge = {
        "type": "bridge",
        "bridge": addresses.BRIDGE,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "mtu": mtu,
        "ipam": {
            "type": "host-local",
            "dataDir": str(layout.addresses),
            "ranges": [[address_range]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "0.4.0", "name": addresses.NETWORK_NAME, "plugins": [bridge]}


def kubelet(layout: Layout, credentials: Credentials, resolv_conf: Path) -> dict[str, Any]:
    """An authenticated node agent on the bridge's address."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": addresses.NODE_IP,
        "port": addresses.KUBELET_PORT,
        "readOnlyPort": 0,
        "healthzBindAddress": addresses.LOOPBACK,
        "healthzPort": addresses.KUBELET_HEALTH_PORT,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(credentials.certificate("ca"))},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(credentials.certificate("kubelet-server")),
        "tlsPrivateKeyFile": str(credentials.key("kubelet-server")),
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        # Kubernetes 1.35 refuses cgroup v1 unless told that it may run there.
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [addresses.DNS_SERVICE_IP],
        "clusterDomain": addresses.CLUSTER_DOMAIN,
        "resolvConf": str(resolv_conf),
        "podLogsDir": str(layout.log / "pods"),
        "maxPods": 250,
        # As on the other clusters: a runaway loop in one pod leaves the machine usable.
        "podPidsLimit": 2048,
        "systemReserved": {"cpu": "100m", "memory": "256Mi"},
        "makeIPTablesUtilChains": False,
        "serializeImagePulls": False,
        # Images are loaded, not pulled: what the agent removed to save disk could not come back.
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "87600h",
        # The defaults are shares of the disk: a developer's disk is often fuller than 90 %.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1Gi",
            "imagefs.available": "1Gi",
        },
        "shutdownGracePeriod": "0s",
    }


def kube_proxy(credentials: Credentials) -> dict[str, Any]:
    """Services as iptables rules; node ports on the bridge's address only."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": addresses.NODE_IP,
        "healthzBindAddress": f"{addresses.LOOPBACK}:{addresses.PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"{addresses.LOOPBACK}:{addresses.PROXY_METRICS_PORT}",
        "clientConnection": {"kubeconfig": str(credentials.kubeconfig("proxy"))},
        "clusterCIDR": str(addresses.POD_CIDR),
        "hostnameOverride": addresses.NODE_NAME,
        "mode": "iptables",
        "nodePortAddresses": [f"{addresses.NODE_IP}/32"],
        "iptables": {"localhostNodePorts": False, "minSyncPeriod": "100ms"},
        # 0 leaves the machine's own settings alone.
        "conntrack": {
            "maxPerCore": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def name_servers(resolv_conf: str) -> list[str]:
    """The name servers of a resolv.conf text, in order."""
    lines = (line.split() for line in resolv_conf.splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]


def corefile(credentials: Credentials, forward_to: Path | None) -> str:
    """Cluster names from the API server, all others from the machine's own resolvers, if any.

    Where those do not answer, a query fails within seconds and the next ones at once.
    """
    forward = (
        f"""    forward . {forward_to} {{
        max_fails 2
        max_connect_attempts 2
        health_check 5s
        failfast_all_unhealthy_upstreams
    }}
"""
        if forward_to is not None
        else ""
    )
    return f""".:{addresses.DNS_PORT} {{
    bind {addresses.NODE_IP}
    errors
    health {addresses.LOOPBACK}:{addresses.DNS_HEALTH_PORT}
    ready {addresses.LOOPBACK}:{addresses.DNS_READY_PORT}
    kubernetes {addresses.CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {credentials.kubeconfig("dns")}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }}
    cache 30 {{
        disable success {addresses.CLUSTER_DOMAIN}
        disable denial {addresses.CLUSTER_DOMAIN}
    }}
{forward}    loadbalance
}}
"""


def provisioner(layout: Layout) -> dict[str, Any]:
    """Every volume is a folder below our volumes folder."""
    default = "DEFAULT_PATH_FOR_NON_LISTED_NODES"
    return {"nodePathMap": [{"node": default, "paths": [str(layout.volumes)]}]}
