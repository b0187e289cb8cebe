"""The World of a cluster: what it shows, what it survives, what it does when it is asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from door.control.cluster import ClusterWorld
from door.control.world import NotWakingError, Phase, Runtime
from tests.support.fakes.live_api import LiveApi, live_api
from tests.support.fakes.live_pool import DOOR, NAMESPACE, Pool, deployment_of, live_settings
from tests.support.fakes.waited import run, until


@asynccontextmanager
async def running(api: LiveApi, quiet: float = 60) -> AsyncGenerator[ClusterWorld]:
    """A World that has read everything."""
    world = ClusterWorld(api.api(), live_settings(), quiet=quiet)
    task = asyncio.create_task(world.run())
    try:
        await asyncio.wait_for(world.known(), 10)
        yield world
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def controlled(pool: Pool, slow_end: float = 0.02) -> AsyncGenerator[None]:
    """The controllers of a cluster at work."""
    task = asyncio.create_task(pool.by_itself(slow_end=slow_end))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def the(world: ClusterWorld, user_id: str) -> Runtime:
    """A user who must be there."""
    found = world.by_id(user_id)
    assert found is not None
    return found


def test_people_come_change_and_go_as_their_deployments_do() -> None:
    async def main() -> None:
        async with live_api() as api, running(api) as world:
            pool = Pool(api)
            assert list(world.people()) == []
            pool.add("bob")
            pool.add("alice", {"user-id": "Alice B.", "login": "ab"})
            await until("both are there", lambda: len(world.people()) == 2)
            assert [one.id for one in world.people()] == ["Alice B.", "bob"]
            assert the(world, "Alice B.") == world.by_login("ab") == world.by_slug("alice")
            await until("bob is ready", lambda: the(world, "bob").phase is Phase.READY)
            api.remove("deployments", NAMESPACE, "oc-bob")
            await until("bob is gone", lambda: world.by_id("bob") is None)
            assert world.by_slug("bob") is None

    run(main())


def test_a_broken_annotation_of_one_user_leaves_the_others_alone() -> None:
    async def main() -> None:
        async with live_api() as api:
            pool = Pool(api)
            pool.add("alice", {"scenes": "{{{", "password-version": "no"})
            pool.add("bob")
            async with running(api) as world:
                assert the(world, "bob").phase is Phase.READY
                assert the(world, "alice").phase is Phase.FAILING
                assert "scenes" in (the(world, "alice").reason or "")

    run(main())


def test_two_users_with_one_login_are_nobody_by_it() -> None:
    async def main() -> None:
        async with live_api() as api:
            pool = Pool(api)
            pool.add("alice", {"login": "same"})
            pool.add("bob", {"login": "same"})
            async with running(api) as world:
                assert world.by_login("same") is None
                assert the(world, "alice").login == "same"

    run(main())


def test_an_api_server_that_is_away_leaves_what_was_known_and_comes_back() -> None:
    async def main() -> None:
        async with live_api() as api:
            pool = Pool(api)
            pool.add("alice")
            async with running(api) as world:
                assert world.stale == 0
                await api.stop()
                await until("it is noticed", lambda: world.stale > 0)
                assert the(world, "alice").phase is Phase.READY
                with pytest.raises(NotWakingError, match="does not answer"):
                    await world.restart("alice")
                # What happens meanwhile is seen afterwards.
                pool.add("bob")
                api.remove("deployments", NAMESPACE, "oc-alice")
                await api.start()
                await until("bob is seen", lambda: world.by_id("bob"))
                await until("alice is gone", lambda: world.by_id("alice") is None)
                await until("nothing is stale", lambda: world.stale == 0)

    run(main())


def test_a_version_that_is_too_old_is_listed_anew() -> None:
    async def main() -> None:
        async with live_api() as api:
            pool = Pool(api)
            pool.add("alice")
            async with running(api) as world:
                lists = len(api.requests("GET", "deployments"))
                pool.add("bob")
                pool.add("carol")
                # Its watch is behind now, and the server knows the way no more.
                api.forget_events()
                api.cut_watches()
                await until("all are there", lambda: len(world.people()) == 3)
                pool.add("dave")
                await until("the watch goes on", lambda: world.by_id("dave"))
                assert len(api.requests("GET", "deployments")) > lists
                assert world.stale == 0

    run(main())


def test_a_watch_that_is_cut_goes_on_from_where_it_was() -> None:
    async def main() -> None:
        async with live_api() as api, running(api) as world:
            pool = Pool(api)
            pool.add("alice")
            await until("alice is there", lambda: world.by_id("alice"))
            api.cut_watches()
            pool.add("bob")
            await until("bob is there", lambda: world.by_id("bob"))

    run(main())


def test_a_long_silence_is_ended_by_a_list() -> None:
    """A connection that died without a word looks like one in which nothing happens."""

    async def main() -> None:
        async with live_api() as api, running(api, quiet=0.05) as world:
            before = len(api.requests("GET", "pods"))
            await until("it is listed again", lambda: len(api.requests("GET", "pods")) > before + 2)
            assert world.stale == 0

    run(main())


def test_a_sleeping_runtime_is_woken_and_ready() -> None:
    async def main() -> None:
        async with live_api() as api:
            pool = Pool(api)
            pool.add("alice", replicas=0)
            async with controlled(pool), running(api) as world:
                assert the(world, "alice").phase is Phase.ASLEEP
                await world.wake("alice")
                found = await world.wait_ready("alice", 10)
                assert found.address == "127.0.0.1"
                patch = api.requests("PATCH", "scale")[0]
                assert patch.path.endswith("/deployments/oc-alice/scale")
                assert patch.query["fieldManager"] == "opencode-fleet-door"
                text = world.metrics.render(world.people(), world.stale).decode()
                assert 'door_wakes_total{why="asked"} 1.0' in text
                assert "door_wake_seconds_count 1.0" in text

    run(main())


def test_waking_one_who_is_awake_changes_nothing() -> None:
    async def main() -> None:
        async with live_api() as api:
            Pool(api).add("alice")
            async with running(api) as world:
                await world.wake("alice")
                assert not api.requests("PATCH")

    run(main())


def test_a_hundred_who_wake_one_runtime_ask_for_one_pod() -> None:
    async def main() -> None:
        async with live_api() as api:
            pool = Pool(api)
            pool.add("alice", replicas=0)
            async with controlled(pool), running(api) as one, running(api) as other:
                await asyncio.gather(*(world.wake("alice") for world in (one, other) * 50))
                await one.wait_ready("alice", 10)
                await other.wait_ready("alice", 10)
                assert pool.most == 1
                assert pool.replicas("alice") == 1

    run(main())


def test_of_two_replicas_that_decide_at_once_the_second_looks_again() -> None:
    """The other one scales between the look and the change."""

    async def main() -> None:
        async with live_api() as api:
            pool = Pool(api)
            pool.add("alice", replicas=0)
            async with running(api) as world:

                def other_first(method: str, kind: str, name: str) -> None:
                    del method, kind, name
                    api.before_write = None
                    api.change("deployments", NAMESPACE, "oc-alice", spec={"replicas": 1})

                api.before_write = other_first
                await world.wake("alice")
                assert len(api.requests("PATCH", "scale")) == 1
                assert pool.replicas("alice") == 1

    run(main())


def test_a_woken_runtime_waits_for_the_end_of_its_former_pod() -> None:
    async def main() -> None:
        async with live_api() as api:
            pool = Pool(api)
            pool.add("alice")
            async with controlled(pool, slow_end=0.3), running(api) as world:
                await world.sleep("alice")
                await until("it ends", lambda: the(world, "alice").phase is Phase.ASLEEP)
                await world.wake("alice")
                assert the(world, "alice").phase is Phase.STARTING
                assert the(world, "alice").reason == "its former pod is still ending"
                await world.wait_ready("alice", 10)
                assert pool.most == 1

    run(main())


def test_a_restart_ends_the_pod_before_the_next_begins() -> None:
    async def main() -> None:
        async with live_api() as api:
            pool = Pool(api)
            pool.add("alice")
            former = pool.pods("alice")[0]["metadata"]["name"]
            async with controlled(pool, slow_end=0.2), running(api) as world:
                await asyncio.gather(world.restart("alice"), world.restart("alice"))
                await world.wait_ready("alice", 10)
                assert pool.most == 1
                assert [pod["metadata"]["name"] for pod in pool.pods("alice")] != [former]

    run(main())


def test_a_suspended_runtime_is_not_woken_by_the_door() -> None:
    async def main() -> None:
        async with live_api() as api:
            pool = Pool(api)
            pool.add("alice", {"state": "suspended"}, replicas=0)
            async with running(api) as world:
                with pytest.raises(NotWakingError, match="suspended"):
                    await world.wake("alice")
                with pytest.raises(NotWakingError, match="suspended"):
                    await world.wait_ready("alice", 5)
                assert not api.requests("PATCH")

    run(main())


def test_one_suspended_a_moment_ago_is_not_woken_either() -> None:
    """The watch has not told yet: the Deployment is read before it is changed."""

    async def main() -> None:
        async with live_api() as api:
            pool = Pool(api)
            pool.add("alice", replicas=0)
            async with running(api) as world:
                item = deployment_of("alice", {"state": "suspended"}, replicas=0)
                item["metadata"]["resourceVersion"] = "99"
                api.objects["deployments", NAMESPACE, "oc-alice"] = item
                with pytest.raises(NotWakingError, match="suspended"):
                    await world.wake("alice")

    run(main())


def test_a_runtime_that_never_gets_ready_is_told_why() -> None:
    async def main() -> None:
        async with live_api() as api:
            pool = Pool(api)
            pool.add("alice", replicas=0)
            async with running(api) as world:
                await world.wake("alice")
                pool.settle("alice")
                full = {"type": "PodScheduled", "status": "False", "message": "Insufficient cpu"}
                pool.make_pod("alice", ready=False, conditions=[full], containerStatuses=[])
                with pytest.raises(NotWakingError, match="no room: the cluster's nodes are full"):
                    await world.wait_ready("alice", 0.5)

    run(main())


def test_a_cluster_that_refuses_is_told_and_counted() -> None:
    async def main() -> None:
        async with live_api() as api:
            Pool(api).add("alice", replicas=0)
            async with running(api) as world:
                api.refuse["PATCH", "deployments"] = 403
                with pytest.raises(NotWakingError, match="the cluster refuses: made to fail"):
                    await world.wake("alice")
                text = world.metrics.render(world.people(), world.stale).decode()
                assert 'door_failures_total{what="wake"} 1.0' in text
                assert 'door_users{phase="asleep"} 1.0' in text

    run(main())


def test_whoever_listens_is_told_of_changes_while_busy_with_the_last() -> None:
    async def main() -> None:
        async with live_api() as api, running(api) as world:
            seen: list[int] = []

            async def listen() -> None:
                async for _ in world.changes():
                    await asyncio.sleep(0.05)
                    seen.append(len(world.people()))

            task = asyncio.create_task(listen())
            await asyncio.sleep(0)
            for name in ("alice", "bob", "carol"):
                Pool(api).add(name)
                await asyncio.sleep(0.01)
            await until("the last is told", lambda: seen and seen[-1] == 3)
            task.cancel()

    run(main())


def test_a_signed_out_session_is_over_on_every_replica() -> None:
    async def main() -> None:
        async with live_api() as api:
            Pool(api).add("alice")
            later = datetime.now(UTC) + timedelta(days=7)
            async with running(api) as one, running(api) as other:
                await one.end_session("alice", "first", later)
                assert one.session_ended("alice", "first")
                await until("told", lambda: other.session_ended("alice", "first"))
                assert not other.session_ended("alice", "second")
                assert not other.session_ended("bob", "first")
            lease = api.get("leases", DOOR, "oc-alice")
            assert "first" not in str(lease)
            # A replica that starts later knows it too.
            async with running(api) as third:
                assert third.session_ended("alice", "first")

    run(main())
