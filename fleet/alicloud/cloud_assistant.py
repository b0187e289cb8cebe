"""Runs a script on an ECS instance through Cloud Assistant, and prints what it answers.

A program of its own (`python3 -m fleet.alicloud.cloud_assistant`), called by Pulumi's command
provider: the cloud provider's own resource runs scripts, but cannot read back what they print. The
channel is the cloud's API, so that no port is opened, and both sides are known. Standard library
only. Leaves out: the script (`fleet.alicloud.cloud_init`).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleet.alicloud.rpc import Credentials, RefusedError, call, ecs_endpoint

ANSWER = "FLEET-ACCESS "
SCRIPT_SECONDS = 1800
# A new machine's agent answers about a minute after the machine runs.
_PATIENCE_SECONDS = 900
_POLL_SECONDS = 5.0
_NOT_YET = frozenset(
    {
        "ClientNotRunning",
        "ClientNetworkBlocked",
        "InstanceNotRunning",
        "InvalidInstance.NotMatch",
        "IncorrectInstanceStatus",
        "DeliveryTimeout",
    }
)
_DONE = frozenset({"Success", "Failed", "Error", "Timeout", "Stopped", "Cancelled", "Aborted"})


class ScriptError(Exception):
    """The script did not do its work; the text is for the operator."""


def main() -> int:
    """Run the script that the environment names; print its answer, or the reason, and return."""
    environment = os.environ
    try:
        who = credentials(environment, Path.home() / ".aliyun" / "config.json")
        print(answer_of(environment, who))  # noqa: T201  (the answer is this program's output)
    except (ScriptError, RefusedError, OSError) as error:
        print(f"Cloud Assistant: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def credentials(environment: Mapping[str, str], profiles: Path) -> Credentials:
    """Return the same credentials as the provider's: the named profile, or the environment's."""
    name = environment.get("FLEET_PROFILE")
    if not name:
        key, secret = environment.get("ALICLOUD_ACCESS_KEY"), environment.get("ALICLOUD_SECRET_KEY")
        if not key or not secret:
            raise ScriptError("ALICLOUD_ACCESS_KEY and ALICLOUD_SECRET_KEY are not both set")
        return Credentials(key, secret, environment.get("ALICLOUD_SECURITY_TOKEN"))
    known: list[dict[str, Any]] = []
    if profiles.exists():
        known = json.loads(profiles.read_text(encoding="utf-8")).get("profiles", [])
    found = next((profile for profile in known if profile.get("name") == name), None)
    if found is None:
        raise ScriptError(f"no profile {name} in {profiles}")
    if found.get("mode") not in ("AK", "StsToken"):
        raise ScriptError(
            f"profile {name} has mode {found.get('mode')}: use one with keys (AK or StsToken), "
            "or export ALICLOUD_ACCESS_KEY, ALICLOUD_SECRET_KEY and ALICLOUD_SECURITY_TOKEN"
        )
    return Credentials(
        found["access_key_id"], found["access_key_secret"], found.get("sts_token") or None
    )


def answer_of(environment: Mapping[str, str], who: Credentials) -> str:
    """Run the script until it has ended, and return the line with its answer.

    Raises ScriptError when it fails or answers nothing.
    """
    region = environment["FLEET_REGION"]
    endpoint = environment.get("FLEET_ECS_ENDPOINT") or ecs_endpoint(region)
    pause = float(environment.get("FLEET_POLL_SECONDS", _POLL_SECONDS))
    deadline = time.monotonic() + float(environment.get("FLEET_PATIENCE", _PATIENCE_SECONDS))
    machine = environment["FLEET_INSTANCE"]
    while True:
        try:
            result = _run_once(endpoint, environment, who, pause)
            reason = result.get("ErrorCode") or ""
        except RefusedError as error:
            result, reason = {}, error.code
            if reason not in _NOT_YET:
                raise
        if reason not in _NOT_YET:
            return _answer(result)
        if time.monotonic() > deadline:
            raise ScriptError(f"{machine} does not take commands ({reason}); run again later")
        time.sleep(pause)


def _run_once(
    endpoint: str, environment: Mapping[str, str], who: Credentials, pause: float
) -> dict[str, Any]:
    target = {"RegionId": environment["FLEET_REGION"]}
    started = call(
        endpoint,
        "RunCommand",
        {
            **target,
            "InstanceId.1": environment["FLEET_INSTANCE"],
            "Type": "RunShellScript",
            "Name": "opencode-fleet",
            "CommandContent": environment["FLEET_COMMAND"],
            "ContentEncoding": "Base64",
            "Timeout": str(SCRIPT_SECONDS),
        },
        who,
    )
    query = {**target, "InvokeId": str(started["InvokeId"]), "ContentEncoding": "PlainText"}
    while True:
        found = call(endpoint, "DescribeInvocationResults", query, who)
        results = found["Invocation"]["InvocationResults"]["InvocationResult"]
        if results and results[0].get("InvocationStatus") in _DONE:
            return results[0]
        time.sleep(pause)


def _answer(result: Mapping[str, Any]) -> str:
    output = str(result.get("Output", ""))
    if result.get("InvocationStatus") != "Success":
        tail = "\n".join(output.splitlines()[-15:])
        raise ScriptError(
            f"the script ended as {result.get('InvocationStatus')}, exit code "
            f"{result.get('ExitCode')} {result.get('ErrorInfo') or ''}\n{tail}"
        )
    lines = [line for line in output.splitlines() if line.startswith(ANSWER)]
    if not lines:
        raise ScriptError("the script ended well and answered nothing")
    return lines[-1]


if __name__ == "__main__":
    sys.exit(main())
