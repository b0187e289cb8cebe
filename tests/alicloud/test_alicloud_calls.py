"""Signed calls, and the script runner of Cloud Assistant, as whoever the provider works as."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.alicloud.api import Ecs, RefusedError
from fleet.alicloud.cloud_assistant import CALL_LIMIT, ScriptError, ScriptRun, answer_of, parts
from fleet.alicloud.credentials import sdk_credentials
from tests.support.fakes.ecs_api import KEY_ID, KEY_SECRET, Handler, Reply, answering, ecs_api
from tests.support.machine import tool

KEYS = {"ALICLOUD_ACCESS_KEY": KEY_ID, "ALICLOUD_SECRET_KEY": KEY_SECRET}
MACHINE = "i-t4n0abcd1234efgh"


def _ecs(endpoint: str, variables: Mapping[str, str] = KEYS) -> Ecs:
    return Ecs(endpoint, "ap-southeast-1", sdk_credentials(None, variables))


def test_a_wrong_key_is_refused_with_the_clouds_word() -> None:
    with ecs_api(lambda _action, _sent: (200, {})) as endpoint:
        with pytest.raises(RefusedError, match="SignatureDoesNotMatch: not signed so") as caught:
            _ecs(endpoint, KEYS | {"ALICLOUD_SECRET_KEY": "wrong"}).call("DescribeRegions", {})
        assert caught.value.code == "SignatureDoesNotMatch"
        with pytest.raises(RefusedError, match="InvalidAccessKeyId"):
            _ecs(endpoint, KEYS | {"ALICLOUD_ACCESS_KEY": "wrong"}).call("DescribeRegions", {})


def test_odd_characters_are_signed_as_they_are_sent() -> None:
    with ecs_api(lambda _, sent: (200, {"seen": sent["Odd"]})) as endpoint:
        odd = "a b+c/d=é*~&"
        assert _ecs(endpoint).call("Echo", {"Odd": odd})["seen"] == odd


def test_a_call_that_reaches_nobody_is_told_in_one_line() -> None:
    with ecs_api(lambda _action, _sent: (200, {})) as endpoint:
        gone = endpoint
    with pytest.raises(OSError, match=r"DescribeRegions: .*[Cc]onnection refused") as caught:
        _ecs(gone).call("DescribeRegions", {})
    assert "\n" not in str(caught.value)


def _ended(status: str = "Success", output: str = "", **more: Any) -> Reply:
    result = {"InvocationStatus": status, "Output": output, "ExitCode": 0, **more}
    return 200, {"Invocation": {"InvocationResults": {"InvocationResult": [result]}}}


def _api(*results: Reply) -> tuple[Handler, list[Mapping[str, str]]]:
    """Answer RunCommand with an id, and the look-ups with `results`, the last one for ever."""
    seen: list[Mapping[str, str]] = []
    left = list(results)

    def handle(action: str, parameters: Mapping[str, str]) -> Reply:
        seen.append(parameters)
        if action == "RunCommand":
            return 200, {"InvokeId": "t-1"}
        return left.pop(0) if len(left) > 1 else left[0]

    return handle, seen


def _run(endpoint: str, patience: float = 5) -> ScriptRun:
    return ScriptRun(
        region="ap-southeast-1",
        profile=None,
        instance=MACHINE,
        command=base64.b64encode(b"echo hello").decode(),
        endpoint=endpoint,
        poll_seconds=0.01,
        patience_seconds=patience,
    )


def _answer(endpoint: str, patience: float = 5) -> str:
    return answer_of(_run(endpoint, patience), _ecs(endpoint))


def test_the_answer_is_read_once_the_script_has_ended() -> None:
    handler, seen = _api(_ended("Running"), _ended(output='log\nFLEET-ACCESS {"ca": "x"}\n'))
    with ecs_api(handler) as endpoint:
        assert _answer(endpoint) == 'FLEET-ACCESS {"ca": "x"}'
    assert [sent["Action"] for sent in seen] == ["RunCommand"] + ["DescribeInvocationResults"] * 2
    assert seen[0]["InstanceId.1"] == MACHINE
    assert base64.b64decode(seen[0]["CommandContent"]) == b"echo hello"
    assert seen[1]["InvokeId"] == "t-1"


def test_a_machine_whose_agent_is_not_up_yet_is_waited_for() -> None:
    offline = _ended("Failed", ErrorCode="ClientNotRunning")
    handler, seen = _api(offline, offline, _ended(output="FLEET-ACCESS {}"))
    with ecs_api(handler) as endpoint:
        assert _answer(endpoint) == "FLEET-ACCESS {}"
    assert [sent["Action"] for sent in seen].count("RunCommand") == 3


def test_waiting_ends() -> None:
    handler, _ = _api(_ended("Failed", ErrorCode="ClientNotRunning"))
    told = f"{MACHINE} does not take commands"
    with ecs_api(handler) as endpoint, pytest.raises(ScriptError, match=told):
        _answer(endpoint, patience=0)


def test_a_failed_script_shows_its_last_lines() -> None:
    output = "\n".join(f"line {n}" for n in range(40))
    handler, _ = _api(_ended("Failed", output, ExitCode=1))
    with ecs_api(handler) as endpoint, pytest.raises(ScriptError) as caught:
        _answer(endpoint)
    assert "the script ended as Failed, exit code 1" in str(caught.value)
    assert "line 39" in str(caught.value)
    assert "line 3\n" not in str(caught.value)


def test_a_script_that_answers_nothing_is_an_error() -> None:
    handler, _ = _api(_ended(output="hello"))
    with ecs_api(handler) as endpoint, pytest.raises(ScriptError, match="answered nothing"):
        _answer(endpoint)


def test_a_refusal_is_not_tried_again() -> None:
    refused = (403, {"Code": "Forbidden.RAM", "Message": "not allowed"})
    with (
        ecs_api(lambda _action, _sent: refused) as endpoint,
        pytest.raises(RefusedError, match=r"RunCommand: Forbidden\.RAM: not allowed"),
    ):
        _answer(endpoint)


def test_what_is_to_run_arrives_as_it_was_sent() -> None:
    sent = ScriptRun(region="ap-southeast-1", profile=None, instance=MACHINE, command="Zm9v")
    assert ScriptRun.read(sent.variables()) == sent
    named = replace(sent, profile="ops")
    assert ScriptRun.read(named.variables()) == named


def test_the_program_prints_the_answer_and_nothing_secret() -> None:
    handler, _ = _api(_ended(output="noise\nFLEET-ACCESS {}\n"))
    with ecs_api(handler) as endpoint:
        result = _program(endpoint, KEYS)
    assert result.stdout == "FLEET-ACCESS {}\n", result.stderr
    assert result.returncode == 0
    assert KEY_SECRET not in result.stdout + result.stderr


@pytest.mark.parametrize(
    "variables",
    [
        {"ALIBABA_CLOUD_ACCESS_KEY_ID": KEY_ID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": KEY_SECRET},
        {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": KEY_ID,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": KEY_SECRET,
            "ALIBABA_CLOUD_SECURITY_TOKEN": "token",
        },
    ],
    ids=["keys", "temporary keys"],
)
def test_the_program_knows_the_vendors_own_variables(variables: dict[str, str]) -> None:
    handler, seen = _api(_ended(output="FLEET-ACCESS {}"))
    with ecs_api(handler) as endpoint:
        result = _program(endpoint, variables)
    assert result.returncode == 0, result.stderr
    assert seen[0].get("SecurityToken") == variables.get("ALIBABA_CLOUD_SECURITY_TOKEN")


def test_the_program_works_as_the_profile_that_it_is_told(tmp_path: Path) -> None:
    keys = {"access_key_id": KEY_ID, "access_key_secret": KEY_SECRET}
    profiles = [{"name": "ops", "mode": "AK", **keys}, {"name": "sso", "mode": "Unheard"}]
    (tmp_path / ".aliyun").mkdir()
    (tmp_path / ".aliyun/config.json").write_text(json.dumps({"profiles": profiles}))
    handler, _ = _api(_ended(output="FLEET-ACCESS {}"))
    with ecs_api(handler) as endpoint:
        results = {
            name: _program(endpoint, {"HOME": str(tmp_path), "FLEET_PROFILE": name})
            for name in ("ops", "sso", "other")
        }
    assert results["ops"].stdout == "FLEET-ACCESS {}\n", results["ops"].stderr
    assert "unsupported profile mode 'Unheard'" in results["sso"].stderr
    assert "unable to get profile with 'other'" in results["other"].stderr
    assert {len(result.stderr.splitlines()) for result in results.values()} == {0, 1}


def test_the_program_takes_credentials_from_a_uri() -> None:
    given = {"Code": "Success", "AccessKeyId": KEY_ID, "AccessKeySecret": KEY_SECRET}
    given |= {"SecurityToken": "token", "Expiration": "2099-01-01T00:00:00Z"}
    handler, seen = _api(_ended(output="FLEET-ACCESS {}"))
    with ecs_api(handler) as endpoint, answering(given) as uri:
        result = _program(endpoint, {"ALIBABA_CLOUD_CREDENTIALS_URI": uri})
    assert result.returncode == 0, result.stderr
    assert seen[0]["SecurityToken"] == "token"


def test_the_program_says_in_one_line_who_is_missing() -> None:
    result = _program("http://127.0.0.1:9", {})
    assert result.returncode == 1
    assert result.stderr.startswith("Cloud Assistant: cluster.profile: not set: nobody to work as")
    assert len(result.stderr.splitlines()) == 1


def _program(endpoint: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    told = {"FLEET_ECS_ENDPOINT": endpoint, "FLEET_POLL_SECONDS": "0.01", "FLEET_PATIENCE": "5"}
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **_run(endpoint).variables()}
    return subprocess.run(
        [sys.executable, "-m", "fleet.alicloud.cloud_assistant"],
        env={**environment, **told, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_long_script_is_sent_in_parts_that_run_as_one(tmp_path: Path) -> None:
    script = f"#!/bin/bash\nprintf %s {'x' * 40000} | wc -c\nexit 7\n"
    command = base64.b64encode(script.encode()).decode()
    sent = parts(command)

    assert len(sent) > 3
    assert all(len(part) <= CALL_LIMIT for part in sent)
    # The machine's own folder is this test's.
    texts = [base64.b64decode(part).decode().replace("/run/", f"{tmp_path}/") for part in sent]
    done = [
        subprocess.run([tool("bash"), "-c", text], capture_output=True, text=True, check=False)
        # A part may arrive twice.
        for text in (texts[0], *texts)
    ]
    assert [result.returncode for result in done[:-1]] == [0] * (len(sent))
    assert done[-1].stdout == "40000\n"
    assert done[-1].returncode == 7
    assert not list(tmp_path.iterdir())


def test_a_script_that_fits_is_sent_as_it_is() -> None:
    assert parts("Zg==") == ["Zg=="]


def test_a_part_that_fails_ends_the_run() -> None:
    handler, seen = _api(_ended("Failed", output="No space left on device"))
    with ecs_api(handler) as endpoint:
        run = replace(_run(endpoint), command="x" * (CALL_LIMIT + 1))
        with pytest.raises(ScriptError, match="No space left on device"):
            answer_of(run, _ecs(endpoint))
    assert [call["Action"] for call in seen] == ["RunCommand", "DescribeInvocationResults"]
