"""`fleet invite`: what to send a new user, as text for a mail or a chat.

Owns: the words, in English and Chinese. Leaves out: sending it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from fleet.cli.options import Stack, User
from fleet.cli.runtimes import password_of
from fleet.cli.shell import read_environment, reported, say
from fleet.cluster.runtimes import find_user
from fleet.errors import InputError, Problem
from fleet.plan.environment import Plan, UserPlan, make_plan
from fleet.stackfile.door import SignInMode


class Language(StrEnum):
    """A language of the text."""

    ENGLISH = "en"
    CHINESE = "zh"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Words:
    hello: str
    ready: str
    as_whom: str
    elsewhere: str
    password: str
    apart: str
    scenes: str


_WORDS = {
    Language.ENGLISH: _Words(
        hello="Hello {name},",
        ready="your OpenCode workspace is ready: {url}",
        as_whom="Sign in as {user}.",
        elsewhere="Sign in with your company account ({user}).",
        password="Your password: {password}",  # noqa: S106 - a place for one
        apart="Your password comes separately.",
        scenes="You find there:",
    ),
    Language.CHINESE: _Words(
        hello="{name}，你好：",
        ready="你的 OpenCode 工作区已就绪：{url}",
        as_whom="登录名：{user}",
        elsewhere="请用公司账号（{user}）登录。",
        password="密码：{password}",  # noqa: S106 - a place for one
        apart="密码将另行发送。",
        scenes="其中有以下场景：",
    ),
}


def register(app: typer.Typer) -> None:
    """Add the command to the `fleet` application."""
    app.command("invite")(invite)


def invite(
    user: User,
    stack: Stack = "dev",
    language: Annotated[Language, typer.Option("--language", help="Of the text.")] = (
        Language.ENGLISH
    ),
    with_password: Annotated[
        bool, typer.Option("--with-password", help="Put the password into the text too.")
    ] = False,
) -> None:
    """Print what to send a new user: where to sign in, as whom, what is there."""
    with reported():
        plan = make_plan(read_environment(stack))
        found = find_user(plan, user)
        by_password = plan.door.access.sign_in.mode is SignInMode.PASSWORD
        if with_password and not by_password:
            rule = "with this mode of access.signIn people have no password here"
            raise InputError([Problem("--with-password", user, rule, "leave it out")])
        password = password_of(stack, found) if with_password else None
        for line in _lines(plan, found, _WORDS[language], password):
            say(line)


def _lines(plan: Plan, user: UserPlan, words: _Words, password: str | None) -> Iterator[str]:
    yield words.hello.format(name=user.display_name or user.id)
    yield ""
    yield words.ready.format(url=plan.door.url)
    if plan.door.access.sign_in.mode is SignInMode.PASSWORD:
        yield words.as_whom.format(user=user.id)
        yield words.apart if password is None else words.password.format(password=password)
    else:
        yield words.elsewhere.format(user=user.login or user.id)
    if user.scenes:
        yield ""
        yield words.scenes
    for scene in user.scenes:
        described = f": {scene.description}" if scene.description else ""
        yield f"- {scene.title}{described}"
