"""The stack file as frozen models: every key, its type, its default, its meaning.

Leaves out: rules that span several keys (`rules`), reading the file (`stack_file`), cloud keys of
the `vm` and `ack` cluster kinds (`alicloud.config`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from fleet.alicloud.config import AckCluster, VmCluster
from fleet.stackfile.backup import Backup
from fleet.stackfile.image import Image
from fleet.stackfile.storage import Storage
from fleet.values.model import Model
from fleet.values.scalars import (
    Address,
    BaseUrl,
    Cidr,
    CpuQuantity,
    Domain,
    LabelKey,
    LabelValue,
    Line,
    MemoryQuantity,
    NamespaceName,
    ObjectName,
    PoolName,
    Port,
    ProfileName,
    RelativePath,
    SceneId,
    SecretKey,
    UserId,
)

MAX_USERS_A_POOL = 100
# A policy with thousands of ranges costs every node; beyond these numbers a wider range is meant.
_MAX_ALLOWED, _MAX_DENIED, _MAX_SCENES = 100, 200, 50


class ExistingCluster(Model):
    """A cluster that is already there."""

    kind: Literal["existing"]
    """A kubeconfig context names it."""
    context: Line
    """kubeconfig context; always named, so that nothing lands on whatever context is current."""


Cluster = Annotated[ExistingCluster | VmCluster | AckCluster, Field(discriminator="kind")]


class TlsMode(StrEnum):
    """Where a workspace's certificate comes from."""

    NONE = "none"
    SECRET = "secret"  # noqa: S105 - a mode's name
    CERT_MANAGER = "certManager"
    SELF_SIGNED = "selfSigned"
    GATEWAY = "gateway"


class RouteKind(StrEnum):
    """Which API carries a user's host to the Service."""

    INGRESS = "ingress"
    HTTP_ROUTE = "httpRoute"


class Peer(Model):
    """Pods of another namespace, for a network rule."""

    namespace: NamespaceName
    """The namespace they run in."""
    pod_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=20)] = Field(
        default_factory=dict[str, str]
    )
    """Labels the pods carry; empty means every pod of the namespace."""


class Gateway(Model):
    """The Gateway that HTTPRoutes attach to."""

    name: ObjectName
    """The Gateway's name."""
    namespace: NamespaceName
    """The Gateway's namespace."""


class Access(Model):
    """How users reach their workspaces."""

    domain: Domain
    """Every user gets `<id>.<domain>`; a wildcard DNS record points at the ingress controller."""
    tls: TlsMode
    """Where certificates come from; `none` is for *.localhost only, `gateway` for HTTPRoutes."""
    port: Port | None = None
    """Port in the printed URLs when it is not the scheme's own."""
    route: RouteKind = RouteKind.INGRESS
    """Which API carries a host to its workspace."""
    class_name: ObjectName | None = None
    """IngressClass; unset leaves it to the cluster's default."""
    gateway: Gateway | None = None
    """The Gateway that routes attach to (route: httpRoute)."""
    tls_secret_name: ObjectName | None = None
    """Certificate for `*.<domain>` that stands in every pool's namespace (tls: secret)."""
    cluster_issuer: ObjectName | None = None
    """cert-manager ClusterIssuer (tls: certManager)."""
    controller: Peer = Peer(namespace="ingress-nginx")
    """Who may open connections to the workspaces."""


class ModelEndpoint(Model):
    """The OpenAI-compatible endpoint that all workspaces of the environment use."""

    provider: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
    """OpenCode's name for the endpoint, e.g. openai."""
    base_url: BaseUrl
    """Address of the API, its version included."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$")]
    """The model that workspaces start with."""
    small_name: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$")] = None
    """Cheaper model for titles and summaries; unset uses `name`."""
    context_tokens: Annotated[int, Field(ge=1024, le=10_000_000, strict=True)] = 200_000
    """Longest input of the model."""
    output_tokens: Annotated[int, Field(ge=256, le=1_000_000, strict=True)] = 32_000
    """Longest answer of the model."""
    api_key: SecretKey = "modelApiKey"
    """Top-level secret key that holds the API key."""


class CpuSize(Model):
    """CPU in cores: the share a runtime is sure of, and its ceiling."""

    request: CpuQuantity
    """What is reserved, e.g. 250m."""
    limit: CpuQuantity
    """What is never passed, e.g. 2."""


class MemorySize(Model):
    """Memory in bytes: the share a runtime is sure of, and its ceiling."""

    request: MemoryQuantity
    """What is reserved, e.g. 512Mi."""
    limit: MemoryQuantity
    """What is never passed, e.g. 2Gi."""


class Profile(Model):
    """A named size of runtime."""

    cpu: CpuSize = CpuSize(request="250m", limit="2")
    """Processor time."""
    memory: MemorySize = MemorySize(request="512Mi", limit="2Gi")
    """Memory; a runtime beyond its limit is restarted."""
    storage: MemoryQuantity = "10Gi"
    """Size of the user's claim; it can grow where the StorageClass allows, never shrink."""
    ephemeral_storage: MemoryQuantity = "4Gi"
    """Ceiling of what is lost at a restart: /tmp, the home folder, logs."""


