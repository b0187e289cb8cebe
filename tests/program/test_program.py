"""The program as a whole: what it exports, what it refuses, what it takes from the environment."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pytest
import yaml

from fleet.errors import InputError
from fleet.stackfile.reading import STRUCTURED_KEYS
from tests.support.deployed import SEED
from tests.support.programs import ROOT, lay_project, run_program
from tests.support.stacks import MODEL, SMALL, Values, with_value, without

SCENED = with_value(SMALL, "users[0].scenes", ["coding"]) | {
    "scenes": {"coding": {"path": "scenes/coding"}}
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lay_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("FLEET_IMAGE", "FLEET_DOOR_IMAGE", "FLEET_BUILD_NETWORK", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def refusal(
    values: Values, secrets: dict[str, str] | None = None, seed: str | None = SEED
) -> list[str]:
    """Return the lines that the program ends with."""
    with pytest.raises(pulumi.RunError) as refused:
        run_program(values, secrets, seed=seed)
    return str(refused.value).splitlines()


def test_it_exports_what_operators_need() -> None:
    exports = run_program(SCENED).exports
    assert exports["urls"] == {
        "alice": "http://alice.fleet.localhost",
        "bob": "http://bob.fleet.localhost",
    }
    assert exports["usernames"] == {"alice": "alice", "bob": "bob"}
    assert set(exports["passwords"]) == {"alice", "bob"}
    assert exports["namespaces"] == {"default": "opencode-dev--default"}
    assert exports["imageRef"].startswith("opencode-fleet/runtime:src-")
    assert "persistentvolumeclaim/oc-alice -n opencode-dev--default" in exports["retained"]


def test_only_the_passwords_are_secret() -> None:
    assert run_program(SCENED).secret_exports == {"passwords"}


def test_a_preview_of_a_new_stack_passes_and_tells_the_urls() -> None:
    assert set(run_program(SCENED, preview=True).exports["urls"]) == {"alice", "bob"}


def test_runtimes_run_the_image_that_is_built() -> None:
    made = run_program(SCENED)
    pod = made.one("Deployment", "alice-deployment").inputs["spec"]["template"]["spec"]
    image = made.one("docker:index/image:Image", "runtime-source")
    assert {c["image"] for c in (*pod["initContainers"], *pod["containers"])} == {
        image.inputs["imageName"]
    }
    assert image.urn in made.one("Deployment", "alice-deployment").options.depends_on


def test_the_door_runs_the_image_that_is_built_beside_it() -> None:
    made = run_program(SCENED)
    door = made.one("Deployment", "door-deployment-door")
    image = made.one("docker:index/image:Image", "door-source")
    pod = door.inputs["spec"]["template"]["spec"]
    assert {item["image"] for item in pod["containers"]} == {image.inputs["imageName"]}
    assert image.urn in door.options.depends_on
    assert made.exports["url"] == "http://fleet.localhost"


def test_an_image_that_is_there_already_is_built_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_IMAGE", "opencode-fleet/runtime:dev")
    monkeypatch.setenv("FLEET_DOOR_IMAGE", "opencode-fleet/runtime-door:dev")
    made = run_program(SCENED)
    assert made.exports["imageRef"] == "opencode-fleet/runtime:dev"
    assert not [r for r in made.resources if r.package.startswith("docker")]


def test_a_wrong_reference_in_the_environment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_IMAGE", "no tag")
    assert refusal(SCENED)[0].startswith("FLEET_IMAGE: no tag: ")


def test_the_build_network_is_the_machines_business(monkeypatch: pytest.MonkeyPatch) -> None:
    def networks() -> list[object]:
        images = run_program(SCENED).of_type("docker:index/image:Image")
        return [image.inputs["build"].get("network") for image in images]

    assert networks() == [None, None]
    monkeypatch.setenv("FLEET_BUILD_NETWORK", "host")
    assert networks() == ["host", "host"]


def test_a_broken_roster_is_told_line_by_line_before_anything_is_declared() -> None:
    broken = with_value(SCENED, "users[0].id", "Alice!")
    broken = with_value(broken, "users[1].shoes", 3)
    lines = refusal(broken)
    assert [line.split(": ")[0] for line in lines] == ["users[0].id", "users[1].shoes"]


def test_rules_between_keys_are_told_too() -> None:
    lines = refusal(with_value(SCENED, "users[1].scenes", ["reserch"]))
    assert [line.split(": ")[:2] for line in lines] == [["users[1].scenes[0]", "reserch"]]


def test_a_missing_key_is_told() -> None:
    assert refusal(without(SCENED, "access"))[0].startswith("access: missing: ")


def test_a_secret_in_clear_is_told_beside_the_rest_and_never_repeated() -> None:
    values = {**with_value(SCENED, "users[0].id", "Alice!"), "modelApiKey": "sk-in-clear"}
    lines = refusal(values)
    assert [line.split(": ")[0] for line in lines] == ["modelApiKey", "users[0].id"]
    assert "sk-in-clear" not in "".join(lines)


def test_a_secret_inside_a_structured_key_is_told() -> None:
    values = without(SCENED, "users")
    lines = refusal(values, {"users": '[{"id": "alice"}]'})
    assert [line.split(": ")[0] for line in lines] == ["users"]
    assert "alice" not in lines[0]


def test_a_key_that_nobody_reads_is_told() -> None:
    lines = refusal({**SCENED, "usres": "[]"})
    assert lines[0].startswith("usres: ")
    assert "users" in lines[0]


def test_a_secret_that_nobody_names_is_told() -> None:
    assert refusal(SCENED, {"otherKey": "x"})[0].startswith("otherKey: ")


def test_a_named_secret_reaches_its_user() -> None:
    values = {**with_value(SCENED, "users[0].apiKeys", {"openai": "aliceApiKey"}), **MODEL}
    made = run_program(values, {"aliceApiKey": "key-a", "modelApiKey": "key-m"})
    for user in ("alice", "bob"):
        assert made.one("Secret", f"{user}-secret").is_secret("data.FLEET_KEY_OPENAI")
    everything = "".join(str(r.inputs) for r in made.resources)
    assert "key-a" not in everything
    assert "key-m" not in everything


def test_optional_keys_come_from_the_engine_as_empty_and_count_as_absent() -> None:
    empty: Values = {
        key: {} for key in ("image", "providers", "profiles", "pools", "storage", "network")
    }
    filled = run_program({**empty, "purge": [], **SCENED})
    assert filled.exports == run_program(SCENED).exports


def test_an_empty_roster_is_a_roster() -> None:
    made = run_program({**SMALL, "users": []})
    assert made.exports["urls"] == {}
    assert [item.name for item in made.of_type("Deployment")] == ["door-deployment-door"]


def test_an_image_that_is_there_needs_the_kubernetes_provider_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLEET_IMAGE", "opencode-fleet/runtime:dev")
    monkeypatch.setenv("FLEET_DOOR_IMAGE", "opencode-fleet/runtime-door:dev")
    made = run_program({**SCENED, "purge": ["carol"]})
    providers = {r.typ if r.is_provider else r.package for r in made.resources if r.custom}
    assert providers == {"pulumi:providers:kubernetes", "kubernetes"}


def test_without_a_seed_the_command_that_makes_one_is_told() -> None:
    assert refusal(SCENED, seed=None) == [
        "passwordSeed: missing: the passwords of all users are derived from this sealed key: "
        "make one: fleet seed -s ENV"
    ]


def test_a_seed_in_clear_is_told_and_never_repeated() -> None:
    (line,) = refusal({**SCENED, "passwordSeed": SEED}, seed=None)
    assert line.startswith("passwordSeed: [hidden]: a secret stands in the file in clear text: ")


def test_a_short_seed_fails_the_run_and_is_not_repeated() -> None:
    with pytest.raises(InputError) as refused:
        run_program(SCENED, seed="hunter2-hunter2")
    assert str(refused.value).startswith("passwordSeed: [hidden]: a seed has at least 32 ")
    assert "hunter2" not in str(refused.value)


def test_the_seed_is_handed_to_no_user() -> None:
    lines = refusal(with_value(SCENED, "users[0].secretEnv", {"A": "passwordSeed"}))
    assert lines == [
        "users[0].secretEnv.A: passwordSeed: the seed of all passwords is given to nobody: "
        "give this secret a key of its own"
    ]


def test_no_kubernetes_object_escapes_the_environment() -> None:
    made = run_program(SCENED)
    environment = made.one("FleetEnvironment").urn
    parents = {r.urn: r.parent for r in made.resources}
    for item in made.resources:
        if item.typ.startswith("kubernetes:"):
            above = item.parent
            while above in parents and above != environment:
                above = parents[above]
            assert above == environment, item.name


def test_every_key_is_described_and_only_the_needed_ones_are_demanded() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
    assert {key.removeprefix("opencode-fleet:") for key in declared} == set(STRUCTURED_KEYS)
    assert all(item["description"] for item in declared.values())
    demanded = {key for key, item in declared.items() if "default" not in item}
    assert demanded == {f"opencode-fleet:{key}" for key in ("cluster", "access", "users")}
