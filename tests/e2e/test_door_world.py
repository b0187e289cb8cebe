"""The door's World on a real control plane, with the rights of its Role and no others.

Runtimes are plain pods here: what OpenCode does is looked at elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from lightkube import AsyncClient, KubeConfig
from lightkube.config.models import Cluster, User

from door.control import names
from door.control.cluster import ClusterWorld, utc_now
from door.control.idling import Idler
from door.control.kube import FIELD_MANAGER, Api
from door.control.leading import Leading
from door.control.metrics import Metrics
from door.control.opening import open_world
from door.control.settings import Settings
from door.control.world import NotWakingError, Phase, Runtime, World
from tests.e2e.harness.kube import Kube
from tests.e2e.harness.sweeping import sweep
from tests.support.fakes.clock import Clock
from tests.support.fakes.waited import until

pytestmark = pytest.mark.e2e
LONG = 90.0
RIGHTS = {
    "pools": [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["patch"]},
    ],
    "door": [
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "verbs": ["get", "list", "watch", "create", "patch"],
        },
    ],
}
"""All that the door may do."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """An environment of this test's own."""

    kube: Kube
    image: str
    environment: str
    token: str

    @property
    def settings(self) -> Settings:
        """What the door is told."""
        return Settings.model_validate(
            {
                "environment": self.environment,
                "namespace": f"opencode-{self.environment}",
                "pools": [self.pool],
                "domain": "fleet.localhost",
                "scheme": "http",
            }
        )

    @property
    def pool(self) -> str:
        """The pool's namespace."""
        return f"opencode-{self.environment}--p1"

    def api(self) -> Api:
        """A client with the door's own rights."""
        text = self.kube.ask("config", "view", "--raw", "--minify", "--flatten", "-o", "json")
        found = json.loads(text)["clusters"][0]["cluster"]
        cluster = Cluster(
            server=found["server"],
            certificate_auth_data=found["certificate-authority-data"],
        )
        config = KubeConfig.from_one(cluster=cluster, user=User(token=self.token))
        return Api(AsyncClient(config=config, trust_env=False, field_manager=FIELD_MANAGER))

    def add(self, slug: str, notes: dict[str, str] | None = None, **changed: Any) -> None:
        """Add a user whose pod does nothing; `changed` is of its container."""
        own = {"app.kubernetes.io/name": "opencode", names.LABEL_USER: slug}
        labels = own | {names.LABEL_ENVIRONMENT: self.environment}
        container = {
            "name": "opencode",
            "image": self.image,
            "command": ["tini", "--", "sleep", "infinity"],
            "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
        }
        annotations = {names.USER_ID: slug} | {
            f"{names.PREFIX}/{key}": value for key, value in (notes or {}).items()
        }
        self.kube.make(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {
                    "name": f"oc-{slug}",
                    "namespace": self.pool,
                    "labels": labels,
                    "annotations": annotations,
                },
                "spec": {
                    "replicas": 0,
                    "strategy": {"type": "Recreate"},
                    "selector": {"matchLabels": own},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {
                            "automountServiceAccountToken": False,
                            "terminationGracePeriodSeconds": 5,
                            "containers": [container | changed],
                        },
                    },
                },
            }
        )

    def remove(self, slug: str) -> None:
        """Take a user's Deployment away."""
        self.kube.ask("delete", "deployment", f"oc-{slug}", f"--namespace={self.pool}")

    def pods(self, slug: str) -> list[str]:
        """The names of a user's pods, ending ones too, but none whose containers have all ended."""
        selector = f"--selector={names.LABEL_USER}={slug}"
        found = self.kube.list("pods", f"--namespace={self.pool}", selector)
        over = {"Succeeded", "Failed"}
        return [one["metadata"]["name"] for one in found if one["status"].get("phase") not in over]


