"""Calls of the ECS API from the operator's machine, through the vendor's SDK.

Leaves out: which calls are made (`cloud_assistant`), who calls (`credentials`), and the function
in the cloud, where no SDK is installed (`function.power`).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast
from urllib.parse import urlsplit

_VERSION = "2014-05-26"
_MILLISECONDS = 30_000


class RefusedError(Exception):
    """The cloud refused a call; `code` is its own word for the reason."""

    def __init__(self, action: str, code: str, message: str) -> None:
        super().__init__(f"{action}: {code}: {message}")
        self.code = code


def ecs_endpoint(region: str) -> str:
    """Return where a region's ECS API answers."""
    return f"https://ecs.{region}.aliyuncs.com"


class Ecs:
    """The ECS API of one region."""

    def __init__(self, endpoint: str, region: str, credentials: object) -> None:
        where = urlsplit(endpoint)
        config = _sdk("alibabacloud_tea_openapi.utils_models").Config(
            credential=credentials,
            region_id=region,
            endpoint=where.netloc,
            protocol=where.scheme,
            connect_timeout=_MILLISECONDS,
            read_timeout=_MILLISECONDS,
        )
        self._client = _sdk("alibabacloud_tea_openapi.client").Client(config)

    def call(self, action: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Call `action` and return its answer.

        Raises RefusedError when the cloud refuses, OSError when it or the credentials cannot be
        reached.
        """
        models = _sdk("alibabacloud_tea_openapi.utils_models")
        how = models.Params(
            action=action,
            version=_VERSION,
            method="POST",
            pathname="/",
            style="RPC",
            auth_type="AK",
            body_type="json",
            # A script is longer than an address may be.
            req_body_type="formData",
        )
        request = models.OpenApiRequest(body=dict(parameters))
        options = _sdk("darabonba.runtime").RuntimeOptions()
        try:
            return self._client.call_api(how, request, options)["body"]
        except _sdk("alibabacloud_tea_openapi.exceptions").AlibabaCloudException as error:
            raise _refused(action, error) from None
        except _sdk("darabonba.exceptions").UnretryableException as error:
            # The SDK's wrapper of everything else: no connection, no JSON, no credentials.
            inner: Any = error.inner_exception
            told = str(getattr(inner, "message", "") or inner)
            raise OSError(f"{action}: {_one_line(told)}") from None


def _sdk(module: str) -> Any:
    # Untyped, a second and 20 MB: only for a program that calls the cloud.
    return import_module(module)


def _refused(action: str, error: Any) -> RefusedError:
    answer = cast("Mapping[str, Any]", error.data or {})
    message = str(answer.get("Message") or error.message)
    return RefusedError(action, str(error.code), _one_line(message))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
