"""Runs a script on an ECS instance through Cloud Assistant, and prints what it answers.

A program of its own (`python3 -m fleet.alicloud.cloud_assistant`), called by Pulumi's command
provider: the cloud provider's own resource runs scripts, but cannot read back what they print. The
channel is the cloud's API, so that no port is opened, and both sides are known. Owns: the
environment variables between the two. Leaves out: the script (`fleet.alicloud.cloud_init`), its
answer (`kubeconfig`), who calls (`credentials`).
"""

from __future__ import annotations

import base64
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.alicloud.api import Ecs, RefusedError, ecs_endpoint
from fleet.alicloud.credentials import CredentialsError, sdk_credentials
from fleet.alicloud.kubeconfig import ANSWER

PYTHON = "FLEET_PYTHON"
"""Environment variable: the Python that runs this program. No state holds a machine's own path."""
SCRIPT_SECONDS = 1800
CALL_LIMIT = 18 * 1024
"""Documented: a command of Cloud Assistant in base64."""
# A new machine's agent answers about a minute after the machine runs.
_PATIENCE_SECONDS, _POLL_SECONDS = 900.0, 5.0
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
_PART = "/run/opencode-fleet-command"
# Of a script in base64; a script of its own around it, in base64 again, stays below the limit.
_PART_LENGTH = 12_000
_DONE = frozenset({"Success", "Failed", "Error", "Timeout", "Stopped", "Cancelled", "Aborted"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ScriptRun:
    """What is to run where; the fields travel as environment variables."""

    region: str
    profile: str | None
    instance: str
    command: str
    """The script, in base64."""
    endpoint: str | None = None
    """Another place than the region's own API; for tests."""
    poll_seconds: float = _POLL_SECONDS
    patience_seconds: float = _PATIENCE_SECONDS

    def variables(self) -> dict[str, str]:
        """Return the variables for a process that is to run it; one is always its plain self."""
        return {
            "FLEET_REGION": self.region,
            "FLEET_PROFILE": self.profile or "",
            "FLEET_INSTANCE": self.instance,
            "FLEET_COMMAND": self.command,
        }

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> ScriptRun:
        """Return what `variables` ask for; raises KeyError when one is missing."""
        return cls(
            region=variables["FLEET_REGION"],
            profile=variables.get("FLEET_PROFILE") or None,
            instance=variables["FLEET_INSTANCE"],
            command=variables["FLEET_COMMAND"],
            endpoint=variables.get("FLEET_ECS_ENDPOINT"),
            poll_seconds=float(variables.get("FLEET_POLL_SECONDS", _POLL_SECONDS)),
            patience_seconds=float(variables.get("FLEET_PATIENCE", _PATIENCE_SECONDS)),
        )


def run_command(python: Path) -> str:
    """Return the shell command that runs this program: with the Python that runs `fleet`.

    With `python`, from the project's folder, where plain `pulumi` runs it.
    """
    return f'"${{{PYTHON}:-{python}}}" -m fleet.alicloud.cloud_assistant'


class ScriptError(Exception):
    """The script did not do its work; the text is for the operator."""


def main() -> int:
    """Run the script that the environment names; print its answer, or the reason, and return."""
    try:
        run = ScriptRun.read(os.environ)
        who = sdk_credentials(run.profile, os.environ)
        ecs = Ecs(run.endpoint or ecs_endpoint(run.region), run.region, who)
        print(answer_of(run, ecs))  # noqa: T201  (the answer is this program's output)
    except (ScriptError, RefusedError, CredentialsError, OSError) as error:
        print(f"Cloud Assistant: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def answer_of(run: ScriptRun, ecs: Ecs) -> str:
    """Run the script until it has ended, and return the line with its answer.

    Raises ScriptError when it fails or answers nothing.
    """
    *before, last = parts(run.command)
    for part in before:
        _checked(_patiently(run, ecs, part))
    return _answer(_patiently(run, ecs, last))


def parts(command: str) -> list[str]:
    """Return the scripts that together run one script, all in base64: the cloud limits each call.

    Those before the last leave a file each; sent twice, they do the same.
    """
    if len(command) <= CALL_LIMIT:
        return [command]
    pieces = [command[at : at + _PART_LENGTH] for at in range(0, len(command), _PART_LENGTH)]
    files = [f"{_PART}.{number}" for number in range(len(pieces))]
    scripts = [
        f"umask 077\necho -n '{piece}' >{file}" for piece, file in zip(pieces, files, strict=True)
    ]
    listed = " ".join(files)
    scripts.append(
        f"umask 077\ncat {listed} | base64 -d >{_PART}.sh\nrm -f {listed}\n"
        f"bash {_PART}.sh\nstatus=$?\nrm -f {_PART}.sh\nexit $status"
    )
    return [base64.b64encode(f"#!/bin/bash\n{script}\n".encode()).decode() for script in scripts]


def _patiently(run: ScriptRun, ecs: Ecs, command: str) -> dict[str, Any]:
    """Run one script to its end, as soon as the machine takes commands."""
    deadline = time.monotonic() + run.patience_seconds
    while True:
        try:
            result = _run_once(run, ecs, command)
            reason = result.get("ErrorCode") or ""
        except RefusedError as error:
            result, reason = {}, error.code
            if reason not in _NOT_YET:
                raise
        if reason not in _NOT_YET:
            return result
        if time.monotonic() > deadline:
            raise ScriptError(f"{run.instance} does not take commands ({reason}); run again later")
        time.sleep(run.poll_seconds)


def _run_once(run: ScriptRun, ecs: Ecs, command: str) -> dict[str, Any]:
    target = {"RegionId": run.region}
    started = ecs.call(
        "RunCommand",
        {
            **target,
            "InstanceId.1": run.instance,
            "Type": "RunShellScript",
            "Name": "opencode-fleet",
            "CommandContent": command,
            "ContentEncoding": "Base64",
            "Timeout": str(SCRIPT_SECONDS),
        },
    )
    query = {**target, "InvokeId": str(started["InvokeId"]), "ContentEncoding": "PlainText"}
    while True:
        reply = ecs.call("DescribeInvocationResults", query)
        results = reply["Invocation"]["InvocationResults"]["InvocationResult"]
        if results and results[0].get("InvocationStatus") in _DONE:
            return results[0]
        time.sleep(run.poll_seconds)


def _answer(result: Mapping[str, Any]) -> str:
    output = _checked(result)
    lines = [line for line in output.splitlines() if line.startswith(ANSWER)]
    if not lines:
        raise ScriptError("the script ended well and answered nothing")
    return lines[-1]


def _checked(result: Mapping[str, Any]) -> str:
    output = str(result.get("Output", ""))
    if result.get("InvocationStatus") != "Success":
        tail = "\n".join(output.splitlines()[-15:])
        raise ScriptError(
            f"the script ended as {result.get('InvocationStatus')}, exit code "
            f"{result.get('ExitCode')} {result.get('ErrorInfo') or ''}\n{tail}"
        )
    return output


if __name__ == "__main__":
    sys.exit(main())
