"""Every policy holds for every kind of roster, and each of them catches what it is for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.policies import POLICIES
from tests.support.recorded import Recorded
from tests.support.small_fleet import deploy, plan_of
from tests.support.stacks import FULL, SMALL

Spoil = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sequence[Recorded]]:
    folder = tmp_path_factory.mktemp("stack")
    return {
        "small": deploy(plan_of(SMALL, folder)).resources,
        "full": deploy(plan_of(FULL, folder)).resources,
    }


@pytest.mark.parametrize("rule", POLICIES)
@pytest.mark.parametrize("name", ["small", "full"])
def test_a_policy_holds(rule: str, name: str, declared: dict[str, Sequence[Recorded]]) -> None:
    assert list(POLICIES[rule](declared[name])) == []


def _pod(inputs: dict[str, Any]) -> dict[str, Any]:
    return inputs["spec"]["template"]["spec"]


def _unlimited(inputs: dict[str, Any]) -> None:
    del _pod(inputs)["containers"][0]["resources"]["limits"]["memory"]


def _privileged(inputs: dict[str, Any]) -> None:
    _pod(inputs)["initContainers"][0]["securityContext"]["privileged"] = True


def _root(inputs: dict[str, Any]) -> None:
    _pod(inputs)["securityContext"]["runAsUser"] = 0


def _host(inputs: dict[str, Any]) -> None:
    _pod(inputs)["volumes"].append({"name": "host", "hostPath": {"path": "/"}})


def _rolling(inputs: dict[str, Any]) -> None:
    inputs["spec"]["strategy"] = {"type": "RollingUpdate"}


def _public(inputs: dict[str, Any]) -> None:
    inputs["spec"]["type"] = "LoadBalancer"


def _open(inputs: dict[str, Any]) -> None:
    inputs["spec"]["ingress"] = [{}]


def _baseline(inputs: dict[str, Any]) -> None:
    inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "baseline"


def _reads_secrets(inputs: dict[str, Any]) -> None:
    inputs["rules"][0]["resources"].append("secrets")


SPOILED: list[tuple[str, str, Spoil]] = [
    ("containers_are_limited", "alice-deployment", _unlimited),
    ("containers_have_no_privilege", "alice-deployment", _privileged),
    ("pods_run_as_nobody", "alice-deployment", _root),
    ("pods_run_as_nobody", "alice-deployment", _host),
    ("runtimes_never_meet_on_a_claim", "alice-deployment", _rolling),
    ("services_stay_inside", "alice-service", _public),
    ("pools_are_confined", "default-networkpolicy-default-deny", _open),
    ("pools_are_confined", "default-namespace", _baseline),
    ("roles_name_their_rights", "default-role-agent-control", _reads_secrets),
]


@pytest.mark.parametrize(("rule", "name", "spoil"), SPOILED)
def test_a_policy_catches(
    rule: str, name: str, spoil: Spoil, declared: dict[str, Sequence[Recorded]]
) -> None:
    resources = list(declared["small"])
    place = next(n for n, item in enumerate(resources) if item.name == name)
    inputs = copy.deepcopy(dict(resources[place].inputs))
    spoil(inputs)
    resources[place] = replace(resources[place], inputs=inputs)
    assert list(POLICIES[rule](resources))


def test_a_claim_that_would_go_is_caught(declared: dict[str, Sequence[Recorded]]) -> None:
    claim = next(item for item in declared["small"] if item.name == "alice-claim")
    loose = replace(claim, options=replace(claim.options, retain_on_delete=False))
    assert list(POLICIES["data_stays"]([loose]))


def test_a_password_in_clear_is_caught(declared: dict[str, Sequence[Recorded]]) -> None:
    secret = next(item for item in declared["small"] if item.name == "alice-secret")
    assert list(POLICIES["secrets_are_marked"]([replace(secret, secret_paths=frozenset())]))


def test_every_policy_has_a_spoiled_case() -> None:
    cases = {rule for rule, _, _ in SPOILED} | {"data_stays", "secrets_are_marked"}
    assert cases == set(POLICIES)


def test_paths_of_the_project_do_not_reach_the_state(
    declared: dict[str, Sequence[Recorded]],
) -> None:
    here = str(Path(__file__).parents[2])
    assert not [item.name for item in declared["full"] if here in str(item.inputs)]
