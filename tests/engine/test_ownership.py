"""Whose a cluster's objects are, what existing claims forbid, which seed an environment has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.cluster.client import Cluster
from fleet.cluster.owned import key_of, owned
from fleet.engine.claims import claim_problems
from fleet.engine.ownership import identities, refuse_foreign
from fleet.engine.seed import Origin, choose_seed, remember_seed, remembered_seed
from fleet.errors import ClusterError
from fleet.plan.passwords import identity_of, new_seed
from tests.support.fakes.api_server import ApiServer
from tests.support.fakes.served import PLACE, Served

SEED = new_seed()


def namespace(identity: str | None = None, environment: str | None = "t") -> dict[str, Any]:
    labels = {"opencode-fleet/environment": environment} if environment else {}
    notes = {"opencode-fleet/identity": identity} if identity else {}
    metadata = {"name": PLACE, "labels": labels, "annotations": notes}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def refuse(fleet: Served, cluster: Cluster, identity: str | None) -> None:
    refuse_foreign(cluster, fleet.plan(), owned(cluster, "t"), identity)


class TestNamespaces:
    def test_one_of_this_environment_is_ours(self, fleet: Served, cluster: Cluster) -> None:
        fleet.api.put(namespace(identity_of(SEED)))
        refuse(fleet, cluster, identity_of(SEED))

    def test_one_without_an_identity_is_taken_over(self, fleet: Served, cluster: Cluster) -> None:
        fleet.api.put(namespace())
        refuse(fleet, cluster, identity_of(SEED))

    def test_none_at_all_is_fine(self, fleet: Served, cluster: Cluster) -> None:
        refuse(fleet, cluster, None)

    def test_another_identity_is_refused(self, fleet: Served, cluster: Cluster) -> None:
        fleet.api.put(namespace("0123456789abcdef"))
        with pytest.raises(ClusterError) as raised:
            refuse(fleet, cluster, identity_of(SEED))
        text = str(raised.value)
        assert text.startswith(f"namespace {PLACE}: it belongs to another environment named t: ")
        assert "0123456789abcdef" in text
        assert f"gives {identity_of(SEED)}" in text

    def test_a_new_environment_with_the_seed_of_another_is_refused(
        self, fleet: Served, cluster: Cluster
    ) -> None:
        former = namespace(identity_of(SEED), "before")
        former["metadata"]["name"] = "opencode-before--default"
        fleet.api.put(former)
        with pytest.raises(ClusterError) as raised:
            refuse(fleet, cluster, identity_of(SEED))
        text = str(raised.value)
        assert text.startswith("namespace opencode-before--default: it has the seed of this stack")
        assert "belongs to environment before: everybody would start empty in t" in text
        refuse(fleet, cluster, identity_of(new_seed()))

    def test_an_environment_that_is_there_may_share_its_seed(
        self, fleet: Served, cluster: Cluster
    ) -> None:
        former = namespace(identity_of(SEED), "before")
        former["metadata"]["name"] = "opencode-before--default"
        fleet.api.put(former, namespace(identity_of(SEED)))
        refuse(fleet, cluster, identity_of(SEED))

    @pytest.mark.parametrize("owner", ["other", None])
    def test_one_that_is_not_labelled_ours_is_refused(
        self, fleet: Served, cluster: Cluster, owner: str | None
    ) -> None:
        fleet.api.put(namespace(environment=owner))
        with pytest.raises(ClusterError, match=f"belongs to {owner or 'nobody we know'}"):
            refuse(fleet, cluster, None)

    def test_identities_are_told_by_namespace(self) -> None:
        items = [namespace("a" * 16)]
        assert identities({key_of(item): item for item in items}) == {PLACE: "a" * 16}


class TestClaims:
    def problems(self, fleet: Served, *claims: dict[str, Any]) -> list[str]:
        found = claim_problems(fleet.plan(), {key_of(claim): claim for claim in claims})
        return [str(problem) for problem in found]

    def test_what_fits_is_no_problem(self, fleet: Served) -> None:
        assert self.problems(fleet, fleet.claim("alice"), fleet.claim("bob")) == []

    def test_a_claim_that_would_shrink_is_named(self, fleet: Served) -> None:
        claim = fleet.claim("alice", resources={"requests": {"storage": "99Gi"}})
        (line,) = self.problems(fleet, claim)
        assert line.startswith("profiles.")
        assert "the claim of user alice already has 99Gi, and claims never shrink" in line

    def test_a_user_who_moved_to_another_pool_is_told_where_the_data_is(
        self, fleet: Served
    ) -> None:
        fleet.write(pools={"lab": {}})
        fleet.users({"id": "alice", "pool": "lab"}, "bob")
        (line,) = self.problems(fleet, fleet.claim("alice"))
        assert line.startswith("users.alice.pool: lab: the data of user alice is on claim ")
        assert f"{PLACE}/oc-alice" in line

    def test_a_claim_that_waits_for_another_class_is_named(self, fleet: Served) -> None:
        fleet.write(storage={"className": "fast"})
        claim = {
            **fleet.claim("alice", storageClassName="slow"),
            "status": {"phase": "Pending"},
        }
        (line,) = self.problems(fleet, claim)
        assert "the claim of user alice still waits for class slow" in line

    def test_a_bound_claim_keeps_its_class(self, fleet: Served) -> None:
        fleet.write(storage={"className": "fast"})
        claim = fleet.claim("alice", storageClassName="slow", volumeName="v")
        assert self.problems(fleet, claim) == []


class TestSeed:
    def test_the_stack_files_counts_first(self, tmp_path: Path) -> None:
        remember_seed("t", tmp_path, new_seed())
        chosen = choose_seed("t", SEED, tmp_path, ["0" * 16])
        assert (chosen.text, chosen.origin) == (SEED, Origin.STACK_FILE)

    def test_a_remembered_one_is_found(self, tmp_path: Path) -> None:
        remember_seed("t", tmp_path, SEED)
        assert choose_seed("t", None, tmp_path, ()).text == SEED
        chosen = choose_seed("t", None, tmp_path, [identity_of(SEED)])
        assert (chosen.text, chosen.origin) == (SEED, Origin.REMEMBERED)

    def test_a_remembered_one_of_another_environment_is_not(self, tmp_path: Path) -> None:
        remember_seed("t", tmp_path, SEED)
        chosen = choose_seed("t", None, tmp_path, ["0" * 16])
        assert chosen.origin is Origin.MADE
        assert chosen.text != SEED

    def test_another_environments_is_not_found(self, tmp_path: Path) -> None:
        remember_seed("t", tmp_path, SEED)
        assert remembered_seed("other", tmp_path) is None
        assert choose_seed("other", None, tmp_path, ()).origin is Origin.MADE

    def test_what_is_remembered_is_this_users_only(self, tmp_path: Path) -> None:
        remember_seed("t", tmp_path, SEED)
        assert (tmp_path / "seeds/t").stat().st_mode & 0o777 == 0o600

    def test_a_seed_is_not_in_what_is_printed_of_it(self, tmp_path: Path) -> None:
        assert SEED not in repr(choose_seed("t", SEED, tmp_path, ()))


def test_owned_objects_are_listed_by_label_whatever_their_kind(
    fleet: Served, cluster: Cluster, api: ApiServer
) -> None:
    fleet.deploy("alice")
    api.put(namespace())
    other = fleet.claim("bob")
    other["metadata"]["labels"]["opencode-fleet/environment"] = "other"
    api.put(other)
    assert {key.kind for key in owned(cluster, "t")} == {
        "Deployment",
        "Namespace",
        "PersistentVolumeClaim",
    }
