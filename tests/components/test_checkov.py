"""An outside scanner over what both kinds of cluster declare; every exception has its reason.

Needs uv, which installs the scanner on first use, apart from the project's own environment.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.support.cloud_world import declare
from tests.support.clusters import ack, vm
from tests.support.machine import tool
from tests.support.terraform_plan import terraform_plan

CHECKOV = "checkov==3.3.30"
EXCEPTIONS = MappingProxyType(
    {
        "CKV_ALI_8": "disks are encrypted with the account's own service key; a key of one's own "
        "is a monthly cost and can be lost, and with it everybody's work",
        "CKV_ALI_26": "the check wants worker_vswitch_ids, which the provider has deprecated; "
        "Terway with NetworkPolicy is asserted in test_ack",
    }
)


def _scan(folder: Path) -> dict[str, list[dict[str, Any]]]:
    command = [tool("uv"), "tool", "run", "--from", CHECKOV, "checkov", "--output", "json"]
    command += ["--framework", "terraform_plan", "--skip-download", "--compact"]
    result = subprocess.run(
        [*command, "--directory", str(folder)], capture_output=True, text=True, check=False
    )
    assert result.stdout.strip(), result.stderr
    return json.loads(result.stdout)["results"]


def test_a_scanner_finds_nothing_without_a_reason(tmp_path: Path) -> None:
    both = [
        *declare(vm(production=True, nas={})).resources,
        *declare(ack(production=True, nas={})).resources,
    ]
    opened = declare(vm(adminCidrs=["0.0.0.0/0"], dataDisk={"encrypted": False})).resources
    (tmp_path / "good.json").write_text(json.dumps(terraform_plan(both)))
    (tmp_path / "bad.json").write_text(json.dumps(terraform_plan(opened)))

    found = _scan(tmp_path)

    def ids(kind: str, name: str) -> set[str]:
        return {c["check_id"] for c in found[kind] if c["file_path"].endswith(f"{name}.json")}

    assert ids("failed_checks", "good") <= set(EXCEPTIONS)
    assert {"CKV_ALI_2", "CKV_ALI_7"} <= ids("passed_checks", "good")
    # It would have said so: disks in clear, SSH open to the world.
    assert {"CKV_ALI_2", "CKV_ALI_7"} <= ids("failed_checks", "bad")
