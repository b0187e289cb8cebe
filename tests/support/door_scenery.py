"""A desk as people would see it: names, scenes, chats, a failing neighbour; where its pages are."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta

from door.control.context import Refusal
from door.control.world import Phase, Runtime, Scene, Wanted
from tests.support.door_desk import Desk
from tests.support.door_world import FakeWorld, runtime_of

SCENES = (
    Scene(
        id="coding",
        title="Coding",
        description=(
            "Work on source code. Repositories are cloned side by side; each keeps its own rules."
        ),
    ),
    Scene(
        id="research",
        title="Research",
        description="Find, read and weigh sources, and write down what they say.",
    ),
    Scene(id="data", title="数据分析", description="查询数据仓库, 画图, 写出结论。"),
)
# The page as the browser finds it, by the address on the front.
PAGES = [
    "/",
    "/?done=restart",
    "/users",
    "/users?find=nobody-there",
    "/api/v1/",
    "/shown/provider",
    "/shown/waking",
    "/shown/nobody?login=carol@example.com",
    *(f"/shown/sign-in/{one.value}" for one in (Refusal.WRONG_CREDENTIAL, Refusal.SLOWED)),
    *(f"/shown/refused/{one.value}" for one in Refusal),
]


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def people(now: datetime) -> list[Runtime]:
    """Return alice, at work, and five others in every state there is."""
    return [
        runtime_of(
            "alice", admin=True, scenes=SCENES, last_used=now - timedelta(minutes=4, seconds=5)
        ),
        runtime_of(
            "bob",
            scenes=SCENES[:1],
            phase=Phase.ASLEEP,
            last_used=now - timedelta(days=3),
            next_wake=now + timedelta(hours=15, minutes=1),
        ),
        runtime_of(
            "carol",
            scenes=SCENES[:2],
            phase=Phase.FAILING,
            reason="0/3 nodes are available: 3 Insufficient memory.",
        ),
        runtime_of("dora", scenes=SCENES[1:], phase=Phase.STARTING, reason="pulling the image"),
        runtime_of("erin", phase=Phase.SUSPENDED, wanted=Wanted.SUSPENDED, scenes=SCENES),
    ]


def lively_desk(notice: str | None = None, port: int | None = None) -> Desk:
    """Return a desk on a free port with people and chats."""
    now = datetime.now(UTC)
    desk = Desk(FakeWorld(*people(now)), port=port or free_port(), notice=notice)
    for folder, title, ago in (
        ("coding", "Flaky test in the scheduler", timedelta(minutes=4, seconds=5)),
        (
            "research",
            "Write-ahead logs of three databases",
            timedelta(hours=2, minutes=1),
        ),
        ("data", "上季度的延迟分布", timedelta(hours=26)),
        ("coding", "New session - 2026-11-26T11:22:00.258Z", timedelta(days=3, hours=1)),
    ):
        desk.opencode.add(f"/app/{folder}", title, int((now - ago).timestamp() * 1000))
    return desk
