"""OpenCode's managed configuration: what a stack file's providers become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from fleet.plan.environment import make_plan
from fleet.plan.opencode import PACKAGES, key_variable
from fleet.stackfile.opencode_schema import config_schema
from fleet.stackfile.providers import ProviderKind
from tests.support.stacks import FULL, MODEL, SECRETS, SMALL, Values, environment_of, with_value

SECOND: Values = {"kind": "anthropic", "apiKey": "aliceApiKey", "models": {"claude[1m]": {}}}
TWO: Values = {**SMALL, **with_value(MODEL, "providers.anthropic", SECOND)}


def configs(values: Values, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the managed configuration of each user."""
    plan = make_plan(environment_of(values, folder, SECRETS & set(_named(values))))
    return {
        user.id: json.loads(dict(user.runtime.managed_config.files)["opencode.json"])
        for user in plan.users
    }


def _named(values: Values) -> list[str]:
    return [name for name in SECRETS if f"'{name}'" in repr(values)]


def config_of(values: Values, folder: Path) -> dict[str, Any]:
    """Return the managed configuration of alice."""
    return configs(values, folder)["alice"]


@pytest.mark.parametrize("values", [SMALL, TWO, {**SMALL, **MODEL}], ids=["none", "two", "one"])
def test_it_is_what_opencodes_own_schema_takes(values: Values, tmp_path: Path) -> None:
    config = config_of(values, tmp_path)
    validator: Any = Draft202012Validator(config_schema())
    assert list(validator.iter_errors(config)) == []
    assert config["share"] == "disabled"
    assert config["autoupdate"] is False


def test_every_key_of_a_provider_arrives(shared_folder: Path) -> None:
    config = config_of(FULL, shared_folder)
    assert config["enabled_providers"] == ["openai"]
    assert config["model"] == "openai/gpt-5"
    assert config["small_model"] == "openai/gpt-5-mini"
    assert config["instructions"] == ["/mnt/rules.md"]
    assert config["provider"] == {
        "openai": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "Company",
            "options": {
                "timeout": 600000,
                "baseURL": "https://api.openai.com/v1",
                "apiKey": "{env:FLEET_KEY_OPENAI}",
                "headers": {"X-Team": "fleet"},
            },
            "whitelist": ["gpt-5", "gpt-5-mini"],
            "models": {
                "gpt-5": {
                    "name": "GPT 5",
                    "limit": {"context": 100000, "output": 8000},
                    "modalities": {"input": ["text", "image"], "output": ["text"]},
                    "attachment": True,
                    "reasoning": True,
                },
                "gpt-5-mini": {
                    "name": "gpt-5-mini",
                    "limit": {"context": 200000, "output": 32000},
                },
            },
        }
    }


def test_without_a_provider_nobody_is_asked(tmp_path: Path) -> None:
    config = config_of(SMALL, tmp_path)
    # Without the empty list OpenCode would offer its vendor's own models.
    assert config["enabled_providers"] == []
    assert not {"provider", "model"} & set(config)


def test_one_model_serves_both_purposes(tmp_path: Path) -> None:
    assert config_of({**SMALL, **MODEL}, tmp_path)["small_model"] == "openai/gpt-5"


def test_keys_are_named_and_never_written(tmp_path: Path) -> None:
    config = config_of(TWO, tmp_path)
    for provider in ("openai", "anthropic"):
        given = config["provider"][provider]["options"]["apiKey"]
        assert given == f"{{env:{key_variable(provider)}}}"
    keyless = with_value(TWO, "providers.openai", {**MODEL["providers"]["openai"], "apiKey": None})
    assert "apiKey" not in config_of(keyless, tmp_path)["provider"]["openai"]["options"]


@pytest.mark.parametrize("name", ["gpt-5.2(high)", "claude[1m]", "a@20250514", "org/model:free"])
def test_a_models_id_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    values = with_value({**SMALL, **MODEL}, "providers.openai.models", {name: {}})
    values = with_value(values, "models.default", f"openai/{name}")
    config = config_of(values, tmp_path)
    assert config["model"] == f"openai/{name}"
    assert config["provider"]["openai"]["whitelist"] == [name]


def test_a_profile_and_a_user_have_what_they_are_allowed(tmp_path: Path) -> None:
    values = with_value(TWO, "users", [{"id": "alice"}, {"id": "bob", "profile": "small"}])
    values = with_value(values, "profiles.small.models", {"allowed": ["openai"]})
    of_alice = {"default": "anthropic/claude[1m]", "allowed": ["anthropic/claude[1m]"]}
    of_alice["small"] = "anthropic/claude[1m]"
    found = configs(with_value(values, "users[0].models", of_alice), tmp_path)
    assert found["alice"]["enabled_providers"] == ["anthropic"]
    assert found["alice"]["model"] == "anthropic/claude[1m]"
    assert found["bob"]["enabled_providers"] == ["openai"]
    assert found["bob"]["model"] == "openai/gpt-5"


def test_settings_of_the_stack_file_lie_under_the_products_own(tmp_path: Path) -> None:
    given = {
        "mcp": {"docs": {"type": "remote", "url": "https://mcp.example.com"}},
        "permission": {"bash": "ask"},
    }
    config = config_of({**SMALL, "managedConfig": given}, tmp_path)
    assert config["mcp"] == given["mcp"]
    assert config["permission"] == {
        "external_directory": "allow",
        "doom_loop": "deny",
        "read": "allow",
        "bash": "ask",
    }


def test_every_kind_has_the_package_that_opencode_holds() -> None:
    assert set(PACKAGES) == set(ProviderKind)
    assert len(set(PACKAGES.values())) == len(PACKAGES)


def test_the_text_is_the_same_every_time(tmp_path: Path) -> None:
    first, second = (make_plan(environment_of(SMALL, tmp_path)) for _ in range(2))
    assert first.users[0].runtime == second.users[0].runtime
