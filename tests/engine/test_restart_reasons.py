"""Why a pod restarts: every difference of two templates has a reason in the stack file's words."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest

from fleet.engine.restarts import changed_topics, reason, topics_of
from tests.support.engine_events import recorded_inputs

Template = dict[str, Any]


def template() -> Template:
    return recorded_inputs("image", "alice-deployment")["spec"]["template"]


def reasons(edit: Callable[[Template], object]) -> list[str]:
    old, new = template(), copy.deepcopy(template())
    edit(new)
    before, after = topics_of(old), topics_of(new)
    return [reason(topic, before, after) for topic in changed_topics(before, after)]


def main(item: Template) -> Any:
    return item["spec"]["containers"][0]


def lay(item: Template) -> Any:
    return item["spec"]["initContainers"][0]


def annotate(key: str) -> Callable[[Template], object]:
    return lambda item: item["metadata"]["annotations"].update({key: "other"})


EDITS: list[tuple[Callable[[Template], object], list[str]]] = [
    (lambda item: item.copy(), []),
    (annotate("opencode-fleet/password-version"), ["password"]),
    (annotate("opencode-fleet/password-fingerprint"), ["password"]),
    (annotate("opencode-fleet/api-key-fingerprint"), ["API key"]),
    (annotate("team/note"), ["annotation team/note"]),
    (lambda item: item["metadata"]["labels"].update(a="b"), ["labels"]),
    (lambda item: main(item)["env"].append({"name": "X", "value": "1"}), ["env X added"]),
    (
        lambda item: main(item)["env"][0].update(value="y"),
        ["env OPENCODE_SERVER_USERNAME changed"],
    ),
    (
        lambda item: main(item)["env"].append(
            {"name": "FLEET_MODEL_API_KEY", "valueFrom": {"secretKeyRef": {"key": "apiKey"}}}
        ),
        ["API key"],
    ),
    (
        lambda item: main(item)["volumeMounts"].append({"name": "x", "mountPath": "/x"}),
        ["mount /x added"],
    ),
    (
        lambda item: item["spec"]["volumes"].append({"name": "x", "emptyDir": {}}),
        ["volume x added"],
    ),
    (
        lambda item: main(item)["volumeMounts"].append(
            {"name": "shared", "mountPath": "/app/papers/AGENTS.md", "subPath": "p/AGENTS.md"}
        ),
        ["scene papers added"],
    ),
    (
        lambda item: item["spec"].update(imagePullSecrets=[{"name": "login"}]),
        ["pull secret"],
    ),
    (lambda item: item["spec"].update(hostNetwork=True), ["pod's hostNetwork"]),
    (lambda item: main(item).update(tty=True), ["container's tty"]),
    (lambda item: lay(item).update(command=["x"]), ["init container lay-skeleton changed"]),
    (
        lambda item: lay(item).update(image="y"),
        ["image runtime:t2 → opencode-fleet/runtime:t2, y"],
    ),
    (
        lambda item: item["spec"]["containers"].append({"name": "side"}),
        ["container side added"],
    ),
    (
        lambda item: main(item)["resources"]["limits"].update(memory="4Gi"),
        ["memory limit 2Gi → 4Gi, 2Gi"],
    ),
    (lambda item: main(item)["env"].reverse(), ["order of its scenes and settings"]),
]


@pytest.mark.parametrize(("edit", "told"), EDITS)
def test_a_difference_is_told(edit: Callable[[Template], object], told: list[str]) -> None:
    assert reasons(edit) == told


def test_a_quantity_written_otherwise_restarts_nobody() -> None:
    def edit(item: Template) -> None:
        for container in (main(item), lay(item)):
            container["resources"]["limits"]["cpu"] = "2000m"

    assert reasons(edit) == []


def test_a_quantity_that_is_not_known_yet_is_told() -> None:
    def edit(item: Template) -> None:
        for container in (main(item), lay(item)):
            container["resources"]["limits"]["cpu"] = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

    assert reasons(edit) == ["cpu limit 2 → 04da6b54-80e4-46f7-96ec-b56ff0331ba9"]


def test_every_part_of_a_template_has_a_reason() -> None:
    """Whatever leaf differs, some topic differs: no restart goes without a reason."""
    whole = template()
    seen = 0
    for path in leaves(whole):
        changed = copy.deepcopy(whole)
        target: Any = changed
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = "other"
        seen += 1
        assert changed_topics(topics_of(whole), topics_of(changed)), path
    assert seen > 60


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(cast("dict[str, Any]", value).items())
    elif isinstance(value, list):
        items = list(enumerate(cast("list[Any]", value)))
    if not items:
        return [path]
    return [leaf for key, item in items for leaf in leaves(item, (*path, key))]
