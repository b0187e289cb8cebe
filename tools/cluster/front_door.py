"""The front door: HAProxy's configuration, and the host names it learns from Ingress objects.

Host names are a map that is replaced through HAProxy's admin socket as one step: the process is
never reloaded, so no stream or websocket is ever cut. A wildcard (`*.fleet.localhost`) covers what
has no entry of its own and one label more, as Kubernetes has it. Following the cluster is
door_watcher.py's. One service a host: paths of an Ingress other than the first, and its TLS
section, are not used.
"""

import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.cluster import addresses
from tools.cluster.layout import Layout

UNKNOWN = "There is nothing under this host name."
DOWN = "This host is known, but what it leads to is not running now. Try again in a moment."

_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]{0,249}[a-z0-9])?")
# HAProxy takes commands of 16 KiB (its buffers' size) and drops what is longer without a word.
_PAYLOAD = 8_000
# Beyond it somebody has made Ingress objects by mistake; each entry costs HAProxy 100 bytes.
MOST_HOSTS = 20_000

_CONFIG = """global
    maxconn 4000
    user haproxy
    group haproxy
    log stdout format raw local0 notice
    stats socket {socket} mode 600 level admin

defaults
    timeout connect 5s
    timeout client 24h
    timeout client-fin 5s
    timeout server 24h
    timeout tunnel 24h
    retries 0
    option dontlognull
    # Ends a request upstream when its client has left, silent streams too; needed on both sides.
    option abortonclose

# Pods reach the API server here: it listens on loopback only.
listen api-for-pods
    mode tcp
    bind {node_ip}:{api_port}
    server api {loopback}:{api_port}

frontend door
    mode http
    bind {loopback}:{port}
    timeout http-request 30s
    timeout http-keep-alive 60s
    http-request set-var(txn.host) req.hdr(host),field(1,:),lower
    http-request set-var(txn.target) var(txn.host),map({map})
    http-request set-var(txn.target) var(txn.host),regsub('^[^.]+','*'),map({map}) \
unless {{ var(txn.target) -m found }}
    http-request return status 404 content-type text/plain string "{unknown}\\n" \
unless {{ var(txn.target) -m found }}
    default_backend services

backend services
    mode http
    # A connection a request: the pod behind a service address may be another one by the next.
    http-reuse never
    option http-server-close
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    http-request set-dst var(txn.target),field(1,:)
    http-request set-dst-port var(txn.target),field(2,:)
    http-error status 503 content-type text/plain string "{down}\\n"
    http-error status 504 content-type text/plain string "{down}\\n"
    server service 0.0.0.0:0
"""


def config(layout: Layout, port: int) -> str:
    """HAProxy's configuration file for a front door on loopback `port`."""
    return _CONFIG.format(
        socket=layout.door_socket,
        map=layout.door_map,
        port=port,
        loopback=addresses.LOOPBACK,
        node_ip=addresses.NODE_IP,
        api_port=addresses.API_PORT,
        unknown=UNKNOWN,
        down=DOWN,
    )


def _service_port(service: Mapping[str, Any], wanted: Mapping[str, Any]) -> int | None:
    for port in service["spec"].get("ports", []):
        if port["port"] == wanted.get("number") or port.get("name") == wanted.get("name", ""):
            return int(port["port"])
    return None


def _target(service: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> str | None:
    if service is None:
        return None
    address = service["spec"].get("clusterIP", "None")
    port = _service_port(service, wanted)
    return None if port is None or address in {"None", ""} else f"{address}:{port}"


def _rules(ingress: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Host name and backend service of each rule that has both."""
    rules: list[dict[str, Any]] = ingress.get("spec", {}).get("rules") or []
    for rule in rules:
        host = str(rule.get("host", "")).lower()
        http: dict[str, Any] = rule.get("http") or {}
        paths: list[dict[str, Any]] = http.get("paths") or []
        if paths and _HOST.fullmatch(host):
            yield host, paths[0]["backend"].get("service") or {}


def hosts(
    ingresses: Sequence[Mapping[str, Any]], services: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Host name -> `ADDRESS:PORT` of its service, sorted by name, from lists of API objects.

    Of two Ingresses that claim one host the older keeps it. A host whose service does not exist
    leads to port 1 of the node, where nothing listens: it is known, and down.
    """
    known = {(s["metadata"]["namespace"], s["metadata"]["name"]): s for s in services}

    def age(ingress: Mapping[str, Any]) -> tuple[str, str, str]:
        meta = ingress["metadata"]
        return meta.get("creationTimestamp", ""), meta["namespace"], meta["name"]

    targets: dict[str, str] = {}
    for ingress in sorted(ingresses, key=age):
        namespace = ingress["metadata"]["namespace"]
        for host, backend in _rules(ingress):
            service = known.get((namespace, str(backend.get("name", ""))))
            target = _target(service, backend.get("port") or {})
            targets.setdefault(host, target or f"{addresses.NODE_IP}:1")
    return dict(sorted(targets.items()))


def map_text(targets: Mapping[str, str]) -> str:
    """The map file of these hosts."""
    return "".join(f"{host} {target}\n" for host, target in targets.items())


def _ask(admin: Path, command: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        connection.connect(str(admin))
        connection.sendall(command.encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer.decode(errors="replace").strip()


def replace_map(admin: Path, name: Path, targets: Mapping[str, str]) -> None:
    """Make these the hosts of the running HAProxy, all at once.

    Raises OSError when it does not answer, ValueError when it refuses or took less than all; then
    the hosts of before stay.
    """
    if len(targets) > MOST_HOSTS:
        message = f"front door: {len(targets)} hosts, {MOST_HOSTS} are the most: the old ones stay"
        raise ValueError(message)
    said = _ask(admin, f"prepare map {name}\n")
    version = said.rpartition(" ")[2]
    if not version.isdigit():
        message = f"front door: {said}"
        raise ValueError(message)
    try:
        for payload in payloads(targets):
            _add(admin, f"add map @{version} {name} <<\n{payload}\n")
        held = _ask(admin, f"show map @{version} {name}\n").splitlines()
        if len(held) != len(targets):
            message = f"front door: it took {len(held)} of {len(targets)} hosts: the old ones stay"
            raise ValueError(message)
    except (OSError, ValueError):
        _ask(admin, f"clear map @{version} {name}\n")
        raise
    _add(admin, f"commit map @{version} {name}\n")


def payloads(targets: Mapping[str, str]) -> Iterator[str]:
    """Yield the map in parts that HAProxy takes, whole lines each."""
    part: list[str] = []
    size = 0
    for line in map_text(targets).splitlines(keepends=True):
        if size + len(line) > _PAYLOAD:
            yield "".join(part)
            part, size = [], 0
        part.append(line)
        size += len(line)
    if part:
        yield "".join(part)


def _add(admin: Path, command: str) -> None:
    refused = _ask(admin, command)
    if refused:
        message = f"front door: {refused}"
        raise ValueError(message)
