"""What is wrong with a `backup:` is told in one line each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.stacks import BACKUP_SECRETS, SMALL, Values, lines_of, with_value

S3 = "https://s3.example.com/bucket"
GOOD: Values = with_value(SMALL, "backup", {"repository": {"s3": S3}})


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("backup.schedule", "at night", "backup.schedule: at night: a time is five cron fields"),
        ("backup.schedule", "0 25 * * *", "backup.schedule: 0 25 * * *: 25 is no hour"),
        ("backup.schedule", "0 2 ? * 1", "backup.schedule: 0 2 ? * 1: Kubernetes reads no ?"),
        ("backup.drill.schedule", "0 0 31 2 *", "backup.drill.schedule: 0 0 31 2 *: this day"),
        ("backup.timeZone", "Asia/Beijing", "backup.timeZone: Asia/Beijing: the IANA list"),
        ("backup.repository", {}, "backup.repository: empty: backups go to exactly one of"),
        (
            "backup.repository.claim",
            {"size": "1Gi"},
            "backup.repository: s3 and claim: backups go to exactly one of",
        ),
        ("backup.repository.s3", "s3://bucket", "backup.repository.s3: s3://bucket: an S3 store"),
        (
            "backup.repository.s3",
            "https://10.1.2.3/bucket",
            "backup.repository.s3: https://10.1.2.3/bucket: backups reach no private address",
        ),
        ("backup.allow", ["8.8.8.0/24"], "backup.allow[0]: 8.8.8.0/24: public addresses are"),
        ("backup.allow", ["10.0.0.0/8"], "backup.allow[0]: 10.0.0.0/8: private stores are allowed"),
        ("backup.allow", ["100.100.0.0/16"], "backup.allow[0]: 100.100.0.0/16: it holds the cloud"),
        (
            "backup.keep",
            {"daily": 0, "weekly": 0, "monthly": 0},
            "backup.keep: 0, 0 and 0: of every user some backup stays",
        ),
        ("backup.parallel", 0, "backup.parallel: 0: "),
    ],
)
def test_a_broken_backup_is_told_in_one_line(
    path: str, value: object, line: str, shared_folder: Path
) -> None:
    lines = lines_of(with_value(GOOD, path, value), shared_folder, BACKUP_SECRETS)
    assert len(lines) == 1, lines
    assert lines[0].startswith(line)


def test_each_missing_secret_of_backups_is_named(shared_folder: Path) -> None:
    lines = lines_of(GOOD, shared_folder)
    assert [line.split(": ")[:2] for line in lines] == [
        ["backup.passwordSecret", "backupPassword"],
        ["backup.accessKeyId", "backupAccessKeyId"],
        ["backup.secretAccessKey", "backupSecretAccessKey"],
    ]


def test_a_claim_needs_no_keys_of_a_store(shared_folder: Path) -> None:
    values = with_value(SMALL, "backup", {"repository": {"claim": {"size": "10Gi"}}})
    assert lines_of(values, shared_folder, frozenset({"backupPassword"})) == []