@pytest.fixture(scope="module")
def place(kube: Kube, image: str) -> Iterator[Place]:
    """Namespaces, and the door's account with its rights."""
    environment = f"e2e-{secrets.token_hex(3)}w"
    door, pool = f"opencode-{environment}", f"opencode-{environment}--p1"
    labels = {names.LABEL_ENVIRONMENT: environment}
    account = {"kind": "ServiceAccount", "name": "door", "namespace": door}
    for namespace in (door, pool):
        metadata = {"name": namespace, "labels": labels}
        kube.make({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    kube.make(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "door", "namespace": door},
        }
    )
    for namespace, rules in ((pool, RIGHTS["pools"]), (door, RIGHTS["door"])):
        metadata = {"name": "door", "namespace": namespace}
        api = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "door"}
        kube.make(
            api | {"kind": "Role", "rules": rules},
            api | {"kind": "RoleBinding", "roleRef": role, "subjects": [account]},
        )
    token = kube.ask("create", "token", "door", f"--namespace={door}").strip()
    try:
        yield Place(kube=kube, image=image, environment=environment, token=token)
    finally:
        sweep(kube, environment, wait=False)


@asynccontextmanager
async def opened(place: Place, replica: str = "one") -> AsyncGenerator[ClusterWorld]:
    """One replica's World, which has read everything."""
    async with open_world(place.settings, no_password, place.api(), replica) as world:
        async with asyncio.timeout(LONG):
            await world.known()
        yield world


def no_password(user_id: str, version: int) -> str:
    """Pods here have none."""
    return f"{user_id} {version}"


def the(world: World, user_id: str) -> Runtime:
    """A user who must be there."""
    found = world.by_id(user_id)
    assert found is not None
    return found


def test_a_runtime_is_woken_restarted_and_put_to_sleep_by_a_real_cluster(
    place: Place, figure: Callable[[str], None]
) -> None:
    """Lost otherwise: a runtime that sleeps for ever, or two pods on one database."""

    async def main() -> None:
        place.add("alice")
        async with opened(place) as one, opened(place, "two") as other:
            await until("alice sleeps", lambda: the(one, "alice").phase is Phase.ASLEEP, LONG)
            begun = asyncio.get_running_loop().time()
            await asyncio.gather(*(world.wake("alice") for world in (one, other) * 5))
            ready = await one.wait_ready("alice", LONG)
            took = asyncio.get_running_loop().time() - begun
            figure(f"an empty pod woken and ready: {took:.1f} s")
            assert ready.address
            assert (await other.wait_ready("alice", LONG)).address == ready.address
            first = place.pods("alice")
            assert len(first) == 1
            await one.restart("alice")
            await one.wait_ready("alice", LONG)
            second = place.pods("alice")
            assert len(second) == 1
            assert second != first
            await other.sleep("alice")
            await until("it sleeps", lambda: the(one, "alice").phase is Phase.ASLEEP, LONG)
            # At once, while the former pod still ends: never two.
            most: set[int] = set()
            waking = asyncio.create_task(woken(one))
            while not waking.done():
                most.add(len(await asyncio.to_thread(place.pods, "alice")))
            await waking
            assert max(most) == 1

    async def woken(world: World) -> None:
        await world.wake("alice")
        await world.wait_ready("alice", LONG)

    asyncio.run(main())


def test_why_a_runtime_does_not_start_is_told_by_a_real_cluster(place: Place) -> None:
    """Lost otherwise: a page that says it is waking somebody, for ever."""

    async def main() -> None:
        place.add("full", resources={"requests": {"cpu": "900"}})
        place.add("crash", command=["sh", "-c", "exit 7"])
        place.add("image", image="opencode-fleet/there-is:none", imagePullPolicy="Never")
        reasons = {
            "full": "no room: the cluster's nodes are full",
            "crash": "OpenCode ended with exit code 7",
            "image": "its image opencode-fleet/there-is:none cannot be had",
        }
        async with opened(place) as world:
            for slug, reason in reasons.items():
                await until(f"{slug} is there", lambda slug=slug: world.by_id(slug), LONG)
                await world.wake(slug)
                await until(
                    f"{slug}: {reason}",
                    lambda slug=slug, reason=reason: reason in (the(world, slug).reason or ""),
                    LONG,
                )
                assert the(world, slug).phase is Phase.FAILING
                with pytest.raises(NotWakingError, match=reason):
                    await world.wait_ready(slug, 0.1)

    asyncio.run(main())


