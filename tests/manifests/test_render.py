"""`fleet render`: which files, what never stands in them, what they never overwrite."""

from __future__ import annotations

import base64
import errno
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.manifests.render import MARK
from fleet.manifests.user import secret_text
from fleet.plan.passwords import derive_password, identity_of
from tests.support.deployed import SEED
from tests.support.fakes.project import PASSPHRASE, StackFolder, new_project
from tests.support.stacks import MODEL

KEY = "made-up-model-key-of-nobody"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackFolder:
    return new_project(tmp_path, monkeypatch)


def render(project: StackFolder, out: str = "out") -> dict[str, str]:
    done = project.fleet("render", "-s", "t", "-o", out)
    assert done.code == 0, done.err
    return {path.name: path.read_text() for path in sorted((project.folder / out).iterdir())}


def objects(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


def test_there_is_a_file_an_owner_and_a_kustomization_of_all(project: StackFolder) -> None:
    files = render(project)
    pool = [f"opencode-t--default{end}.yaml" for end in ("", "-oc-alice", "-oc-bob")]
    owners = ["opencode-t.yaml", *pool]
    assert set(files) == {*owners, "kustomization.yaml"}
    (kustomization,) = objects(files["kustomization.yaml"])
    assert kustomization == {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": owners,
    }
    assert all(text.startswith(MARK) for text in files.values())


def test_it_writes_the_same_bytes_again(project: StackFolder) -> None:
    assert render(project, "one") == render(project, "two") == render(project, "one")


def test_no_secret_value_stands_in_it(
    project: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal_everything(project, monkeypatch)
    files = render(project)
    password = derive_password(SEED, "t", "alice", 1)
    for word in (KEY, SEED, password, *(secret_text(text) for text in (KEY, SEED, password))):
        assert not any(word in text for text in files.values())
    (secret,) = [
        i for i in objects(files["opencode-t--default-oc-alice.yaml"]) if i["kind"] == "Secret"
    ]
    assert "data" not in secret
    assert "stringData" not in secret


def seal_everything(project: StackFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seal a seed and a model API key into the stack file."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    project.write(**MODEL)
    for key, text in (("passwordSeed", SEED), ("modelApiKey", KEY)):
        assert project.fleet("secret", key, "-s", "t", given=text).code == 0


def secrets_of(text: str) -> list[dict[str, Any]]:
    return [item for item in objects(text) if item["kind"] == "Secret"]


def test_secrets_are_written_when_asked_for_and_for_their_owner_alone(
    project: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal_everything(project, monkeypatch)
    plain = render(project)
    done = project.fleet("render", "-s", "t", "-o", "out", "--with-secrets")
    assert "hold data: keep them to yourself" in done.out
    path = project.folder / "out/opencode-t--default-oc-alice.yaml"
    (secret,) = secrets_of(path.read_text())
    texts = {key: base64.b64decode(text).decode() for key, text in secret["data"].items()}
    assert texts == {"password": derive_password(SEED, "t", "alice", 1), "FLEET_KEY_OPENAI": KEY}
    assert path.stat().st_mode & 0o777 == 0o600
    assert SEED not in path.read_text()
    assert render(project) == plain
    assert path.stat().st_mode & 0o077


def test_pods_and_namespaces_are_the_same_with_and_without_secrets(
    project: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal_everything(project, monkeypatch)
    texts = [
        project.fleet("render", "-s", "t", "-o", "-", *flags).out
        for flags in ([], ["--with-secrets"])
    ]
    plain, full = ([item for item in objects(text) if item["kind"] != "Secret"] for text in texts)
    assert plain == full
    namespaces = [item for item in plain if item["kind"] == "Namespace"]
    assert [item["metadata"]["name"] for item in namespaces] == [
        "opencode-t",
        "opencode-t--default",
    ]
    for namespace in namespaces:
        assert namespace["metadata"]["annotations"]["opencode-fleet/identity"] == identity_of(SEED)


def test_a_dash_prints_everything_as_one_text(
    project: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal_everything(project, monkeypatch)
    done = project.fleet("render", "-s", "t", "-o", "-", "--with-secrets")
    assert done.code == 0, done.err
    in_files = render(project)
    names = [item["metadata"]["name"] for item in objects(done.out)]
    assert len(names) == sum(
        len(objects(text)) for name, text in in_files.items() if name != "kustomization.yaml"
    )
    assert not (project.folder / "-").exists()


def test_without_a_seed_no_secrets_can_be_written(project: StackFolder) -> None:
    done = project.fleet("render", "-s", "t", "-o", "out", "--with-secrets")
    assert done.code == 2
    assert done.err.startswith("passwordSeed: missing: ")
    assert not (project.folder / "out").exists()


def test_files_of_former_users_go(project: StackFolder) -> None:
    render(project)
    project.users("alice")
    assert "opencode-t--default-oc-bob.yaml" not in render(project)


@pytest.mark.parametrize("name", ["notes.txt", "kustomization.yaml", "folder"])
def test_a_folder_of_somebody_else_is_refused_untouched(project: StackFolder, name: str) -> None:
    out = project.folder / "out"
    out.mkdir()
    if name == "folder":
        (out / name).mkdir()
    else:
        (out / name).write_text("mine\n")
    done = project.fleet("render", "-s", "t", "-o", "out")
    assert done.code == 2
    assert f"-o: out: it holds {name}, which fleet render did not write" in done.err
    assert [path.name for path in out.iterdir()] == [name]


def test_a_file_of_somebody_else_that_is_no_text_is_refused_untouched(project: StackFolder) -> None:
    out = project.folder / "out"
    out.mkdir()
    (out / "image.png").write_bytes(b"\x89PNG\xff")
    done = project.fleet("render", "-s", "t", "-o", "out")
    assert done.code == 2
    assert "it holds image.png, which fleet render did not write" in done.err


def test_a_full_disk_is_told_with_the_file_that_did_not_fit(
    project: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    done = project.fleet("render", "-s", "t", "-o", "out")
    assert done.code == 1
    assert done.err.startswith("out/opencode-t.yaml: No space left on device")


def test_a_file_in_the_place_of_the_folder_is_told(project: StackFolder) -> None:
    (project.folder / "out").write_text("mine")
    done = project.fleet("render", "-s", "t", "-o", "out")
    assert done.code in {1, 2}
    assert len(done.err.splitlines()) == 1
    assert (project.folder / "out").read_text() == "mine"


def test_a_folder_in_a_folder_that_is_not_there_is_made(project: StackFolder) -> None:
    assert "kustomization.yaml" in render(project, "build/manifests")


def test_a_folder_that_cannot_be_made_is_told(project: StackFolder) -> None:
    done = project.fleet("render", "-s", "t", "-o", "/proc/nothing/out")
    assert done.code == 1
    assert done.err.startswith("/proc/nothing")
    assert len(done.err.splitlines()) == 1


def test_a_full_disk_is_told_and_the_next_run_writes_all(
    project: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def full(self: Path, data: str, **options: Any) -> int:
        if "name: oc-bob" in data:
            write(self, "", **options)
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return write(self, data, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        done = project.fleet("render", "-s", "t", "-o", "out")
    assert done.code == 1
    assert "No space left on device: what was done so far stays" in done.err
    assert objects(render(project)["opencode-t--default-oc-bob.yaml"])


def test_another_image_is_rendered_where_one_is_given(project: StackFolder) -> None:
    done = project.fleet("render", "-s", "t", "-o", "out", "--image", "a:1")
    assert done.code == 0
    assert "image: a:1" in (project.folder / "out/opencode-t--default-oc-bob.yaml").read_text()


def test_a_certificate_that_only_an_update_makes_is_told(project: StackFolder) -> None:
    project.write(access={"domain": "fleet.localhost", "tls": "selfSigned"})
    done = project.fleet("render", "-s", "t", "-o", "out")
    assert done.code == 2
    assert done.err.startswith("access.tls: selfSigned: the certificate is made by an update")
    assert done.err.endswith("use tls: secret or certManager, or deploy with `fleet up`\n")
    assert not (project.folder / "out").exists()