class Scene(Model):
    """A prepared working context: a folder beside the stack file, or one on the shared NAS."""

    path: RelativePath | None = None
    """A folder beside the stack file; its files become a ConfigMap."""
    nas_path: RelativePath | None = None
    """A folder of the shared claim."""


class UserState(StrEnum):
    """Whether a user's runtime runs."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class User(Model):
    """One person with one runtime."""

    id: UserId
    """Identifies the user, and their data, for ever."""
    display_name: Line | None = None
    """What people read; changing it restarts nothing."""
    scenes: Annotated[tuple[SceneId, ...], Field(max_length=_MAX_SCENES)] = ()
    """Working contexts this user finds under /app."""
    profile: ProfileName = "standard"
    """Size of the runtime."""
    pool: PoolName = "default"
    """Namespace the runtime is in; moving to another leaves the data behind."""
    state: UserState = UserState.ACTIVE
    """`suspended` keeps everything but the pod."""
    password_version: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 1
    """Raise it to get a new password."""
    api_key: SecretKey | None = None
    """Top-level secret key with a model API key of this user's own."""


class Quota(Model):
    """Totals that a pool's active users may request."""

    cpu: CpuQuantity | None = None
    """Sum of the CPU requests of active users."""
    memory: MemoryQuantity | None = None
    """Sum of the memory requests of active users."""
    storage: MemoryQuantity | None = None
    """Sum of the claims, the shared one and those of former users included."""


class Pool(Model):
    """A namespace with users in it."""

    quota: Quota = Quota()
    """Totals that Kubernetes enforces."""


class PrivateEndpoint(Model):
    """A private address range that runtimes may reach after all, for one TCP port."""

    cidr: Cidr
    """Address range, at most a /16 (IPv6: a /112)."""
    port: Port
    """TCP port."""


class Network(Model):
    """What runtimes may reach beyond the public internet."""

    allow: Annotated[tuple[PrivateEndpoint, ...], Field(max_length=_MAX_ALLOWED)] = ()
    """Private endpoints that are open after all: an internal model server, a Git server."""
    deny: Annotated[tuple[Cidr, ...], Field(max_length=_MAX_DENIED)] = ()
    """More ranges to close: a VPC with public addresses, say."""
    dns: Peer = Peer(namespace="kube-system", pod_labels={"k8s-app": "kube-dns"})
    """The cluster's DNS servers."""
    dns_addresses: Annotated[tuple[Address, ...], Field(max_length=8)] = ()
    """Resolvers that are no pods: NodeLocal DNSCache (169.254.20.10), one on the node itself."""


class StackConfig(Model):
    """All keys of `opencode-fleet:` in a stack file, secrets aside."""

    cluster: Cluster
    """Where it runs."""
    image: Image = Image()
    """The runtime image: who makes it, from what."""
    access: Access
    """How users reach their workspaces."""
    model: ModelEndpoint | None = None
    """The model endpoint; without it workspaces start, and have no model."""
    profiles: dict[ProfileName, Profile] = Field(default_factory=dict)
    """Sizes by name; `standard` exists without being written."""
    scenes: dict[SceneId, Scene] = Field(default_factory=dict)
    """Prepared working contexts by name."""
    pools: dict[PoolName, Pool] = Field(default_factory=dict)
    """Namespaces by name; `default` exists without being written."""
    storage: Storage = Storage()
    """Where data lives."""
    network: Network = Network()
    """What runtimes may reach beyond the public internet."""
    backup: Backup | None = None
    """Nightly backups; without it there are none."""
    users: tuple[User, ...]
    """The roster."""
    purge: tuple[UserId, ...] = ()
    """Former users whose claims and data are to be deleted for good, each id typed in full."""

    def profile(self, name: str) -> Profile | None:
        """Return a profile by name; `standard` exists without being written."""
        return self.profiles.get(name) or (Profile() if name == "standard" else None)
