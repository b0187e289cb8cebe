"""Stack files of a thousand users, for measuring."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import yaml

from tests.bench.control_plane import CONTEXT

ROOT = Path(__file__).parents[2]
# FLEET_BENCH_USERS: fewer for a quick look; the figures are for a thousand.
USERS, POOLS = int(os.environ.get("FLEET_BENCH_USERS", "1000")), 10


def write(folder: Path, environment: str, count: int = USERS) -> Path:
    """Write `Pulumi.<environment>.yaml` with users spread over ten pools, and its scenes.

    Users beyond the thousand are in one more pool: a pool takes a hundred.
    """
    if not (folder / "scenes").exists():
        shutil.copytree(ROOT / "scenes", folder / "scenes")
    pools = [f"pool-{number}" for number in range(POOLS + 1)]
    config: dict[str, Any] = {
        "cluster": {"kind": "existing", "context": CONTEXT},
        "image": {"mode": "local", "reference": "opencode-fleet/runtime:bench"},
        "access": {"domain": "fleet.localhost", "tls": "none"},
        "model": {
            "provider": "openai",
            "baseUrl": "https://api.openai.com/v1",
            "name": "gpt-5",
            "smallName": "gpt-5-mini",
        },
        "pools": {name: {} for name in pools},
        "scenes": {name: {"path": f"scenes/{name}"} for name in ("coding", "research")},
        "users": [
            {
                "id": f"user-{number:04}",
                "displayName": f"User {number}",
                "pool": pools[number % POOLS if number < USERS else POOLS],
                "scenes": ["coding", "research"] if number % 2 else ["coding"],
            }
            for number in range(count)
        ],
    }
    path = folder / f"Pulumi.{environment}.yaml"
    text = yaml.safe_dump(
        {"config": {f"opencode-fleet:{key}": value for key, value in config.items()}},
        sort_keys=False,
        default_flow_style=None,
        width=200,
    )
    path.write_text(text)
    return path
