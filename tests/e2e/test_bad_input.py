"""Bad input: whatever stands in a stack file, it is refused in words before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.cli import app
from tests.e2e.harness.stack_corpus import WHOLE, Broken, changed, generated, unwritten, walk

pytestmark = pytest.mark.e2e
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
GENERATED = list(generated())
Validate = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Validate:
    """Run `fleet validate` on a stack and return its exit code and what it said."""
    folder = tmp_path / "real"
    folder.mkdir()

    def run(content: dict[str, Any] | str | bytes, name: str = "Pulumi.test.yaml") -> Any:
        file = folder / name
        if isinstance(content, dict):
            keys = {f"opencode-fleet:{key}": value for key, value in content.items()}
            content = yaml.safe_dump({"config": keys}, sort_keys=False)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(SystemExit) as ended:
            app(["validate", "-s", str(file)])
        code = ended.value.code
        return code or 0, capsys.readouterr().err.splitlines()

    make_scene(folder)
    return run


def make_scene(folder: Path) -> Path:
    """Make a small scene that is right."""
    scene = folder / "scenes" / "coding"
    (scene / ".opencode" / "agents").mkdir(parents=True)
    (scene / "AGENTS.md").write_text("# Coding\n", encoding="utf-8")
    (scene / ".opencode" / "opencode.json").write_text("{}", encoding="utf-8")
    return scene


def test_the_file_that_all_others_are_made_from_is_right(validate: Validate) -> None:
    """Lost otherwise: every case below could fail for another reason than its own."""
    assert validate(WHOLE) == (0, [])
    assert not unwritten(), "the corpus must know every key"
    assert len(GENERATED) + len(RULES) + len(FILES) > 200


@pytest.mark.parametrize("case", GENERATED, ids=[case.name for case in GENERATED])
def test_a_wrong_type_an_unknown_key_or_a_missing_one_is_named(
    validate: Validate, case: Broken
) -> None:
    """Lost otherwise: an operator hunts for the line that is meant, or it is ignored."""
    code, lines = validate(case.config)
    assert code == 2
    assert any(line.startswith(case.expected) for line in lines), lines


RULES: list[tuple[tuple[str | int, ...], object, str]] = [
    (("users", 1, "id"), "Alice!", "users[1].id: Alice!: a user id has 1 to 128 of"),
    (("users", 1, "id"), "a" * 129, "users[1].id: aaaa"),
    (("users", 1, "id"), "admin", "users[1].id: admin: this id is reserved"),
    (("users", 1, "id"), "alice", "users[1].id: alice: this id is taken by users[0]"),
    (("users", 1, "id"), "\u0430lice", "users[1].id: \u0430lice: a user id"),
    (("users", 0, "scenes", 0), "codin", "users[0].scenes[0]: codin: no such scene: did you"),
    (("users", 0, "scenes", 1), "coding", "users[0].scenes[1]: coding: this scene is listed"),
    (("users", 0, "profile"), "larg", "users[0].profile: larg: no such profile: did you mean"),
    (("users", 0, "pool"), "tame", "users[0].pool: tame: no such pool: did you mean team?"),
    (("users", 0, "state"), "asleep", "users[0].state: asleep: it is one of"),
    (("users", 0, "passwordVersion"), 0, "users[0].passwordVersion: 0: it is at least 1"),
    (("users", 0, "passwordVersion"), 1.5, "users[0].passwordVersion: 1.5: a whole number"),
    (("users", 0, "displayName"), " ", 'users[0].displayName: " ": this text is not empty'),
    (("users", 0, "displayName"), "a\nb", "users[0].displayName: a\\nb: this text is one line"),
    (("users", 0, "apiKey"), "otherKey", "users[0].apiKey: otherKey: no secret of this name"),
    (("purge", 0), "alice", "purge[0]: alice: "),
    (("purge",), ["carol", "carol"], "purge[1]: carol: this id is listed twice"),
    (("cluster", "kind"), "vms", "cluster.kind: "),
    (("access", "domain"), "https://x.com", "access.domain: https://x.com: a domain is a DNS"),
    (("access", "tls"), "none", "access.tls: none: passwords would cross the network in clear"),
    (("access", "tls"), "secret", "access.tlsSecretName: missing: tls: secret needs it"),
    (("access", "clusterIssuer"), ..., "access.clusterIssuer: missing: tls: certManager needs"),
    (("access", "gateway"), ..., "access.gateway: missing: route: httpRoute needs it"),
    (("access", "route"), "ingress", "access.gateway: public: it only counts with"),
    (("access", "className"), "nginx", "access.className: nginx: it only counts with"),
    (("access", "port"), 0, "access.port: 0: it is at least 1"),
    (("access", "port"), 70000, "access.port: 70000: it is at most 65535"),
    (("model", "baseUrl"), "ftp://x", "model.baseUrl: ftp://x: a base URL is"),
    (("model", "contextTokens"), 1, "model.contextTokens: 1: it is at least 1024"),
    (("model", "provider"), "Open AI", "model.provider: Open AI: it must match"),
    (("profiles", "large", "cpu", "request"), "5", "profiles.large.cpu.request: 5: a request is"),
    (("profiles", "large", "cpu", "limit"), "100m", "profiles.large.cpu.limit: 100m: OpenCode"),
    (("profiles", "large", "cpu", "limit"), "two", "profiles.large.cpu.limit: two: a CPU"),
    (("profiles", "large", "memory", "limit"), "256Mi", "profiles.large.memory.limit: 256Mi: "),
    (("profiles", "large", "storage"), "1MB", "profiles.large.storage: 1MB: a memory or storage"),
    (("profiles", "large", "storage"), "-1Gi", "profiles.large.storage: -1Gi: a memory or"),
    (("profiles", "Large"), {}, "profiles.Large"),
    (("scenes", "tmp"), {"path": "scenes/coding"}, "scenes.tmp"),
    (("scenes", "coding", "path"), "../other", "scenes.coding.path: ../other: a path names"),
    (("scenes", "coding", "path"), "/etc", "scenes.coding.path: /etc: a path names"),
    (
        ("scenes", "coding", "path"),
        "scenes/none",
        "scenes.coding.path: scenes/none: the scene folder",
    ),
    (("scenes", "coding", "nasPath"), "x", "scenes.coding: both: a scene comes from exactly"),
    (("scenes", "nas"), {}, "scenes.nas: neither: a scene comes from exactly one"),
    (("pools", "team", "quota", "cpu"), "100m", "pools.team.quota.cpu: 100m: "),
    (("pools", "team", "quota", "memory"), "1Mi", "pools.team.quota.memory: 1Mi: "),
    (("storage", "shared"), ..., "storage.mode: shared: mode shared keeps every /app"),
    (("storage", "mode"), "nfs", "storage.mode: nfs: it is one of"),
    (("network", "allow", 0, "cidr"), "8.8.8.8/32", "network.allow[0].cidr: 8.8.8.8/32: public"),
    (("network", "allow", 0, "cidr"), "10.0.0.0/8", "network.allow[0].cidr: 10.0.0.0/8: private"),
    (("network", "allow", 0, "cidr"), "10.1.2.3/24", "network.allow[0].cidr: 10.1.2.3/24: a net"),
    (("network", "deny", 0), "10.1.0.0/16", "network.deny[0]: 10.1.0.0/16: it overlaps"),
    (("network", "deny", 0), "0.0.0.0/0", "network.deny[0]: 0.0.0.0/0: "),
    (("image", "opencodeVersion"), "2.0.1", "image.opencodeVersion: 2.0.1: OpenCode is pinned"),
    (("image", "repository"), "Team/X", "image.repository: Team/X: a repository is lower case"),
    (("image", "push"), False, "image."),
    (("image", "mode"), "local", "image."),
    (("image", "mode"), "daemon", "image."),
    (("image", "timeoutMinutes"), 0, "image.timeoutMinutes: 0: it is at least 1"),
    (("image", "retries"), 9, "image.retries: 9: it is at most 5"),
    (("modelApiKey",), "sk-123456789", "modelApiKey: [hidden]: a secret stands in the file"),
]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    RULES,
    ids=[f"{n}-{rule[2][:40]}" for n, rule in enumerate(RULES)],
)
def test_a_broken_rule_is_told_with_key_value_rule_and_change(
    validate: Validate, path: tuple[str | int, ...], value: object, expected: str
) -> None:
    """Lost otherwise: a contradiction is found by Kubernetes, half-way, in its own words."""
    code, lines = validate(changed(path, value))
    assert code == 2
    assert any(line.startswith(expected) for line in lines), lines
    assert "sk-123456789" not in "\n".join(lines)


FILES: list[tuple[str, str | bytes, str]] = [
    ("Pulumi.test.yaml", "config: [", "stack file: Pulumi.test.yaml: not valid YAML"),
    ("Pulumi.test.yaml", b"\xff\xfe\x00", "stack file: Pulumi.test.yaml: not UTF-8 text"),
    ("Pulumi.test.yaml", "", "stack file: Pulumi.test.yaml: not a stack file"),
    ("Pulumi.test.yaml", "- 1", "stack file: Pulumi.test.yaml: not a stack file"),
    ("Pulumi.test.yaml", "config: {other:x: 1}", "stack file: config: it holds no opencode-fleet:"),
    ("Pulumi.test.yaml", "a: 1\na: 2", "stack file: Pulumi.test.yaml: not valid YAML (line 2"),
    ("Pulumi.test.yaml", "a: &x 1\nb: *x", "stack file: Pulumi.test.yaml: YAML aliases"),
    ("Pulumi.test.yaml", "#" * 10_000_000, "stack file: Pulumi.test.yaml: a stack file has at"),
    ("Pulumi.test.yaml", "[" * 5000, "stack file: Pulumi.test.yaml: nested deeper than"),
    ("other.yaml", "config: {}", "stack file: "),
    ("Pulumi.Test.yaml", "config: {}", "stack"),
]


@pytest.mark.parametrize(("name", "content", "expected"), FILES, ids=range(len(FILES)))
def test_a_file_that_is_no_stack_file_gives_one_clear_line(
    validate: Validate, name: str, content: str | bytes, expected: str
) -> None:
    """Lost otherwise: a traceback, or a hang on a large file."""
    code, lines = validate(content, name)
    assert code == 2
    assert len(lines) == 1, lines
    assert lines[0].startswith(expected), lines


def test_a_file_of_any_shape_gives_problems_and_never_a_traceback(
    validate: Validate,
) -> None:
    """Lost otherwise: an unusual typo shows an operator our source code instead of their line."""
    places = [path for path, _ in walk(WHOLE)]
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    values = st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)
    )

    @settings(max_examples=400, deadline=None, suppress_health_check=QUIET)
    @given(st.sampled_from(places), values)
    def fuzz(path: tuple[str | int, ...], value: object) -> None:
        code, lines = validate(changed(path, value))
        assert code in (0, 2)
        assert (code == 2) == bool(lines)
        for line in lines:
            assert line.count(": ") >= 3, line

    @settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
    @given(st.binary(max_size=200) | st.text(max_size=200))
    def noise(content: bytes | str) -> None:
        try:
            data = content.encode() if isinstance(content, str) else content
        except UnicodeEncodeError:
            return
        assert validate(data)[0] == 2

    fuzz()
    noise()
