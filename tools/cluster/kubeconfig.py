"""The cluster's entry in the user's own kubeconfig: added and removed, all else left alone."""

import os
from collections.abc import Mapping
from pathlib import Path

from tools.cluster import addresses
from tools.cluster.commands import attempt, run
from tools.cluster.credentials import Credentials


def path_of(env: Mapping[str, str] | None = None) -> Path:
    """The kubeconfig a user's kubectl would change: KUBECONFIG's first file, or ~/.kube/config."""
    given = os.environ if env is None else env
    first = next((part for part in given.get("KUBECONFIG", "").split(os.pathsep) if part), None)
    home = Path(given.get("HOME") or Path.home())
    return Path(first) if first else home / ".kube/config"


def add(kubectl: Path, file: Path, credentials: Credentials) -> None:
    """Write cluster, user and context named CONTEXT, with the certificates inside.

    The current context stays what it was. Raises ClusterError when kubectl cannot use the file.
    """
    name = addresses.CONTEXT
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        file.touch(mode=0o600)
    config = [kubectl, "config", "--kubeconfig", file]
    authority = f"--certificate-authority={credentials.certificate('ca')}"
    server = [f"--server={addresses.API_URL}", authority, "--embed-certs=true"]
    run("kubeconfig", [*config, "set-cluster", name, *server])
    client = [
        f"--client-certificate={credentials.certificate('admin')}",
        f"--client-key={credentials.key('admin')}",
        "--embed-certs=true",
    ]
    run("kubeconfig", [*config, "set-credentials", name, *client])
    run("kubeconfig", [*config, "set-context", name, f"--cluster={name}", f"--user={name}"])
    file.chmod(0o600)


def remove(kubectl: Path, file: Path) -> None:
    """Take the three entries out again, and the current context when it was this one."""
    if not file.exists():
        return
    name = addresses.CONTEXT
    config = [kubectl, "config", "--kubeconfig", file]
    if attempt([*config, "current-context"]).out.strip() == name:
        attempt([*config, "unset", "current-context"])
    for kind in ("context", "cluster", "user"):
        attempt([*config, f"delete-{kind}", name])
