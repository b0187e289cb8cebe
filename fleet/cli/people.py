"""Commands that edit the roster in the stack file; deploying is `fleet up` as ever.

Owns: what may be typed of a person, reading a table of people. Leaves out: the edit of the text
(`stackfile.roster_edit`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from fleet.cli.options import Json, Stack, User
from fleet.cli.shell import read_environment, reported, say, say_json, say_table
from fleet.errors import InputError, Problem
from fleet.stackfile.config import StackConfig, UserState
from fleet.stackfile.config import User as Person
from fleet.stackfile.roster_edit import (
    Edit,
    Value,
    add_purge,
    add_user,
    edit_file,
    remove_user,
    set_field,
)

user_app = typer.Typer(help="The roster in the stack file.", no_args_is_help=True)
_COLUMNS = ("id", "displayName", "login", "scenes", "profile", "pool", "state")
# A table of people beyond this is something else.
_MOST_ROWS = 5000

Purge = Annotated[bool, typer.Option("--purge", help="And list the id under purge.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the `fleet` application."""
    app.add_typer(user_app, name="user")


@user_app.command("list")
def list_users(stack: Stack = "dev", as_json: Json = False) -> None:
    """Show the roster as the stack file has it; it needs no cluster."""
    with reported():
        users = read_environment(stack).config.users
        if as_json:
            rows = [user.model_dump(mode="json", by_alias=True) for user in users]
            say_json({"users": rows})
            return
        head = ("USER", "NAME", "STATE", "PROFILE", "POOL", "SCENES")
        say_table(head, [_row(user) for user in users])


def _row(user: Person) -> tuple[str, ...]:
    name, scenes = user.display_name or "", ", ".join(user.scenes)
    return (user.id, name, user.state, user.profile, user.pool, scenes)


@user_app.command("add")
def add(
    user: User,
    name: Annotated[str | None, typer.Option(help="What people read.")] = None,
    scene: Annotated[list[str] | None, typer.Option(help="A scene; give it once for each.")] = None,
    profile: Annotated[str | None, typer.Option(help="Size of the runtime.")] = None,
    pool: Annotated[str | None, typer.Option(help="Namespace of the runtime.")] = None,
    stack: Stack = "dev",
) -> None:
    """Add a user to the stack file."""
    fields: dict[str, Value] = {"id": user}
    given = {"displayName": name, "scenes": scene, "profile": profile, "pool": pool}
    fields |= {key: value for key, value in given.items() if value}
    with reported():
        _edit(stack, partial(add_user, fields=fields))
        say(f"{user}: added; fleet up -s {stack} to deploy")


@user_app.command("suspend")
def suspend(user: User, stack: Stack = "dev") -> None:
    """Write `state: suspended`: no pod, all else stays."""
    with reported():
        _edit(stack, partial(set_field, user_id=user, key="state", value=str(UserState.SUSPENDED)))
        say(f"{user}: suspended in the stack file; fleet up -s {stack} to deploy")


@user_app.command("resume")
def resume(user: User, stack: Stack = "dev") -> None:
    """Take `state: suspended` away."""
    with reported():
        _edit(stack, partial(set_field, user_id=user, key="state", value=None))
        say(f"{user}: active in the stack file; fleet up -s {stack} to deploy")


@user_app.command("rotate")
def rotate(user: User, stack: Stack = "dev") -> None:
    """Raise `passwordVersion`: a new password at the next `up`."""
    with reported():
        people = {person.id: person for person in read_environment(stack).config.users}
        version = people[user].password_version + 1 if user in people else 1
        _edit(stack, partial(set_field, user_id=user, key="passwordVersion", value=version))
        say(f"{user}: passwordVersion {version}; fleet up -s {stack}, then fleet password {user}")


@user_app.command("remove")
def remove(user: User, purge: Purge = False, stack: Stack = "dev") -> None:
    """Take a user out of the roster; the claim with all work is retained unless purged."""
    with reported():
        edits: list[Edit] = [partial(remove_user, user_id=user)]
        if purge:
            edits.append(partial(add_purge, user_id=user))
        _edit(stack, *edits)
        fate = "`fleet up` asks, and deletes the data for good" if purge else "the data is retained"
        say(f"{user}: removed from the stack file; {fate}")


@user_app.command("import")
def import_people(
    file: Annotated[Path, typer.Argument(help=f"CSV with columns out of {', '.join(_COLUMNS)}.")],
    stack: Stack = "dev",
) -> None:
    """Add everybody of a CSV file who is not in the roster yet; all of them or none."""
    with reported():
        rows = list(_people(file))
        known = {person.id for person in read_environment(stack).config.users}
        new = [row for row in rows if row["id"] not in known]
        if new:
            _edit(stack, *(partial(add_user, fields=row) for row in new))
        there = len(rows) - len(new)
        say(f"{len(new)} users added, {there} were there; fleet up -s {stack} to deploy")


def _edit(stack: str, *edits: Edit) -> StackConfig:
    def edit(text: str) -> str:
        for one in edits:
            text = one(text)
        return text

    return edit_file(stack, Path.cwd(), edit).config


def _people(file: Path) -> Iterator[dict[str, Value]]:
    """Yield the users of a CSV file; raise InputError with every row that is none."""
    problems: list[Problem] = []
    people: list[dict[str, Value]] = []
    for number, row in enumerate(_rows(file), start=2):
        key = f"{file.name} line {number}"
        if None in row or None in row.values():
            rule = "it has not as many fields as the first line names"
            problems.append(Problem(key, "", rule, "quote what holds a comma"))
        elif not (row.get("id") or "").strip():
            problems.append(Problem(key, "", "a user has an id", "fill the column id"))
        else:
            people.append(_fields(row))
    if problems:
        raise InputError(problems)
    yield from people


def _rows(file: Path) -> list[dict[str | None, Any]]:
    """Return the rows by column; of too long a row the rest is under None, of a short one None."""
    try:
        # Spreadsheets put a mark in front of UTF-8.
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise _no_table(file, "it is not UTF-8 text", "export it as UTF-8") from None
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    columns: Sequence[str] = [name.strip() for name in reader.fieldnames or ()]
    unknown = [name for name in columns if name not in _COLUMNS]
    if "id" not in columns or unknown:
        rule = f"its first line names columns out of {', '.join(_COLUMNS)}, and id among them"
        raise _no_table(file, rule, f"rename {', '.join(unknown) or 'one to id'}")
    reader.fieldnames = columns
    rows = cast("list[dict[str | None, Any]]", list(reader))
    if len(rows) > _MOST_ROWS:
        raise _no_table(file, f"it has more than {_MOST_ROWS} rows", "check the file")
    return rows


def _no_table(file: Path, rule: str, change: str) -> InputError:
    return InputError([Problem("FILE", file.name, rule, change)])


def _fields(row: Mapping[str | None, Any]) -> dict[str, Value]:
    fields: dict[str, Value] = {}
    for key in _COLUMNS:
        text = (row.get(key) or "").strip()
        if text:
            fields[key] = re.split(r"[\s;,]+", text) if key == "scenes" else text
    return fields
