"""The models: their defaults, their one spelling of keys, and that nothing can change them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from fleet.stackfile import config
from fleet.stackfile import door as door_config
from fleet.stackfile import image as image_config
from fleet.stackfile import storage as storage_config
from fleet.stackfile.config import StackConfig
from fleet.stackfile.image import BASE_IMAGE, OPENCODE_VERSION
from tests.support.stacks import FULL, SECRETS, SMALL, environment_of, keys_of

MODELS = [
    item
    for module in (config, door_config, image_config, storage_config)
    for item in vars(module).values()
    if isinstance(item, type) and issubclass(item, BaseModel)
]


@pytest.fixture
def small(shared_folder: Path) -> StackConfig:
    """The configuration of a file with nothing but what is required."""
    return environment_of(SMALL, shared_folder).config


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("image.mode", "daemon"),
        ("image.opencode_version", OPENCODE_VERSION),
        ("image.base_image", BASE_IMAGE),
        ("image.push", False),
        ("access.route", "ingress"),
        ("access.controller.namespace", "ingress-nginx"),
        ("access.port", None),
        ("access.sign_in.mode", "password"),
        ("access.sign_in.sessions.idle", "12h"),
        ("access.sign_in.sessions.absolute", "7d"),
        ("access.trusted_proxies", ()),
        ("access.challenge", None),
        ("door.replicas", None),
        ("door.reference", None),
        ("idle.suspend_after", None),
        ("agent_control.tokens", ()),
        ("users[0].login", None),
        ("users[0].admin", False),
        ("providers", {}),
        ("models", None),
        ("network.internet", True),
        ("network.proxy", None),
        ("storage.mode", "claim"),
        ("storage.shared", None),
        ("network.allow", ()),
        ("network.dns.namespace", "kube-system"),
        ("users[0].profile", "standard"),
        ("users[0].pool", "default"),
        ("users[0].state", "active"),
        ("users[0].scenes", ()),
        ("users[0].password_version", 1),
        ("purge", ()),
        ("stacks.per", "environment"),
    ],
)
def test_what_is_left_out_has_its_documented_default(
    path: str, value: object, small: StackConfig
) -> None:
    found: Any = small
    for part in keys_of(path):
        found = found[part] if isinstance(part, int) else getattr(found, part)
    assert found == value


def test_the_standard_profile_exists_without_being_written(small: StackConfig) -> None:
    profile = small.profile("standard")
    assert profile is not None
    assert profile.model_dump(include={"cpu", "memory", "storage", "ephemeral_storage"}) == {
        "cpu": {"request": "250m", "limit": "2"},
        "memory": {"request": "512Mi", "limit": "2Gi"},
        "storage": "10Gi",
        "ephemeralStorage": "4Gi",
    }
    assert small.profile("large") is None


def test_the_base_image_is_pinned_by_its_digest() -> None:
    assert "@sha256:" in BASE_IMAGE


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_is_frozen_and_closed(model: type[BaseModel]) -> None:
    assert model.model_config.get("frozen") is True
    assert model.model_config.get("extra") == "forbid"
    aliases = [field.alias or name for name, field in model.model_fields.items()]
    assert [alias for alias in aliases if "_" in alias] == []


def test_a_configuration_cannot_be_changed(small: StackConfig) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        small.users = ()  # pyright: ignore[reportAttributeAccessIssue] - the point


def test_a_configuration_survives_being_written_and_read(shared_folder: Path) -> None:
    full = environment_of(FULL, shared_folder, SECRETS).config
    assert StackConfig.model_validate(full.model_dump(mode="json")) == full
