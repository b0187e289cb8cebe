"""What a user would miss: their chats with every message, and their files with their content."""

from __future__ import annotations

from dataclasses import dataclass

from tests.e2e.harness.environment import Environment

FOLDERS = ("/app", "/app/coding")
ANSWER = "the second answer"
# The user's own, in every place that must last: /app, a scene's folder, settings, OpenCode's data.
FILES = (
    "/app/thesis.txt",
    "/app/coding/program.py",
    "/app/.opencode/commands/mine.md",
    "/data/keep.bin",
)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A user's chats and files at one moment."""

    chats: dict[str, tuple[tuple[str, str], ...]]
    """(role, text) of every message, by chat."""
    files: dict[str, str]
    """SHA-256 by path."""


def make_work(environment: Environment, user: str) -> None:
    """Let a user write files and chat, once."""
    script = """set -e
        test -e /app/thesis.txt || date +%N > /app/thesis.txt
        echo "print('work')" > /app/coding/program.py
        printf -- '---\\ndescription: mine\\n---\\nDo it.\\n' > /app/.opencode/commands/mine.md
        test -e /data/keep.bin || head -c 300000 /dev/urandom > /data/keep.bin
    """
    done = environment.inside(user, "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    workspace = environment.workspace(user)
    for folder in FOLDERS:
        if not workspace.chats(folder):
            chat = workspace.chat(folder)
            workspace.say(chat, "[[say the first answer]] remember this", folder)
            workspace.say(chat, f"[[say {ANSWER}]] and this", folder)


def remember(environment: Environment, user: str) -> Memory:
    """Return a user's chats and files as they are now."""
    workspace = environment.workspace(user)
    workspace.healthy()
    chats = {
        chat: tuple(workspace.messages(chat, folder))
        for folder in FOLDERS
        for chat in workspace.chats(folder)
    }
    done = environment.inside(user, "sha256sum", *FILES)
    assert done.returncode == 0, done.stderr
    files = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()}
    whole = [messages for messages in chats.values() if ("assistant", ANSWER) in messages]
    assert len(whole) >= len(FOLDERS), chats
    return Memory(chats=chats, files=files)
