"""Starts or stops one ECS instance; runs in Function Compute, on a timer, with a role.

`payload` of the trigger is `start` or `stop`. Nothing is installed there, so it signs its one call
itself: HMAC-SHA1, signature version 1.0. Leaves out: when (`fleet.alicloud.schedule_plan`).
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import os
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

# The function's environment variables.
REGION, MACHINE = "FLEET_REGION", "FLEET_INSTANCE"
_ENDPOINT = "FLEET_ECS_ENDPOINT"
_ACTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "start": ("StartInstance", {}),
    # Economical mode: CPU and memory are given back and not paid for.
    "stop": ("StopInstance", {"StoppedMode": "StopCharging"}),
}
_TIMEOUT_SECONDS = 30


class RefusedError(Exception):
    """The cloud refused the call, in its own words."""


class Role(NamedTuple):
    """Who calls."""

    key_id: str
    key_secret: str
    token: str

    def __repr__(self) -> str:
        """Leave the secrets out of every log."""
        return f"Role({self.key_id})"


def handler(event: bytes, context: Any) -> str:
    """Do what the trigger's payload says; a refused call fails the invocation."""
    action, more = _ACTIONS[json.loads(event)["payload"]]
    region, given = os.environ[REGION], context.credentials
    role = Role(given.access_key_id, given.access_key_secret, given.security_token)
    parameters = {"RegionId": region, "InstanceId": os.environ[MACHINE], **more}
    endpoint = os.environ.get(_ENDPOINT, f"https://ecs.{region}.aliyuncs.com")
    return json.dumps(_call(endpoint, signed(action, parameters, role)))


def signed(action: str, parameters: Mapping[str, str], role: Role) -> dict[str, str]:
    """Return all parameters of a call of ECS, the signature among them."""
    everything = {
        "Action": action,
        "Format": "JSON",
        "Version": "2014-05-26",
        "AccessKeyId": role.key_id,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": str(uuid.uuid4()),
        "Timestamp": _now(),
        "SecurityToken": role.token,
        **parameters,
    }
    return everything | {"Signature": signature("POST", everything, role.key_secret)}


def signature(method: str, parameters: Mapping[str, str], secret: str) -> str:
    """Return the signature of a request's parameters."""
    text = "&".join((method, _quoted("/"), _quoted(_form(dict(sorted(parameters.items()))))))
    digest = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def _call(endpoint: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310  (https, or the endpoint a test gives)
        f"{endpoint}/", data=_form(parameters).encode(), method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        body = error.read().decode(errors="replace")[:500]
        raise RefusedError(f"{parameters['Action']}: HTTP {error.code}: {body}") from None


def _form(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{_quoted(key)}={_quoted(value)}" for key, value in parameters.items())


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")


def _now() -> str:
    # Python 3.10 has no datetime.UTC.
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