def test_use_and_sign_outs_are_kept_by_a_real_cluster(place: Place) -> None:
    """Lost otherwise: who was here last, and a stolen session that goes on."""

    async def main() -> None:
        place.add("bob")
        async with opened(place) as one, opened(place, "two") as other:
            await until("bob is there", lambda: one.by_id("bob") and other.by_id("bob"), LONG)
            one.touch("bob")
            now = the(one, "bob").last_used
            assert now is not None
            await until("the other knows", lambda: the(other, "bob").last_used == now, LONG)
            later = now.replace(year=now.year + 1)
            await one.end_session("bob", "s1", later)
            await until("the other knows", lambda: other.session_ended("bob", "s1"), LONG)
        async with opened(place) as third:
            assert the(third, "bob").last_used == now
            assert third.session_ended("bob", "s1")
            assert not third.session_ended("bob", "s2")

    asyncio.run(main())


class Quiet:
    """Nobody is at work, as far as anybody is asked."""

    async def why_busy(self, runtime: Runtime) -> str | None:
        """Nothing speaks against it."""
        del runtime


class Always:
    """This replica is the one."""

    leads = True


def test_an_unused_runtime_is_put_to_sleep_on_a_real_cluster(place: Place) -> None:
    """Lost otherwise: what nobody uses costs as much as what somebody does."""

    async def main() -> None:
        place.add("carol", {"suspend-after": "600"})
        async with opened(place) as world:
            await until("carol is there", lambda: world.by_id("carol"), LONG)
            await world.wake("carol")
            await world.wait_ready("carol", LONG)
            clock = Clock(datetime.now(UTC))
            world.clock = clock
            idler = Idler(world, Quiet(), Always())
            clock.on(minutes=9)
            await idler.look()
            assert the(world, "carol").replicas == 1
            clock.on(minutes=2)
            await idler.look()
            await until("carol sleeps", lambda: the(world, "carol").phase is Phase.ASLEEP, LONG)

    asyncio.run(main())


def test_of_two_who_take_the_lease_at_once_a_real_cluster_lets_one_lead(place: Place) -> None:
    """Lost otherwise: a runtime that two replicas judge by two clocks."""

    async def main() -> None:
        apis = [place.api(), place.api()]
        metrics = Metrics()
        pair = [
            Leading(
                api=api,
                namespace=place.settings.namespace,
                name=str(number),
                metrics=metrics,
                clock=utc_now,
            )
            for number, api in enumerate(apis)
        ]
        for _ in range(10):
            await asyncio.gather(*(one.turn() for one in pair))
            assert [one.leads for one in pair].count(True) == 1
            for one in pair:
                await one.give_back()
        for api in apis:
            await api.close()

    asyncio.run(main())


def test_the_doors_rights_are_enough_and_nothing_else(place: Place) -> None:
    """Lost otherwise: whoever takes over the door reads every secret."""
    account = f"--as=system:serviceaccount:opencode-{place.environment}:door"
    for namespace in (place.pool, f"opencode-{place.environment}"):
        for verb, kind in (
            ("get", "secrets"),
            ("list", "secrets"),
            ("create", "pods"),
            ("delete", "pods"),
            ("create", "pods/exec"),
            ("patch", "deployments"),
            ("delete", "leases"),
            ("get", "configmaps"),
        ):
            done = place.kube.run("auth", "can-i", verb, kind, f"--namespace={namespace}", account)
            assert done.stdout.strip() == "no", (verb, kind, namespace)
