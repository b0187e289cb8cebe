"""The runtime image, and one real runtime on the bundled cluster."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bench.measuring import FLEET, Figures, Run, measure, median
from tests.bench.roster import ROOT
from tools.cluster.processes import identify, started_at

pytestmark = pytest.mark.bench
_CONTEXT = "opencode-fleet-local"
_PLACE = "opencode-bench--default"
_USER = "measured"
_RESTARTS = 5
_IDLE_SECONDS = 60.0


@pytest.fixture(scope="module")
def docker() -> Iterator[list[str]]:
    """The docker command for the daemon that built the runtime image."""
    host = os.environ.get("DOCKER_HOST")
    daemon = [sys.executable, "-m", "tools.cluster", "docker"]
    program = shutil.which("docker") or shutil.which("/usr/bin/docker")
    if program is None:
        pytest.skip("no docker command")
    if host:
        yield [program, "--host", host]
        return
    done = subprocess.run([*daemon, "up"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("no Docker daemon: set DOCKER_HOST")
    yield [program, "--host", done.stdout.split()[-1]]
    subprocess.run([*daemon, "stop"], cwd=ROOT, capture_output=True, check=False)


@dataclass(frozen=True)
class Runtime:
    """The one user's runtime."""

    folder: Path

    def fleet(self, *arguments: str) -> str:
        return measure([FLEET, *arguments, "-s", "bench"], self.folder).out.strip()

    def kubectl(self, *arguments: str) -> str:
        command = ["kubectl", f"--context={_CONTEXT}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def pods(self) -> list[dict[str, Any]]:
        text = self.kubectl("get", "pods", f"--namespace={_PLACE}", "-o", "json")
        return [i for i in json.loads(text)["items"] if "deletionTimestamp" not in i["metadata"]]

    def write(self, users: list[dict[str, Any]], purge: list[str]) -> None:
        """Write the stack file of the benchmark's own environment."""
        config = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
        keys = {key: value for key, value in config.items() if key.startswith("opencode-fleet:")}
        keys["opencode-fleet:users"] = users
        keys["opencode-fleet:purge"] = purge
        keys["opencode-fleet:access"] = {"domain": "bench.localhost", "tls": "none", "port": 7080}
        text = yaml.safe_dump({"config": keys}, sort_keys=False)
        (self.folder / "Pulumi.bench.yaml").write_text(text)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """A running workspace in an environment of its own, which is deleted with its data."""
    found = Runtime(tmp_path_factory.mktemp("runtime"))
    try:
        found.kubectl("get", "--raw", "/readyz")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"no cluster answers at {_CONTEXT}: make up starts it")
    for name in ("scenes", "image"):
        shutil.copytree(ROOT / name, found.folder / name)
    found.write([{"id": _USER, "scenes": ["coding", "research"]}], [])
    image = os.environ.get("FLEET_E2E_IMAGE")
    found.fleet("up", "--yes", *(["--image", image] if image else []))
    yield found
    found.write([], [_USER])
    found.fleet("up", "--yes", *(["--image", image] if image else []))
    found.kubectl("delete", "namespace", _PLACE)


def test_image_size(docker: list[str], figures: Figures) -> None:
    reference = os.environ.get("FLEET_E2E_IMAGE") or _reference()
    command = [*docker, "image", "inspect", "--format", "{{.Size}}", reference]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"the daemon does not hold {reference}: make up builds it")
    figures.note("runtime image", "700 MB", f"{int(done.stdout) / 1e6:.0f} MB")


def test_unchanged_rebuild(docker: list[str], figures: Figures) -> None:
    environ = {**os.environ, "DOCKER_HOST": docker[-1]}
    command = [FLEET, "image", "build", "-s", "dev"]
    reference = _reference()
    held = subprocess.run(
        [*docker, "image", "inspect", reference], capture_output=True, check=False
    )
    if held.returncode != 0:
        pytest.skip(f"the daemon does not hold {reference}: make up builds it")
    runs = [measure(command, ROOT, environ) for _ in range(3)]
    figures.note("runtime image, unchanged rebuild", "2 s", median(runs))


def _reference() -> str:
    command = [FLEET, "image", "ref", "-s", "dev"]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_start_and_idle_memory(runtime: Runtime, figures: Figures) -> None:
    password = runtime.fleet("password", _USER)
    runs: list[Run] = []
    for _ in range(_RESTARTS):
        (old,) = runtime.pods()
        name = old["metadata"]["name"]
        runtime.kubectl("delete", "pod", name, f"--namespace={_PLACE}", "--wait=false")
        pod, healthy = _healthy(runtime, old["metadata"]["uid"], password)
        begun = _first_process(pod["metadata"]["uid"])
        runs.append(Run(seconds=healthy - begun, megabytes=0, out=""))
    figures.note("runtime at 2 CPU, healthy after start", "6 s", median(runs))
    time.sleep(_IDLE_SECONDS)
    (pod,) = runtime.pods()
    used, working = _memory(runtime, pod)
    measured = f"{used / 2**20:.0f} MiB ({working / 2**20:.0f} MiB without reclaimable files)"
    figures.note("runtime, idle memory of its cgroup", "300 MiB", measured)


def _healthy(runtime: Runtime, old: str, password: str) -> tuple[dict[str, Any], float]:
    """Wait for a new pod to answer its health route; return it and the time."""
    token = base64.b64encode(f"{_USER}:{password}".encode()).decode()
    deadline = time.monotonic() + 180
    pod: dict[str, Any] | None = None
    while time.monotonic() < deadline:
        if pod is None:
            found = [item for item in runtime.pods() if item["metadata"]["uid"] != old]
            pod = next((item for item in found if "podIP" in item["status"]), None)
        elif _answers(f"http://{pod['status']['podIP']}:4096/global/health", token):
            return pod, time.time()
        time.sleep(0.05)
    pytest.fail("the runtime was not healthy after 180 s", pytrace=False)


def _answers(address: str, token: str) -> bool:
    request = urllib.request.Request(address, headers={"Authorization": f"Basic {token}"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=0.5) as answer:  # noqa: S310 - http above
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def _first_process(uid: str) -> float:
    """Return when the runtime's container started: the oldest `opencode` process of the pod."""
    times: list[float] = []
    for entry in Path("/proc").iterdir():
        try:
            inside = entry.name.isdigit() and uid in (entry / "cgroup").read_text()
            words = (entry / "cmdline").read_bytes() if inside else b""
        except OSError:
            continue
        if b"tini" in words and (known := identify(int(entry.name))) is not None:
            times.append(started_at(known))
    return min(times)


def _memory(runtime: Runtime, pod: dict[str, Any]) -> tuple[int, int]:
    """Return memory of the runtime's container as its kubelet reports it: all, and working set."""
    uid, node = pod["metadata"]["uid"], pod["spec"]["nodeName"]
    summary = json.loads(
        runtime.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary")
    )
    (mine,) = [item for item in summary["pods"] if item["podRef"]["uid"] == uid]
    (container,) = [item for item in mine["containers"] if item["name"] == "opencode"]
    return container["memory"]["usageBytes"], container["memory"]["workingSetBytes"]
