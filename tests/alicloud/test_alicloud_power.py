"""The timer function: what it sends, how it signs, that it runs by itself on the Python there."""

from __future__ import annotations

import ast
import base64
import io
import json
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from fleet.alicloud.config_vm import Schedule
from fleet.alicloud.function import power
from fleet.alicloud.schedule_plan import HANDLER, RUNTIME, code, triggers
from tests.support.fakes.ecs_api import KEY_ID, KEY_SECRET, Reply, ecs_api
from tests.support.programs import ROOT

MACHINE = "i-t4n0abcd1234efgh"
FOLDER = ROOT / "fleet/alicloud/function"


def _role(secret: str = KEY_SECRET) -> SimpleNamespace:
    token = "token"  # noqa: S105  (invented)
    given = SimpleNamespace(access_key_id=KEY_ID, access_key_secret=secret, security_token=token)
    return SimpleNamespace(credentials=given)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv(power.REGION, "ap-southeast-1")
    monkeypatch.setenv(power.MACHINE, MACHINE)
    return monkeypatch


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
    assert power.signature("GET", parameters, "testsecret") == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


def test_the_roles_keys_are_never_shown() -> None:
    assert repr(power.Role(KEY_ID, KEY_SECRET, "token")) == f"Role({KEY_ID})"


@pytest.mark.parametrize(
    ("payload", "action", "mode"),
    [("start", "StartInstance", None), ("stop", "StopInstance", "StopCharging")],
)
def test_the_timer_starts_and_stops_in_economical_mode(
    payload: str, action: str, mode: str | None, there: pytest.MonkeyPatch
) -> None:
    def echo(name: str, sent: Mapping[str, str]) -> Reply:
        return 200, {"action": name, **sent}

    with ecs_api(echo) as endpoint:
        there.setenv("FLEET_ECS_ENDPOINT", endpoint)
        event = json.dumps({"triggerName": payload, "payload": payload}).encode()
        answer = json.loads(power.handler(event, _role()))

    assert answer["action"] == action
    assert answer["InstanceId"] == MACHINE
    assert answer.get("StoppedMode") == mode
    assert answer["SecurityToken"] == "token"


def test_a_refused_call_fails_the_invocation_in_the_clouds_words(
    there: pytest.MonkeyPatch,
) -> None:
    with ecs_api(lambda _action, _sent: (200, {})) as endpoint:
        there.setenv("FLEET_ECS_ENDPOINT", endpoint)
        with pytest.raises(power.RefusedError, match=r"HTTP 400: .*SignatureDoesNotMatch") as told:
            power.handler(b'{"payload": "stop"}', _role("wrong"))
    assert "wrong" not in str(told.value)


def test_the_uploaded_function_runs_by_itself(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(code()))) as archive:
        archive.extractall(tmp_path)
    module, name = HANDLER.split(".")
    program = f"import sys; sys.path.insert(0, '.'); import {module}; {module}.{name}"
    subprocess.run([sys.executable, "-I", "-c", program], cwd=tmp_path, check=True)
    assert code() == code()


def test_the_function_is_checked_for_the_python_it_runs_on() -> None:
    minor = int(RUNTIME.removeprefix("python3."))
    for path in FOLDER.glob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, minor))
    linter = tomllib.loads((FOLDER / "ruff.toml").read_text(encoding="utf-8"))
    assert linter["target-version"] == f"py3{minor}"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    checked = project["tool"]["pyright"]["executionEnvironments"][0]
    assert checked == {"root": "fleet/alicloud/function", "pythonVersion": f"3.{minor}"}


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
