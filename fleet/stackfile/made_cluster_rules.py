"""Rules between a cluster that the program makes and the rest of the stack file.

What it knows of machines, disks and registries is compared with what users, image and access ask
for. Leaves out: rules of the cluster's own keys (`alicloud.rules`).
"""

from __future__ import annotations

from collections.abc import Iterator

from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.instance_types import architecture_of
from fleet.alicloud.machine_settings import RESERVE_GIB
from fleet.errors import Problem
from fleet.stackfile.config import StackConfig, TlsMode
from fleet.stackfile.image import ImageMode
from fleet.values.quantity import parse_quantity

_GIB = 2**30
# Of a disk, ext4 itself takes about so much.
_FILE_SYSTEM_SHARE = 0.05
_BUILDS = (ImageMode.DAEMON, ImageMode.BUILDKIT)


def made_cluster_problems(
    config: StackConfig, cluster: VmCluster | AckCluster
) -> Iterator[Problem]:
    """Yield what a cluster made here cannot give the rest of the stack file."""
    yield from _image(config, cluster)
    yield from _registry(config, cluster)
    yield from _certificates(config, cluster)
    if isinstance(cluster, VmCluster):
        yield from _volumes(config, cluster)


def _image(config: StackConfig, cluster: VmCluster | AckCluster) -> Iterator[Problem]:
    image = config.image
    if image.mode not in _BUILDS:
        return
    if not image.push and (isinstance(cluster, AckCluster) or image.mode is ImageMode.BUILDKIT):
        yield Problem(
            "image.push",
            "false",
            "the nodes are not this machine: an image that is built here and pushed nowhere never "
            "reaches them",
            "set push: true with a repository that they can pull from, or use mode: prebuilt",
        )
    types = (
        (cluster.instance.type,)
        if isinstance(cluster, VmCluster)
        else tuple(kind for pool in cluster.node_pools for kind in pool.types)
    )
    built = {platform.value.rpartition("/")[2] for platform in image.platforms}
    for kind in types:
        if architecture_of(kind) not in built:
            yield Problem(
                "image.platforms",
                ", ".join(image.platforms),
                f"{kind} is a machine of {architecture_of(kind)}",
                f"add linux/{architecture_of(kind)}, or use another type",
            )
            return


def _registry(config: StackConfig, cluster: VmCluster | AckCluster) -> Iterator[Problem]:
    registry, image = cluster.registry, config.image
    if registry is None:
        return
    name = image.reference if image.mode not in _BUILDS else image.repository
    host = (name or "").partition("/")[0]
    if image.mode in _BUILDS and not image.push:
        yield Problem(
            "cluster.registry.server",
            registry.server,
            "nothing is pushed there and nothing pulled from there",
            "set image.push: true, or drop cluster.registry",
        )
    elif host != registry.server:
        key = "image.repository" if image.mode in _BUILDS else "image.reference"
        yield Problem(
            "cluster.registry.server",
            registry.server,
            f"nodes would log in there and pull {key} {name} from {host}",
            "write the same host in both",
        )
    elif registry.acr is not None:
        made = f"{registry.server}/{registry.acr.namespace}/{registry.acr.repository}"
        if image.mode in _BUILDS and image.repository != made:
            yield Problem(
                "image.repository",
                image.repository,
                "cluster.registry.acr makes another repository",
                f"write {made}",
            )


def _certificates(config: StackConfig, cluster: VmCluster | AckCluster) -> Iterator[Problem]:
    by_manager = config.access.tls is TlsMode.CERT_MANAGER
    if by_manager and cluster.certificates is None:
        yield Problem(
            "cluster.certificates",
            "missing",
            "a cluster that is made here has no cert-manager unless this installs it",
            "add certificates: {email: …}, or use another access.tls",
        )
    if not by_manager and cluster.certificates is not None:
        yield Problem(
            "cluster.certificates.email",
            cluster.certificates.email,
            f"with tls: {config.access.tls} nobody asks cert-manager for a certificate",
            "drop cluster.certificates, or use access.tls: certManager",
        )


def _volumes(config: StackConfig, cluster: VmCluster) -> Iterator[Problem]:
    """Compare claims with the disk: each gets all its blocks when it is made."""
    if cluster.instance.id is not None:
        return
    disk = cluster.data_disk
    if disk is not None and disk.id is not None:
        return
    key = "dataDisk" if disk is not None else "instance.systemDisk"
    size = disk.size_gib if disk is not None else cluster.instance.system_disk.size_gib
    room = int(size * (1 - _FILE_SYSTEM_SHARE)) - RESERVE_GIB
    profiles = [profile for user in config.users if (profile := config.profile(user.profile))]
    wanted = sum(float(parse_quantity(profile.storage)) for profile in profiles) / _GIB
    if wanted > room:
        yield Problem(
            f"cluster.{key}.sizeGib",
            str(size),
            f"the volumes of {len(config.users)} users take {wanted:g} GiB, this leaves {room} "
            f"beside k3s' own {RESERVE_GIB}",
            "write a larger size, or smaller profiles",
        )
