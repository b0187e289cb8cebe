"""`fleet render`: which files, what never stands in them, what they never overwrite."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.cluster.live import key_of
from fleet.manifests.render import MARK
from tests.support.fakes.project import PASSPHRASE, Project, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return new_project(tmp_path, monkeypatch)


def render(project: Project, out: str = "out") -> dict[str, str]:
    done = project.fleet("render", "-s", "t", "-o", out)
    assert done.code == 0, done.err
    return {path.name: path.read_text() for path in sorted((project.folder / out).iterdir())}


def objects(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


def test_there_is_a_file_an_owner_and_a_kustomization_of_all(project: Project) -> None:
    files = render(project)
    owners = [f"opencode-t--default{end}.yaml" for end in ("", "-oc-alice", "-oc-bob")]
    assert set(files) == {*owners, "kustomization.yaml"}
    (kustomization,) = objects(files["kustomization.yaml"])
    assert kustomization["resources"] == owners
    assert all(text.startswith(MARK) for text in files.values())


def test_it_writes_the_objects_that_apply_makes(project: Project) -> None:
    files = render(project)
    written = {
        str(key_of(item))
        for name, text in files.items()
        if name != "kustomization.yaml"
        for item in objects(text)
    }
    assert written == set(project.apply("--json").json["applied"])


def test_it_writes_the_same_bytes_again(project: Project) -> None:
    assert render(project, "one") == render(project, "two") == render(project, "one")


def test_no_secret_value_stands_in_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    key = "made-up-model-key-of-nobody"
    assert project.fleet("secret", "modelApiKey", "-s", "t", given=key).code == 0
    files = render(project)
    assert not any(key in text for text in files.values())
    (secret,) = [
        i for i in objects(files["opencode-t--default-oc-alice.yaml"]) if i["kind"] == "Secret"
    ]
    assert "data" not in secret
    assert "stringData" not in secret


def test_files_of_former_users_go(project: Project) -> None:
    render(project)
    project.users("alice")
    assert "opencode-t--default-oc-bob.yaml" not in render(project)


@pytest.mark.parametrize("name", ["notes.txt", "kustomization.yaml", "folder"])
def test_a_folder_of_somebody_else_is_refused_untouched(project: Project, name: str) -> None:
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


def test_a_file_in_the_place_of_the_folder_is_told(project: Project) -> None:
    (project.folder / "out").write_text("mine")
    done = project.fleet("render", "-s", "t", "-o", "out")
    assert done.code in {1, 2}
    assert len(done.err.splitlines()) == 1
    assert (project.folder / "out").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_told(project: Project) -> None:
    done = project.fleet("render", "-s", "t", "-o", "/proc/nothing/out")
    assert done.code == 1
    assert done.err.startswith("/proc/nothing")
    assert len(done.err.splitlines()) == 1


def test_a_full_disk_is_told_and_the_next_run_writes_all(
    project: Project, monkeypatch: pytest.MonkeyPatch
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


def test_another_kind_of_cluster_is_refused(project: Project) -> None:
    done = project.fleet("render", "-s", "t", "-o", "out", "--image", "a:1")
    assert done.code == 0
    assert "image: a:1" in (project.folder / "out/opencode-t--default-oc-bob.yaml").read_text()
