"""Whatever a stack file holds, it is valid or told in clear lines, and a secret is never repeated.

FLEET_FUZZ=deep searches for minutes; what it finds belongs into tests/support/corpus as a case.
"""

from __future__ import annotations

import copy
import datetime
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from fleet.errors import InputError
from fleet.manifests.pool import pool_objects
from fleet.manifests.runtime import RuntimeInputs
from fleet.manifests.user import user_objects
from fleet.names import PROJECT
from fleet.plan.environment import make_plan
from fleet.stackfile.reading import STRUCTURED_KEYS, load
from tests.support.stacks import (
    FULL,
    SECRETS,
    SMALL,
    Values,
    environment_of,
    shipped,
    shipped_values,
    text_of,
    unclear,
)

ROOT = Path(__file__).parents[2]
SEEDS: list[Values] = [SMALL, FULL, *(shipped_values(path) for path in shipped(ROOT))]
TEXTS = [text_of(FULL), *(path.read_text(encoding="utf-8") for path in shipped(ROOT))]
WORDS = [
    "alice",
    "standard",
    "existing",
    "vm",
    "ack",
    "10.0.0.0/8",
    "::/0",
    "1e400",
    "8Ei",
    "-1",
    "../..",
    "https://a",
    "kind",
    "\N{CYRILLIC SMALL LETTER A}lice",
    "a\nb",
    "a\0b",
    "\N{RIGHT-TO-LEFT OVERRIDE}",
    "{rule}",
    "%s",
    "",
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**60), max_value=10**60),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(WORDS),
    st.dates(),
    st.datetimes(timezones=st.just(datetime.UTC)),
)
KEYS = st.one_of(
    st.text(max_size=10),
    st.sampled_from(["id", "kind", "path", "cidr", "secure", "apiKey", "users", "base_url", "x"]),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
SECTIONS = st.one_of(st.sampled_from(STRUCTURED_KEYS), KEYS)


def check(values: dict[str, Any], folder: Path) -> None:
    """Validate values; what is valid is carried through to its manifests."""
    try:
        environment = environment_of(values, folder, SECRETS)
    except InputError as error:
        must_be_clear([str(problem) for problem in error.problems], str(values))
        return
    plan = make_plan(environment)
    for pool in plan.pools:
        objects = pool_objects(pool)
        for user in pool.users:
            objects += user_objects(user, RuntimeInputs(image="a:b"))
        assert all(len(item["metadata"]["name"]) <= 63 for item in objects)


def must_be_clear(lines: list[str], given: str) -> None:
    """Fail unless there are lines and each is one of key: value: rule: change."""
    assert lines
    assert [(line, unclear(line, given)) for line in lines if unclear(line, given)] == []


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of every value in a tree."""
    found = [path] if path else []
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(cast("dict[str | int, Any]", value).items())
    elif isinstance(value, list):
        items = list(enumerate(cast("list[Any]", value)))
    for key, item in items:
        found += places(item, (*path, key))
    return found


@st.composite
def mutated(draw: st.DrawFn) -> Values:
    """Draw a valid file with a few places replaced, removed, renamed or doubled."""
    values = copy.deepcopy(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(values)))
        holder: Any = values
        for part in way:
            holder = holder[part]
        action = draw(st.sampled_from(["replace", "remove", "rename", "swap"]))
        if action == "remove":
            del holder[last]
        elif action == "rename" and isinstance(holder, dict):
            renamed = cast("dict[Any, Any]", holder)
            renamed[draw(KEYS)] = renamed.pop(last)
        elif action == "swap":
            other: Any = values
            for part in draw(st.sampled_from(places(values))):
                other = other[part]
            holder[last] = copy.deepcopy(other)
        else:
            holder[last] = draw(TREES)
        if not places(values):
            break
    return values


@given(values=st.dictionaries(SECTIONS, TREES, max_size=6))
@example(values={"users": [{"id": float("nan")}], "cluster": {"kind": ["vm"]}, "access": None})
def test_any_tree_of_values_is_valid_or_told(values: dict[str, Any], shared_folder: Path) -> None:
    check(values, shared_folder)


@given(values=mutated())
def test_a_valid_file_changed_anywhere_is_valid_or_told(
    values: Values, shared_folder: Path
) -> None:
    check(values, shared_folder)


def read(text: str | bytes, folder: Path) -> list[str]:
    """Return the lines of a file with this content."""
    path = folder / "Pulumi.fuzz.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        load("fuzz", folder)
    except InputError as error:
        return [str(problem) for problem in error.problems]
    return []


@given(content=st.binary(max_size=200))
def test_any_bytes_are_told(content: bytes, shared_folder: Path) -> None:
    must_be_clear(read(content, shared_folder), str(content))


@given(data=st.data())
def test_any_edit_of_a_shipped_text_is_valid_or_told(
    data: st.DataObject, shared_folder: Path
) -> None:
    text = data.draw(st.sampled_from(TEXTS))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 12))
        inserted = data.draw(
            st.one_of(st.sampled_from(list("[]{}:,-&*!|>'\"%@`#\t\n\0")), st.text(max_size=3))
        )
        text = text[:at] + inserted + text[at + cut :]
    lines = read(text, shared_folder)
    if lines:
        must_be_clear(lines, text)


@given(tree=TREES)
def test_any_tree_survives_the_way_through_a_file(tree: Any, shared_folder: Path) -> None:
    text = yaml.safe_dump({"config": {f"{PROJECT}:users": tree}}, allow_unicode=True)
    must_be_clear(read(text, shared_folder), str(tree))


SECRET = "sk-fuzz-9f8e7d6c5b4a"  # noqa: S105 - made up
PLACES = [
    ("modelApiKey",),
    ("gitToken",),
    ("adminPassword",),
    ("someSecret",),
    ("unheardOf",),
    ("model",),
    ("providers", "openai", "apiKey"),
    ("providers", "openai", "baseUrl"),
    ("providers", "openai", "key"),
    ("providers", "openai", "options"),
    ("providers", "openai", "headers"),
    ("secretEnv",),
    ("secretEnv", "JIRA_TOKEN"),
    ("git", "hosts", "forge"),
    ("git", "hosts", "forge", "token"),
    ("agentControl", "tokens", 0, "secret"),
    ("users", 0, "apiKey"),
    ("users", 0, "apiKeys"),
    ("users", 0, "apiKeys", "openai"),
    ("users", 0, "password"),
    ("users", 0, "displayname"),
    ("cluster", "token"),
    ("image", "reference"),
    ("image", "repository"),
]
SHAPES = st.sampled_from(
    [
        SECRET,
        f"{SECRET}!",
        f"https://me:{SECRET}@host/",
        [SECRET],
        {"value": SECRET},
        {"secure": SECRET},
        {SECRET: SECRET},
        [[{"a": [SECRET]}]],
    ]
)


@pytest.mark.parametrize("place", PLACES, ids=[".".join(map(str, place)) for place in PLACES])
@given(shape=SHAPES)
def test_a_secret_in_the_wrong_place_is_never_repeated(
    place: tuple[str | int, ...], shape: Any, shared_folder: Path
) -> None:
    values: Any = copy.deepcopy(FULL)
    holder = values
    for part in place[:-1]:
        holder = holder[part]
    holder[place[-1]] = shape
    for line in read(text_of(values), shared_folder):
        if shape != {SECRET: SECRET}:
            assert SECRET not in line
        assert unclear(line) == []
