"""The cluster's programs, compiled from Go modules once and kept outside the repository.

A finished set is a folder named after everything that went into it; a half-built one never has that
name. Containerd, runc, HAProxy and the CNI plugins are the distribution's (see packages.py).
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tools.cluster.commands import attempt, environment, run
from tools.cluster.errors import ClusterError

KUBERNETES = "v1.35.4"
COREDNS = "github.com/coredns/coredns@v1.15.0"
PROVISIONER = "github.com/rancher/local-path-provisioner@v0.0.30"
# The `go` line of the newest of the modules: an older toolchain refuses them.
OLDEST_GO = (1, 26)
KUBE_NAMES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
MODULE = Path(__file__).parent / "kube"
_PARTS = (*KUBE_NAMES, "kube", "pause", "coredns", "local-path-provisioner")


def parse_go_version(text: str) -> tuple[int, int] | None:
    """(1, 25) from `go env GOVERSION` (`go1.25.3`, `go1.26-rc1`); None if unreadable."""
    major, _, rest = text.strip().removeprefix("go").partition(".")
    minor = ""
    for sign in rest:
        if not sign.isdigit():
            break
        minor += sign
    return (int(major), int(minor)) if major.isdigit() and minor else None


def _go_environment() -> dict[str, str]:
    env = environment()
    folders = env["PATH"].split(os.pathsep)
    # Where Go's own instructions install it; not on PATH in a fresh shell.
    if "/usr/local/go/bin" not in folders:
        env["PATH"] = os.pathsep.join([*folders, "/usr/local/go/bin"])
    return {**env, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""}


def go_version() -> str:
    """The Go toolchain's own name of its version; raises ClusterError if missing or too old."""
    wanted = ".".join(map(str, OLDEST_GO))
    env = _go_environment()
    go = shutil.which("go", path=env["PATH"])
    how = f"install Go {wanted} or newer (https://go.dev/doc/install), then run this again"
    if go is None:
        message = f"go: not installed, and needed to build Kubernetes {KUBERNETES}: {how}"
        raise ClusterError(message)
    found = attempt([go, "env", "GOVERSION"], env=env, cwd=MODULE)
    version = parse_go_version(found.out)
    if found.code != 0 or version is None or version < OLDEST_GO:
        said = found.out.strip() or found.last_line
        message = f"go: {said} is too old to build Kubernetes {KUBERNETES}: {how}"
        raise ClusterError(message)
    return found.out.strip()


def sources_hash(module: Path = MODULE) -> str:
    """A name for everything but the toolchain that goes into a set of programs."""
    digest = hashlib.sha256("\0".join([KUBERNETES, COREDNS, PROVISIONER]).encode())
    for path in sorted(module.rglob("*")):
        if path.name in {"go.mod", "go.sum"} or path.suffix == ".go":
            digest.update(f"\0{path.relative_to(module)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def complete(folder: Path) -> bool:
    """Whether a folder holds every program of a set."""
    return all((folder / name).exists() for name in _PARTS)


def find(cache: Path) -> Path | None:
    """The newest finished set of the present sources, whatever toolchain built it; None if none."""
    sets = [folder for folder in cache.glob(f"{sources_hash()}-*") if complete(folder)]
    return max(sets, key=lambda folder: folder.stat().st_mtime, default=None)


def _stamp() -> str:
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    version = "k8s.io/component-base/version"
    # Clients refuse a server that calls itself v0.0.0.
    return (
        f"-s -w -X {version}.gitVersion={KUBERNETES} -X {version}.gitMajor={major} "
        f"-X {version}.gitMinor={minor} -X {version}.gitTreeState=clean"
    )


def _compile(target: Path, tell: Callable[[str], None]) -> None:
    env = {**_go_environment(), "GOBIN": str(target)}
    nice = ["nice"] if shutil.which("nice") else []
    tell(
        f"compiling Kubernetes {KUBERNETES} from its Go modules (once; about 10 minutes on 2 cores)"
    )
    build = [*nice, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags"]
    kube = [*build, _stamp(), "-o", target / "kube", "."]
    run(f"build Kubernetes {KUBERNETES}", kube, env=env, cwd=MODULE)
    pause = [*build, "-s -w", "-o", target / "pause", "./pause"]
    run("build pause", pause, env=env, cwd=MODULE)
    for module in (PROVISIONER, COREDNS):
        name = module.rpartition("/")[2].replace("@", " ")
        tell(f"compiling {name} (once; about 2 minutes)")
        install = [*nice, "go", "install", "-trimpath", "-ldflags", "-s -w", module]
        run(f"build {name}", install, env=env, cwd=target)
    for name in KUBE_NAMES:
        (target / name).symlink_to("kube")


def ensure(cache: Path, tell: Callable[[str], None]) -> Path:
    """The folder of the programs, built first when the cache lacks them.

    A machine that lost its Go toolchain keeps using what it built. Raises ClusterError when Go is
    needed and missing or too old, or a build fails; nothing half-built stays.
    """
    sources = sources_hash()
    try:
        folder = cache / f"{sources}-{go_version()}"
    except ClusterError:
        built = find(cache)
        if built is None:
            raise
        return built
    if complete(folder):
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    # Leftovers of builds that were killed: the cluster's lock is held, so none can be in use.
    for stale in cache.glob(".building-*"):
        shutil.rmtree(stale)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=cache))
    try:
        _compile(building, tell)
        building.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder
