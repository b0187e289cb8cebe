"""Control with a thousand users: how long it takes to know them all, and with what memory.

Against a fake API server with Deployments as large as real ones, so that control alone is measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest

from tests.bench.measuring import Figures
from tests.support.fakes.live_api import LiveApi, live_api
from tests.support.fakes.live_pool import DOOR, deployment_of, pod_of
from tests.support.fakes.waited import run

pytestmark = pytest.mark.bench
_POOLS, _USERS_A_POOL = 10, 100
# A real one has some 9 KB: containers, probes, mounts, who owns which field.
_BALLAST = {"containers": [{"env": [{"name": f"N{n}", "value": "v" * 60} for n in range(90)]}]}


def _fill(api: LiveApi) -> list[str]:
    pools = [f"opencode-test--p{number}" for number in range(_POOLS)]
    for pool in pools:
        for number in range(_USERS_A_POOL):
            slug = f"u{pool[-1]}-{number}"
            item = deployment_of(slug, {"suspend-after": "28800"}, replicas=int(number % 10 == 0))
            item["metadata"]["namespace"] = pool
            item["spec"]["template"] = {"spec": _BALLAST}
            api.put("deployments", item)
            if number % 10 == 0:
                pod = pod_of(slug)
                pod["metadata"]["namespace"] = pool
                pod["spec"] = _BALLAST
                api.put("pods", pod)
            metadata = {"name": f"oc-{slug}", "namespace": DOOR}
            spec = {"renewTime": "2026-11-26T12:00:00.000000Z"}
            api.put("leases", {"metadata": metadata, "spec": spec})
    return pools


def test_control_knows_a_thousand_users(figures: Figures) -> None:
    async def main() -> None:
        async with live_api() as api:
            pools = _fill(api)
            for _ in range(int(os.environ.get("FLEET_BENCH_ROUNDS", "3"))):
                child = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "tests.bench.door_start",
                    api.address,
                    *pools,
                    stdout=asyncio.subprocess.PIPE,
                )
                out, _ = await child.communicate()
                found = json.loads(out)
                assert found["users"] == _POOLS * _USERS_A_POOL
                figures.note(
                    "control starts with 1,000 users",
                    "3 s",
                    f"{found['all']:.1f} s (reading {found['read']:.2f} s, everybody told"
                    f" {found['people']:.3f} s; processor {found['cpu']:.1f} s, of it before"
                    f" reading {found['imports']:.1f} s), {found['megabytes']:.0f} MB",
                )

    run(main())
