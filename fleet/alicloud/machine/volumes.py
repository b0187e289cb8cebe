"""Users' volumes on the k3s machine: each claim is a file system of its own, of the claim's size.

`mount` runs before k3s starts; `run` beside it: makes what claims wait for, grows what they have
outgrown, deletes what a purge gave up. A volume is a file that has all its blocks from the
beginning, so a full volume is its user's own trouble: no other user and not k3s, whose share of the
disk is never given away. Leaves out: folders that k3s' own provisioner made before.
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

CLASS, DRIVER = "fleet-retain", "opencode-fleet/volumes"
_PATCH = "application/merge-patch+json"
_MADE_BY = "pv.kubernetes.io/provisioned-by"
_NODE = "volume.kubernetes.io/selected-node"
_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
_UNITS = {**_BINARY, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_CLAIMS, _VOLUMES = "/api/v1/persistentvolumeclaims", "/api/v1/persistentvolumes"
_WATCH_SECONDS, _SETTLE_SECONDS = 60, 2


class RefusedError(Exception):
    """A volume cannot be had; the text is for the operator."""


class Disk:
    """The volumes' files and their mounts."""

    def __init__(self, folder: Path, reserve: int) -> None:
        self.folder, self.reserve = folder, reserve

    def make(self, name: str, size: int) -> Path:
        """Make and mount a volume; one that is there is mounted. Returns where."""
        image = self._image(name)
        if not image.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = image.with_suffix(".part")
            draft.unlink(missing_ok=True)
            try:
                self._allocate(draft, size)
                # Discarding would give the blocks back that the file has just got.
                _run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard", str(draft))
                draft.rename(image)
            finally:
                draft.unlink(missing_ok=True)
        return self.mount(name)

    def mount(self, name: str) -> Path:
        """Mount a volume where its pods look for it; raise RefusedError when it is damaged."""
        place = self.folder / name
        if os.path.ismount(place):
            return place
        place.mkdir(exist_ok=True)
        image = str(self._image(name))
        try:
            # A machine that died while a volume grew left a file larger than its file system.
            grown = _is_larger_than_its_content(self._image(name))
            if _code("e2fsck", "-pf" if grown else "-p", image) > 1:
                raise RefusedError(f"volume {name} is damaged: stop k3s and run: e2fsck {image}")
            if grown:
                _run("resize2fs", image)
            _run("mount", "-o", "loop,noatime", image, str(place))
        except RefusedError:
            # A pod that found the bare folder would write beside its user's work.
            place.rmdir()
            raise
        # One copy in memory is enough. Not every file system below can do without the other.
        _code("losetup", "--direct-io=on", self._device(place))
        place.chmod(0o777)
        return place

    def mount_all(self) -> list[str]:
        """Mount every volume; return what did not work."""
        told: list[str] = []
        for image in sorted(self.folder.glob("*.img")):
            try:
                self.mount(image.stem)
            except RefusedError as error:
                told.append(str(error))
        return told

    def grow(self, name: str, size: int) -> None:
        """Give a volume more room while it is in use."""
        place = self.mount(name)
        self._allocate(self._image(name), size)
        device = self._device(place)
        _run("losetup", "--set-capacity", device)
        _run("resize2fs", device)

    def delete(self, name: str) -> None:
        """Delete a volume with all that is in it."""
        place = self.folder / name
        if os.path.ismount(place):
            _run("umount", str(place))
        if place.is_dir():
            place.rmdir()
        self._image(name).unlink(missing_ok=True)

    def _allocate(self, file: Path, size: int) -> None:
        has = file.stat().st_size if file.exists() else 0
        if size <= has:
            return
        there = os.statvfs(self.folder)
        free = there.f_bavail * there.f_frsize
        if size - has > free - self.reserve:
            raise RefusedError(
                f"the disk has {_gib(max(free - self.reserve, 0))} for volumes, "
                f"{_gib(size - has)} are wanted: raise cluster.dataDisk.sizeGib, or purge users"
            )
        with file.open("ab") as open_file:
            os.posix_fallocate(open_file.fileno(), has, size - has)

    def _image(self, name: str) -> Path:
        return self.folder / f"{name}.img"

    def _device(self, place: Path) -> str:
        return _run("findmnt", "-n", "-o", "SOURCE", str(place)).strip()


