"""One signed call to Alibaba Cloud's RPC-style API, with the standard library only.

Used where no Pulumi resource exists: reading back what a command answered, and a timer function in
the cloud (Python 3.10 there, and nothing installed). Signing: HMAC-SHA1, signature version 1.0.
Leaves out: which calls are made (`cloud_assistant`, `power`).
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Credentials:
    """Who calls."""

    key_id: str
    key_secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class RefusedError(Exception):
    """The cloud refused a call; `code` is its own word for the reason."""

    def __init__(self, action: str, code: str, message: str) -> None:
        super().__init__(f"{action}: {code}: {message}")
        self.code = code


def ecs_endpoint(region: str) -> str:
    """Return where a region's ECS API answers."""
    return f"https://ecs.{region}.aliyuncs.com"


def signature(method: str, parameters: Mapping[str, str], secret: str) -> str:
    """Return the signature of a request's parameters."""
    text = "&".join((method, _quoted("/"), _quoted(_form(dict(sorted(parameters.items()))))))
    digest = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def call(
    endpoint: str, action: str, parameters: Mapping[str, str], credentials: Credentials
) -> dict[str, Any]:
    """Call `action` of ECS and return its answer.

    Raises RefusedError when the cloud refuses, OSError when it cannot be reached.
    """
    everything = {
        "Action": action,
        "Format": "JSON",
        "Version": "2014-05-26",
        "AccessKeyId": credentials.key_id,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": str(uuid.uuid4()),
        "Timestamp": _now(),
        **({"SecurityToken": credentials.token} if credentials.token else {}),
        **parameters,
    }
    everything["Signature"] = signature("POST", everything, credentials.key_secret)
    request = urllib.request.Request(  # noqa: S310  (https, or the endpoint a test gives)
        f"{endpoint}/", data=_form(everything).encode(), method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise _refused(action, error) from None


def _refused(action: str, error: urllib.error.HTTPError) -> RefusedError:
    body = error.read().decode(errors="replace")
    try:
        answer = json.loads(body)
        return RefusedError(action, str(answer["Code"]), str(answer["Message"]))
    except (ValueError, KeyError, TypeError):
        return RefusedError(action, f"HTTP {error.code}", body[:200])


def _form(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{_quoted(key)}={_quoted(value)}" for key, value in parameters.items())


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")


def _now() -> str:
    # Python 3.10 has no datetime.UTC.
    now = datetime.datetime.now(datetime.timezone.utc)  # noqa: UP017
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
