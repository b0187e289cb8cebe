"""Images without a registry: the two the cluster itself needs, and loading from a Docker daemon."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tools.cluster import addresses
from tools.cluster.commands import attempt, environment, run
from tools.cluster.errors import ClusterError
from tools.cluster.layout import Layout
from tools.cluster.processes import last_lines

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_EPOCH = "1970-01-01T00:00:00Z"


def full_name(image: str) -> str:
    """The name containerd stores an image under: `alpine` is `docker.io/library/alpine:latest`."""
    first, slash, _ = image.partition("/")
    if not slash:
        name = f"docker.io/library/{image}"
    elif "." in first or ":" in first or first == "localhost":
        name = image
    else:
        name = f"docker.io/{image}"
    tagged = ":" in name.rpartition("/")[2] or "@" in name
    return name if tagged else f"{name}:latest"


def _layer(files: Sequence[tuple[str, Path]], links: Sequence[tuple[str, str]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for folder in ("bin", "tmp"):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(info)
        for name, source in files:
            content = source.read_bytes()
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return buffer.getvalue()


def archive(name: str, layer: bytes, command: Sequence[str]) -> bytes:
    """A docker-archive (as `docker save` writes) with one layer; same input, same bytes."""
    config = {
        "architecture": _ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "created": _EPOCH,
        "config": {"Cmd": list(command), "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created": _EPOCH}],
    }
    config_text = json.dumps(config, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(config_text).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        entries = {
            config_name: config_text,
            "layer.tar": layer,
            "manifest.json": json.dumps(manifest).encode(),
        }
        for entry, content in entries.items():
            info = tarfile.TarInfo(entry)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def ctr(layout: Layout, *words: str) -> list[str]:
    """The command line of containerd's client, for the images and containers Kubernetes sees."""
    return ["ctr", "--address", str(layout.containerd_socket), "-n", "k8s.io", *words]


def stored(layout: Layout) -> set[str]:
    """The names of all images the cluster holds."""
    return set(run("images", ctr(layout, "images", "ls", "-q")).split())


def ensure_own(layout: Layout, pause: Path, busybox: Path) -> None:
    """Have the image that holds pods' namespaces, and the one that makes volumes' folders."""
    missing = {addresses.PAUSE_IMAGE, addresses.HELPER_IMAGE} - stored(layout)
    if addresses.PAUSE_IMAGE in missing:
        content = archive(addresses.PAUSE_IMAGE, _layer([("bin/pause", pause)], []), ["/bin/pause"])
        _import(layout, addresses.PAUSE_IMAGE, content)
    if addresses.HELPER_IMAGE in missing:
        applets = run("busybox", [busybox, "--list"]).split()
        links = [(f"bin/{name}", "busybox") for name in applets if name != "busybox"]
        layer = _layer([("bin/busybox", busybox)], links)
        _import(layout, addresses.HELPER_IMAGE, archive(addresses.HELPER_IMAGE, layer, ["sh"]))


def _import(layout: Layout, name: str, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        file.write(content)
        file.flush()
        run(f"import {name}", ctr(layout, "images", "import", file.name))


def _content(layout: Layout, digest: str) -> dict[str, Any]:
    return json.loads(run("images", ctr(layout, "content", "get", digest)))


def image_ids(layout: Layout, name: str) -> set[str]:
    """Every digest that identifies a stored image: its own, its manifests', their configs'."""
    listing = run("images", ctr(layout, "images", "ls", f"name=={name}")).splitlines()[1:]
    all_digests: set[str] = set()
    for line in listing:
        digests = [word for word in line.split() if word.startswith("sha256:")]
        for digest in digests[:1]:
            all_digests.add(digest)
            manifest = _content(layout, digest)
            for entry in manifest.get("manifests", []):
                all_digests.add(entry["digest"])
                inner = attempt(ctr(layout, "content", "get", entry["digest"]))
                if inner.code == 0:
                    all_digests.add(json.loads(inner.out).get("config", {}).get("digest", ""))
            all_digests.add(manifest.get("config", {}).get("digest", ""))
    return all_digests - {""}


def load(layout: Layout, image: str, docker_host: str | None, tell: Callable[[str], None]) -> bool:
    """Bring an image of the Docker daemon into the cluster; False when it is there already.

    Raises ClusterError when the daemon has no such image or either side fails.
    """
    env = environment()
    if docker_host:
        env["DOCKER_HOST"] = docker_host
    inspect = ["docker", "image", "inspect", "--format", "{{.Id}}", image]
    wanted = run(f"load {image}", inspect, env=env).strip()
    if wanted in image_ids(layout, full_name(image)):
        return False
    tell(f"loading {image} into the cluster")
    log = layout.log_of("load")
    with log.open("wb") as errors:
        save = subprocess.Popen(
            ["docker", "save", image],  # noqa: S607 - found on PATH as the user's own
            stdout=subprocess.PIPE,
            stderr=errors,
            env=env,
        )
        done = subprocess.run(
            ctr(layout, "images", "import", "-"),
            check=False,
            stdin=save.stdout,
            stdout=errors,
            stderr=errors,
            env=env,
        )
        if save.stdout is not None:
            save.stdout.close()
        saved = save.wait()
    if done.returncode != 0 or saved != 0:
        message = f"load {image}: {last_lines(log, 1)}"
        raise ClusterError(message)
    return True
