"""OpenCode's managed configuration: what no user can turn off."""

from __future__ import annotations

import json
from typing import Any

from fleet.plan.opencode import API_KEY_VARIABLE, managed_config
from fleet.stackfile.config import ModelEndpoint

ENDPOINT: dict[str, Any] = {
    "provider": "openai",
    "baseUrl": "https://api.openai.com/v1/",
    "name": "gpt-5",
    "smallName": "gpt-5-mini",
    "contextTokens": 100000,
    "outputTokens": 8000,
}


def config_of(**changes: Any) -> dict[str, Any]:
    """Return the managed configuration for an endpoint."""
    return json.loads(managed_config(ModelEndpoint.model_validate({**ENDPOINT, **changes})))


def test_nothing_is_shared_or_updated_whatever_the_endpoint() -> None:
    for config in (json.loads(managed_config(None)), config_of()):
        assert config["share"] == "disabled"
        assert config["autoupdate"] is False


def test_only_the_given_provider_is_enabled() -> None:
    config = config_of()
    assert config["enabled_providers"] == ["openai"]
    assert list(config["provider"]) == ["openai"]
    assert config["model"] == "openai/gpt-5"
    assert config["small_model"] == "openai/gpt-5-mini"
    provider = config["provider"]["openai"]
    assert provider["options"]["baseURL"] == "https://api.openai.com/v1"
    assert provider["models"] == {
        name: {"name": name, "limit": {"context": 100000, "output": 8000}}
        for name in ("gpt-5", "gpt-5-mini")
    }


def test_the_key_is_named_and_never_written() -> None:
    options = config_of()["provider"]["openai"]["options"]
    assert options["apiKey"] == f"{{env:{API_KEY_VARIABLE}}}"


def test_one_model_serves_both_purposes() -> None:
    config = config_of(smallName=None)
    assert config["small_model"] == "openai/gpt-5"
    assert list(config["provider"]["openai"]["models"]) == ["gpt-5"]


def test_without_an_endpoint_no_provider_is_set() -> None:
    config = json.loads(managed_config(None))
    assert not {"provider", "model", "enabled_providers"} & set(config)


def test_the_text_is_the_same_every_time() -> None:
    endpoint = ModelEndpoint.model_validate(ENDPOINT)
    assert managed_config(endpoint) == managed_config(endpoint)