class Api:
    """The machine's own API server."""

    def __init__(self, address: str, tls: ssl.SSLContext | None = None) -> None:
        self.address, self.tls = address, tls
        self.headers: dict[str, str] = {}

    @classmethod
    def of_k3s(cls, folder: Path) -> Api:
        """Return the API of k3s by the certificates it keeps in `folder`."""
        tls = ssl.create_default_context(cafile=str(folder / "server-ca.crt"))
        tls.load_cert_chain(folder / "client-admin.crt", folder / "client-admin.key")
        return cls("https://127.0.0.1:6443", tls)

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Ask once and return the answer."""
        with self._open(method, path, body, kind) as answer:
            return json.load(answer)

    def list(self, path: str) -> list[Any]:
        """Return the objects of a kind."""
        items: Any = self.call("GET", path)["items"]
        return items or []

    def changes(self, path: str) -> Iterator[bytes]:
        """Yield a line whenever something changes, until the server ends it."""
        query = f"{path}?watch=true&timeoutSeconds={_WATCH_SECONDS}"
        with self._open("GET", query, None, "application/json") as answer:
            yield from answer

    def _open(self, method: str, path: str, body: Any, kind: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": kind, **self.headers}
        request = urllib.request.Request(  # noqa: S310 - the address is ours
            self.address + path, data, headers, method=method
        )
        return urllib.request.urlopen(  # noqa: S310
            request, timeout=_WATCH_SECONDS + 30, context=self.tls
        )


class Keeper:
    """Brings the disk to what the claims in the cluster say."""

    def __init__(self, disk: Disk, api: Api) -> None:
        self.disk, self.api = disk, api

    def settle(self) -> None:
        """Make, grow and delete what is due; what is refused is told at the claim."""
        volumes = {item["metadata"]["name"]: item for item in self.api.list(_VOLUMES)}
        for claim in self.api.list(_CLAIMS):
            if claim["spec"].get("storageClassName") == CLASS:
                try:
                    self._settle_claim(claim, volumes)
                except RefusedError as error:
                    self._tell(claim, str(error))
        for volume in volumes.values():
            try:
                self._let_go(volume)
            except RefusedError as error:
                _say(str(error))

    def _settle_claim(self, claim: Any, volumes: dict[str, Any]) -> None:
        wanted = claim["spec"]["resources"]["requests"]["storage"]
        metadata = claim["metadata"]
        volume = volumes.get(claim["spec"].get("volumeName") or "")
        if volume is not None:
            has = volume["spec"]["capacity"]["storage"]
            if size_of(wanted) > size_of(has):
                self._grow(claim, volume, wanted)
        elif "volumeName" not in claim["spec"] and _NODE in (metadata.get("annotations") or {}):
            name = f"pvc-{metadata['uid']}"
            if name not in volumes:
                place = self.disk.make(name, size_of(wanted))
                self.api.call("POST", _VOLUMES, volume_of(name, claim, str(place)))

    def _grow(self, claim: Any, volume: Any, wanted: str) -> None:
        name, metadata = volume["metadata"]["name"], claim["metadata"]
        # A folder of k3s' own provisioner has no size that could grow.
        if _is_ours(volume):
            self.disk.grow(name, size_of(wanted))
        size = {"capacity": {"storage": wanted}}
        self.api.call("PATCH", f"{_VOLUMES}/{name}", {"spec": size}, _PATCH)
        path = f"/api/v1/namespaces/{metadata['namespace']}/persistentvolumeclaims/"
        self.api.call("PATCH", f"{path}{metadata['name']}/status", {"status": size}, _PATCH)

    def _let_go(self, volume: Any) -> None:
        """Delete a volume whose claim is gone and which somebody has said is to be deleted."""
        given_up = volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        released = volume.get("status", {}).get("phase") == "Released"
        if _is_ours(volume) and given_up and released:
            name = volume["metadata"]["name"]
            self.disk.delete(name)
            self.api.call("DELETE", f"{_VOLUMES}/{name}")

    def _tell(self, claim: Any, why: str) -> None:
        metadata = claim["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        # Named by its text: the same is told once.
        digest = hashlib.sha256(f"{metadata['uid']} {why}".encode()).hexdigest()[:10]
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name}.{digest}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": namespace,
                "name": name,
                "uid": metadata["uid"],
            },
            "type": "Warning",
            "reason": "ProvisioningFailed",
            "message": why,
            "source": {"component": DRIVER},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            self.api.call("POST", f"/api/v1/namespaces/{namespace}/events", event)
        except urllib.error.HTTPError as error:
            if error.code != 409:  # noqa: PLR2004 - it has been told
                raise


def volume_of(name: str, claim: Any, place: str) -> Any:
    """Return the volume of a claim, retained whatever becomes of the claim."""
    metadata, spec = claim["metadata"], claim["spec"]
    key, node = "kubernetes.io/hostname", metadata["annotations"][_NODE]
    term = {"matchExpressions": [{"key": key, "operator": "In", "values": [node]}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {_MADE_BY: DRIVER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "local": {"path": place},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                **{part: metadata[part] for part in ("namespace", "name", "uid")},
            },
        },
    }


def size_of(quantity: str) -> int:
    """Return a quantity in bytes, rounded up to what a file system counts in."""
    digits = quantity.rstrip("KMGTkim")
    size = float(digits) * _UNITS.get(quantity[len(digits) :], 1)
    return -int(-size // 4096) * 4096


def main() -> int:
    """Do what the first argument names."""
    data = Path(os.environ["FLEET_DATA"])
    disk = Disk(data / "volumes", int(os.environ["FLEET_RESERVE_GIB"]) << 30)
    for line in disk.mount_all():
        _say(line)
    if sys.argv[1] == "mount":
        return 0
    certificates = data / "k3s/server/tls"
    changed = threading.Event()
    threading.Thread(target=_listen, args=(certificates, changed), daemon=True).start()
    while True:
        _settle(disk, certificates)
        if changed.wait(_WATCH_SECONDS):
            changed.clear()
            _settle(disk, certificates)
            # A volume's state follows its claim's a moment later.
            time.sleep(_SETTLE_SECONDS)


def _settle(disk: Disk, certificates: Path) -> None:
    try:
        # Opened anew each time: k3s renews its certificates.
        Keeper(disk, Api.of_k3s(certificates)).settle()
    except (OSError, ValueError, KeyError) as error:
        _say(f"{type(error).__name__}: {error}")


def _listen(certificates: Path, changed: threading.Event) -> None:
    while True:
        try:
            for _ in Api.of_k3s(certificates).changes(_CLAIMS):
                changed.set()
        except (OSError, ValueError):
            # k3s starts or ends.
            time.sleep(_SETTLE_SECONDS)


def _is_larger_than_its_content(image: Path) -> bool:
    """Tell whether a file is larger than the ext4 in it, by its superblock."""
    with image.open("rb") as file:
        file.seek(1024)
        block = file.read(64)
    blocks = int.from_bytes(block[4:8], "little")
    unit = 1024 << (block[24] % 16)
    return blocks > 0 and image.stat().st_size - blocks * unit >= unit


def _is_ours(volume: Any) -> bool:
    annotations = cast("dict[str, str]", volume["metadata"].get("annotations") or {})
    return annotations.get(_MADE_BY) == DRIVER


def _code(*command: str) -> int:
    return subprocess.run(command, capture_output=True, check=False).returncode


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RefusedError(f"{' '.join(command)}: {' '.join(done.stderr.split())[:300]}")
    return done.stdout


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"


def _say(line: str) -> None:
    print(f"opencode-fleet: {line}", file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
