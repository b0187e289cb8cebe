"""The cloud's pure side stays pure, and small programs stay small."""

from __future__ import annotations

import subprocess
import sys

MODULES = (
    "fleet.alicloud.rules",
    "fleet.alicloud.cost",
    "fleet.alicloud.ram_policy",
    "fleet.alicloud.machine_plan",
    "fleet.alicloud.kubeconfig",
    "fleet.alicloud.schedule_plan",
    "fleet.alicloud.cloud_init",
)


def _loaded(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_no_pure_module_loads_pulumi() -> None:
    loaded = _loaded(", ".join(MODULES))
    assert not {name for name in loaded if name.split(".")[0].startswith("pulumi")}


def test_what_runs_elsewhere_needs_the_standard_library_only() -> None:
    loaded = {name.split(".")[0] for name in _loaded("fleet.alicloud.function.power")}
    assert loaded - sys.stdlib_module_names <= {"__main__", "fleet"}


def test_the_vendors_sdk_is_loaded_by_who_calls_the_cloud_only() -> None:
    loaded = {name.split(".")[0] for name in _loaded("fleet.alicloud.cloud_assistant")}
    assert not {"Tea", "aiohttp", "darabonba", "requests"} & loaded
    assert not [name for name in loaded if name.startswith("alibabacloud")]
