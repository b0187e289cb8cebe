"""Signed calls, the script runner of Cloud Assistant, and the timer function."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fleet.alicloud import power
from fleet.alicloud.cloud_assistant import ScriptError, answer_of, credentials
from fleet.alicloud.config_vm import Schedule
from fleet.alicloud.rpc import Credentials, RefusedError, call, signature
from fleet.alicloud.schedule_plan import code, triggers
from tests.support.fakes.ecs_api import KEY_ID, KEY_SECRET, Handler, Reply, ecs_api

WHO = Credentials(KEY_ID, KEY_SECRET)
MACHINE = "i-t4n0abcd1234efgh"


def test_the_signature_is_the_one_of_the_clouds_own_example() -> None:
    # The worked example of the API's signature documentation.
    parameters = {
        "Timestamp": "2016-02-23T12:46:24Z",
        "Format": "XML",
        "AccessKeyId": "testid",
        "Action": "DescribeRegions",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
        "Version": "2014-05-26",
        "SignatureVersion": "1.0",
    }
    assert signature("GET", parameters, "testsecret") == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


def test_a_wrong_key_is_refused_with_the_clouds_word() -> None:
    with ecs_api(lambda _action, _sent: (200, {})) as endpoint:
        with pytest.raises(RefusedError, match="SignatureDoesNotMatch: not signed so") as caught:
            call(endpoint, "DescribeRegions", {}, Credentials(KEY_ID, "wrong"))
        assert caught.value.code == "SignatureDoesNotMatch"
        with pytest.raises(RefusedError, match="InvalidAccessKeyId"):
            call(endpoint, "DescribeRegions", {}, Credentials("wrong", KEY_SECRET))


def test_odd_characters_are_signed_as_they_are_sent() -> None:
    with ecs_api(lambda _, sent: (200, {"seen": sent["Odd"]})) as endpoint:
        odd = "a b+c/d=é*~&"
        assert call(endpoint, "Echo", {"Odd": odd}, WHO)["seen"] == odd


def test_keys_are_never_shown() -> None:
    assert KEY_SECRET not in repr(Credentials(KEY_ID, KEY_SECRET, "token"))


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


def _environment(endpoint: str) -> dict[str, str]:
    return {
        "FLEET_REGION": "ap-southeast-1",
        "FLEET_INSTANCE": MACHINE,
        "FLEET_COMMAND": base64.b64encode(b"echo hello").decode(),
        "FLEET_ECS_ENDPOINT": endpoint,
        "FLEET_POLL_SECONDS": "0.01",
        "FLEET_PATIENCE": "5",
    }


def test_the_answer_is_read_once_the_script_has_ended() -> None:
    handler, seen = _api(_ended("Running"), _ended(output='log\nFLEET-ACCESS {"ca": "x"}\n'))
    with ecs_api(handler) as endpoint:
        assert answer_of(_environment(endpoint), WHO) == 'FLEET-ACCESS {"ca": "x"}'
    assert [sent["Action"] for sent in seen] == ["RunCommand"] + ["DescribeInvocationResults"] * 2
    assert seen[0]["InstanceId.1"] == MACHINE
    assert base64.b64decode(seen[0]["CommandContent"]) == b"echo hello"
    assert seen[1]["InvokeId"] == "t-1"


def test_a_machine_whose_agent_is_not_up_yet_is_waited_for() -> None:
    offline = _ended("Failed", ErrorCode="ClientNotRunning")
    handler, seen = _api(offline, offline, _ended(output="FLEET-ACCESS {}"))
    with ecs_api(handler) as endpoint:
        assert answer_of(_environment(endpoint), WHO) == "FLEET-ACCESS {}"
    assert [sent["Action"] for sent in seen].count("RunCommand") == 3


def test_waiting_ends() -> None:
    handler, _ = _api(_ended("Failed", ErrorCode="ClientNotRunning"))
    with ecs_api(handler) as endpoint:
        environment = _environment(endpoint) | {"FLEET_PATIENCE": "0"}
        with pytest.raises(ScriptError, match=f"{MACHINE} does not take commands"):
            answer_of(environment, WHO)


def test_a_failed_script_shows_its_last_lines() -> None:
    output = "\n".join(f"line {n}" for n in range(40))
    handler, _ = _api(_ended("Failed", output, ExitCode=1))
    with ecs_api(handler) as endpoint, pytest.raises(ScriptError) as caught:
        answer_of(_environment(endpoint), WHO)
    assert "the script ended as Failed, exit code 1" in str(caught.value)
    assert "line 39" in str(caught.value)
    assert "line 3\n" not in str(caught.value)


def test_a_script_that_answers_nothing_is_an_error() -> None:
    handler, _ = _api(_ended(output="hello"))
    with ecs_api(handler) as endpoint, pytest.raises(ScriptError, match="answered nothing"):
        answer_of(_environment(endpoint), WHO)


def test_a_refusal_is_not_tried_again() -> None:
    refused = (403, {"Code": "Forbidden.RAM", "Message": "not allowed"})
    with (
        ecs_api(lambda _action, _sent: refused) as endpoint,
        pytest.raises(RefusedError, match=r"RunCommand: Forbidden\.RAM: not allowed"),
    ):
        answer_of(_environment(endpoint), WHO)


def test_the_program_prints_the_answer_and_nothing_secret() -> None:
    handler, _ = _api(_ended(output="noise\nFLEET-ACCESS {}\n"))
    with ecs_api(handler) as endpoint:
        keys = {"ALICLOUD_ACCESS_KEY": KEY_ID, "ALICLOUD_SECRET_KEY": KEY_SECRET}
        result = _program(_environment(endpoint) | keys)
    assert result.returncode == 0
    assert result.stdout == "FLEET-ACCESS {}\n"
    assert KEY_SECRET not in result.stdout + result.stderr


def test_the_program_says_in_one_line_what_is_missing() -> None:
    result = _program(_environment("http://127.0.0.1:9"))
    assert result.returncode == 1
    assert result.stderr == (
        "Cloud Assistant: ALICLOUD_ACCESS_KEY and ALICLOUD_SECRET_KEY are not both set\n"
    )


def _program(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fleet.alicloud.cloud_assistant"],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_named_profile_is_read_like_the_providers(tmp_path: Path) -> None:
    profiles = tmp_path / "config.json"
    known = [
        {"name": "ops", "mode": "AK", "access_key_id": "id", "access_key_secret": "secret"},
        {"name": "sso", "mode": "CloudSSO"},
    ]
    profiles.write_text(json.dumps({"profiles": known}))

    assert credentials({"FLEET_PROFILE": "ops"}, profiles) == Credentials("id", "secret")
    with pytest.raises(ScriptError, match="profile sso has mode CloudSSO: use one with keys"):
        credentials({"FLEET_PROFILE": "sso"}, profiles)
    with pytest.raises(ScriptError, match="no profile other"):
        credentials({"FLEET_PROFILE": "other"}, profiles)


@pytest.mark.parametrize(
    ("payload", "action", "mode"),
    [("start", "StartInstance", None), ("stop", "StopInstance", "StopCharging")],
)
def test_the_timer_starts_and_stops_in_economical_mode(
    payload: str, action: str, mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = SimpleNamespace(
        access_key_id=KEY_ID,
        access_key_secret=KEY_SECRET,
        security_token="token",  # noqa: S106  (invented)
    )

    def echo(name: str, sent: Mapping[str, str]) -> Reply:
        return 200, {"action": name, **sent}

    with ecs_api(echo) as endpoint:
        monkeypatch.setenv("FLEET_REGION", "ap-southeast-1")
        monkeypatch.setenv("FLEET_INSTANCE", MACHINE)
        monkeypatch.setenv("FLEET_ECS_ENDPOINT", endpoint)
        event = json.dumps({"triggerName": payload, "payload": payload}).encode()
        answer = json.loads(power.handler(event, SimpleNamespace(credentials=role)))

    assert answer["action"] == action
    assert answer["InstanceId"] == MACHINE
    assert answer.get("StoppedMode") == mode
    assert answer["SecurityToken"] == "token"


def test_the_uploaded_function_runs_by_itself(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(code()))) as archive:
        archive.extractall(tmp_path)
    alone = [sys.executable, "-I", "-c", "import sys; sys.path.insert(0, '.'); import power"]
    subprocess.run(alone, cwd=tmp_path, check=True)
    assert code() == code()


def test_timers_say_whose_clock_they_mean() -> None:
    schedule = Schedule.model_validate(
        {
            "start": "30 7 * * *",
            "stop": "0 22 * * *",
            "timeZone": "Europe/Berlin",
            "hoursPerWeek": 100,
        }
    )
    assert json.loads(triggers(schedule)["start"]) == {
        "cronExpression": "CRON_TZ=Europe/Berlin 0 30 7 * * *",
        "enable": True,
        "payload": "start",
    }
