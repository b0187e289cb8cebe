"""A Docker daemon to build images with: the machine's own, or one of ours beside the cluster.

Ours has no bridge and no firewall rules: builds use `--network host`. Its containers run on the
cluster's containerd.
"""

import os

from tools.cluster.commands import attempt, environment
from tools.cluster.components import Component
from tools.cluster.layout import Layout

NAME = "dockerd"
_DEFAULT = "unix:///var/run/docker.sock"


def machines_own() -> str | None:
    """The DOCKER_HOST of a daemon that answers already; None when there is none."""
    asked = attempt(["docker", "info", "--format", "{{.ServerVersion}}"], timeout=20)
    if asked.code != 0 or not asked.out.strip():
        return None
    host = os.environ.get("DOCKER_HOST")
    if host:
        return host
    template = "{{.Endpoints.docker.Host}}"
    context = attempt(["docker", "context", "inspect", "--format", template])
    return context.out.strip() or _DEFAULT


def answers(layout: Layout) -> bool:
    """Whether our own daemon serves."""
    env = {**environment(), "DOCKER_HOST": host_of(layout)}
    format_ = ["--format", "{{.ServerVersion}}"]
    asked = attempt(["docker", "info", *format_], env=env, timeout=20)
    return asked.code == 0 and bool(asked.out.strip())


def host_of(layout: Layout) -> str:
    """The DOCKER_HOST of our own daemon."""
    return f"unix://{layout.docker_socket}"


def component(layout: Layout) -> Component:
    """Our own daemon; builds keep the proxy settings of whoever starts it."""
    argv = (
        "dockerd",
        f"--host={host_of(layout)}",
        f"--data-root={layout.docker}",
        f"--exec-root={layout.run / 'docker'}",
        f"--pidfile={layout.run / 'docker.pid'}",
        f"--containerd={layout.containerd_socket}",
        "--containerd-namespace=opencode-fleet-engine",
        "--containerd-plugins-namespace=opencode-fleet-engine-plugins",
        f"--config-file={layout.config / 'dockerd.json'}",
        "--cgroup-parent=/opencode-fleet-engine",
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "--ip-masq=false",
        "--ip-forward=false",
        "--group=root",
        "--log-level=warn",
    )
    proxies = {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}
    return Component(NAME, argv, (), proxies)
