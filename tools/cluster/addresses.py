"""Every address, port and fixed name of the local cluster.

Nothing listens outside loopback and NODE_IP, the cluster's own bridge. Ports stay clear of the ones
other Kubernetes distributions use and of the kernel's ephemeral range, which starts at 32768.
"""

from ipaddress import IPv4Network

CONTEXT = "opencode-fleet-local"
NODE_NAME = "opencode-fleet"
CLUSTER_DOMAIN = "cluster.local"

BRIDGE = "ocfleet0"
NETWORK_NAME = "opencode-fleet"
POD_CIDR = IPv4Network("10.42.0.0/16")
SERVICE_CIDR = IPv4Network("10.43.0.0/16")
LOOPBACK = "127.0.0.1"
NODE_IP = str(POD_CIDR[1])
FIRST_POD_IP = str(POD_CIDR[10])
API_SERVICE_IP = str(SERVICE_CIDR[1])
DNS_SERVICE_IP = str(SERVICE_CIDR[10])

DEFAULT_FRONT_DOOR_PORT = 7080
API_PORT = 17443
ETCD_CLIENT_PORT = 17379
ETCD_PEER_PORT = 17380
KUBELET_PORT = 17250
KUBELET_HEALTH_PORT = 17248
PROXY_METRICS_PORT = 17249
PROXY_HEALTH_PORT = 17256
CONTROLLER_MANAGER_PORT = 17257
SCHEDULER_PORT = 17259
DNS_PORT = 17053
DNS_HEALTH_PORT = 17054
DNS_READY_PORT = 17055

API_URL = f"https://{LOOPBACK}:{API_PORT}"

PAUSE_IMAGE = "opencode-fleet.local/pause:1"
HELPER_IMAGE = "opencode-fleet.local/busybox:1"
STORAGE_CLASS = "local-path"
