"""Stack files of many users, for measuring."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import yaml

from fleet.stackfile.config import MAX_USERS_A_POOL
from tests.bench.control_plane import CONTEXT

ROOT = Path(__file__).parents[2]
# FLEET_BENCH_USERS: fewer for a quick look; the figures are for a thousand.
USERS, POOLS = int(os.environ.get("FLEET_BENCH_USERS", "1000")), 10


def write(
    folder: Path,
    environment: str,
    count: int = USERS,
    *,
    pools: int = POOLS,
    divided: bool = False,
) -> Path:
    """Write `Pulumi.<environment>.yaml` and its scenes; what a run has sealed into it stays.

    Its users are suspended: what is measured is the engine, not pods. With `divided` each pool has
    a stack of its own.
    """
    if not (folder / "scenes").exists():
        shutil.copytree(ROOT / "scenes", folder / "scenes")
    config: dict[str, Any] = {
        "cluster": {"kind": "existing", "context": CONTEXT},
        "image": {"mode": "local", "reference": "opencode-fleet/runtime:bench"},
        # Of its own: no two environments of one cluster may have a host in common.
        "access": {"domain": f"{environment}.fleet.localhost", "tls": "none"},
        "providers": {
            "openai": {
                "kind": "openai-compatible",
                "baseUrl": "https://api.openai.com/v1",
                "apiKey": "modelApiKey",
                "models": {"gpt-5": {}, "gpt-5-mini": {}},
            }
        },
        "models": {"default": "openai/gpt-5", "small": "openai/gpt-5-mini"},
        "pools": {f"pool-{number}": {} for number in range(pools + 1)},
        "scenes": {name: {"path": f"scenes/{name}"} for name in ("coding", "research")},
        "users": users(count, pools),
        "stacks": {"per": "pool" if divided else "environment"},
    }
    path = folder / f"Pulumi.{environment}.yaml"
    keys: dict[str, Any] = {f"opencode-fleet:{key}": value for key, value in config.items()}
    text = yaml.safe_dump(_sealed(path, keys), sort_keys=False, default_flow_style=None, width=200)
    path.write_text(text)
    return path


def users(count: int, pools: int) -> list[dict[str, Any]]:
    """Return a roster: users spread over some pools, those beyond a hundred a pool in one more."""
    return [
        {
            "id": f"user-{number:04}",
            "displayName": f"User {number}",
            "pool": f"pool-{number % pools if number < pools * MAX_USERS_A_POOL else pools}",
            "scenes": ["coding", "research"] if number % 2 else ["coding"],
            "state": "suspended",
        }
        for number in range(count)
    ]


def _sealed(path: Path, keys: dict[str, Any]) -> dict[str, Any]:
    """Return the file's content: what a run has sealed, and the given keys."""
    text = path.read_text() if path.exists() else "{config: {}}"
    old: dict[str, Any] = yaml.safe_load(text)
    return {**old, "config": {**old["config"], **keys}}
