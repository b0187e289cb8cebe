"""Every test claims something, and no claim is one that cannot fail."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.programs import ROOT

FILES = sorted((ROOT / "tests").rglob("*.py"))
# They return None, so that two of them are always equal and one is never true.
IN_PLACE = frozenset(
    {"add", "append", "clear", "discard", "extend", "insert", "remove", "reverse", "sort", "update"}
)
ALWAYS_TRUE_CALLS = frozenset({"enumerate", "filter", "iter", "map", "reversed", "zip"})
# A call of these is a claim: what is wrong ends in an exception of their own.
CLAIMS = frozenset({"fail", "raises", "warns"})


def is_always_true(node: ast.expr) -> bool:
    """Return whether an expression is true by its form alone, whatever the product does."""
    match node:
        case ast.GeneratorExp() | ast.Lambda():
            return True
        case ast.Constant():
            true = bool(node.value)
        case ast.Tuple() | ast.List() | ast.Set():
            true = bool(node.elts)
        case ast.Call(func=ast.Name(id=name)):
            true = name in ALWAYS_TRUE_CALLS
        case ast.BoolOp():
            of_all = all if isinstance(node.op, ast.And) else any
            true = of_all(map(is_always_true, node.values))
        case _:
            true = isinstance(node, ast.Compare) and _compares_nothing(node)
    return true


def _compares_nothing(node: ast.Compare) -> bool:
    sides = [node.left, *node.comparators]
    if any(_is_in_place(side) for side in sides):
        return True
    # Two calls may differ; the same name or item may not.
    same = len({ast.dump(side) for side in sides}) == 1
    return same and not any(isinstance(part, ast.Call) for side in sides for part in ast.walk(side))


def _is_in_place(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in IN_PLACE
    )


def empty_claims(code: str) -> list[str]:
    """Return the assertions of a module that cannot fail."""
    found: list[str] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Assert):
            parts = node.test.values if isinstance(node.test, ast.BoolOp) else [node.test]
            empty = is_always_true(node.test) or any(
                isinstance(part, ast.Compare) and _compares_nothing(part) for part in parts
            )
            found += [f"{node.lineno}: {ast.unparse(node)}"] if empty else []
    return found


def claiming(tree: ast.Module, shared: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return the names of functions that assert, by themselves or through one that they call.

    `shared` are those of other modules that do.
    """
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    own = {node.name for node in functions if any(map(_claims, ast.walk(node)))}
    uses = {node.name: _used(node) for node in functions}
    known = own | shared
    while more := {name for name, used in uses.items() if used & known} - known:
        known |= more
    return frozenset(known)


def _used(function: ast.FunctionDef) -> set[str]:
    """Return what a function calls, and the fixtures it takes."""
    calls = {_name(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
    return calls | {argument.arg for argument in function.args.args}


def _claims(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise):
        return node.exc is not None and "AssertionError" in ast.unparse(node.exc)
    if isinstance(node, ast.Call):
        return _name(node.func) in CLAIMS or _checks_a_program(node)
    return isinstance(node, ast.Assert)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _checks_a_program(node: ast.Call) -> bool:
    return any(
        word.arg == "check" and isinstance(word.value, ast.Constant) and word.value.value is True
        for word in node.keywords
    )


def silent_tests(tree: ast.Module, shared: frozenset[str] = frozenset()) -> list[str]:
    """Return the tests of a module that assert nothing."""
    functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    known = claiming(tree, shared)
    return [name for name in functions if name.startswith("test_") and name not in known]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_no_assertion_is_one_that_cannot_fail() -> None:
    empty = {path.name: empty_claims(path.read_text(encoding="utf-8")) for path in FILES}
    assert {name: lines for name, lines in empty.items() if lines} == {}


def test_every_test_asserts_something() -> None:
    # What bench measures is judged by who reads it.
    files = [path for path in FILES if "bench" not in path.parts]
    shared = frozenset[str]()
    for path in files:
        if not path.name.startswith("test_"):
            shared |= claiming(parsed(path))
    silent = {path.name: silent_tests(parsed(path), shared) for path in files}
    assert {name: tests for name, tests in silent.items() if tests} == {}


@pytest.mark.parametrize(
    "line",
    [
        "assert one.sort() == other.sort()",
        "assert names.append(1) is None",
        "assert (name for name in names)",
        "assert map(str, names)",
        "assert (done.code == 0, 'it failed')",
        "assert done.code or 'failed'",
        "assert 'alice' or 'bob' in names",
        "assert lambda: False",
        "assert name == name",
        "assert item['a'] == item['a']",
        "assert done.code == 0 and names.sort() == []",
        "assert True",
    ],
)
def test_an_assertion_that_cannot_fail_is_seen(line: str) -> None:
    assert empty_claims(line) == [f"1: {ast.unparse(ast.parse(line))}"]


@pytest.mark.parametrize(
    "line",
    [
        "assert sorted(one) == sorted(other)",
        "assert make() == make()",
        "assert list(map(str, names))",
        "assert done.code == 0, 'it failed'",
        "assert 'alice' in names or 'bob' in names",
        "assert all(name for name in names)",
        "assert False",
    ],
)
def test_an_assertion_that_can_fail_is_left_alone(line: str) -> None:
    assert empty_claims(line) == []


def test_a_test_that_asserts_nothing_is_seen_and_one_that_asserts_through_another_is_not() -> None:
    tree = ast.parse(
        "def test_silent(): run()\n"
        "def run(): return 1\n"
        "def refused(): assert run()\n"
        "def helper(): refused()\n"
        "def test_through_two(): helper()\n"
        "def test_by_raises():\n    with pytest.raises(ValueError): run()\n"
        "def test_by_exit_code(): subprocess.run([], check=True)\n"
    )
    assert silent_tests(tree) == ["test_silent"]
