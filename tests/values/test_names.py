"""Names of objects: safe for DNS, never equal for two ids, unchanged for plain ids."""

from __future__ import annotations

import re
import string
import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fleet import names
from fleet.values.scalars import EnvironmentName, PoolName, SceneId, UserId

# RFC 1123 label; RFC 1035 label, which a Service's name must be.
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
STRICT = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")

PLAIN = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?", fullmatch=True)
TEXT = st.text(max_size=200)
ID_ALPHABET = string.ascii_lowercase + string.digits + "._@+-"
IDS = st.from_regex(r"[a-z0-9]([a-z0-9._@+-]{0,126}[a-z0-9])?", fullmatch=True).filter(
    lambda text: text not in {"admin", "agent-control", "api", "default", "root", "www"}
)
# Characters that other characters look like, fold to, or decompose into.
LOOKALIKES = st.text(
    alphabet=st.sampled_from(
        list(
            "a\u00e0\u00e1\u00e2\u0430\u03b1\uff41\u1d43\U0001d41aAe\u00e9"
            "\u0435\u03b51lI\u0456|0o\u043e\u03bf.-_@+\u00df\u017fs\u1e9e\ufb01fiK\u212ak\u00ad\u200b\u0301"
        )
    ),
    max_size=12,
)


@given(TEXT)
@example("")
@example("-" * 70)
@example("\N{COMBINING ACUTE ACCENT}")
@example("\ud800")
@example("a\n")
def test_any_text_becomes_a_dns_label(text: str) -> None:
    assert LABEL.fullmatch(names.slug(text))
    assert len(names.slug(text)) <= names.SLUG_MAX
    assert STRICT.fullmatch(names.user_object_name(text))


@given(st.one_of(PLAIN, TEXT, LOOKALIKES), st.one_of(PLAIN, TEXT, LOOKALIKES))
@example("alice", "Alice")
@example("alice", "alice ")
@example("alice.smith", "alice-smith")
@example("alice_smith", "alice.smith")
@example("\N{LATIN SMALL LETTER E WITH ACUTE}", "e\N{COMBINING ACUTE ACCENT}")
@example("\N{KELVIN SIGN}", "k")
@example("a" * 48, "a" * 49)
@example("a" * 60 + "x", "a" * 60 + "y")
def test_two_texts_never_share_a_name(one: str, two: str) -> None:
    assume(one != two)
    assert names.slug(one) != names.slug(two)


@given(st.one_of(TEXT, LOOKALIKES))
def test_a_plain_text_that_looks_like_a_result_is_no_way_to_meet_it(text: str) -> None:
    result = names.slug(text)
    assume(result != text)
    assert names.slug(result) != result


@given(PLAIN)
def test_a_plain_text_stays_as_it_is(text: str) -> None:
    assume(not re.fullmatch(r".*-[0-9a-f]{10}", text))
    assert names.slug(text) == text


@given(IDS)
def test_an_id_that_had_to_change_stays_readable(user_id: str) -> None:
    name = names.slug(user_id)
    if name != user_id:
        head = re.sub(r"-[0-9a-f]{10}$", "", name)
        plain = re.sub(r"[^a-z0-9]+", "-", user_id)
        assert plain.startswith(head)


@pytest.mark.parametrize(
    ("user_id", "name"),
    [
        ("alice", "oc-alice"),
        ("a", "oc-a"),
        ("7", "oc-7"),
        ("bob-2", "oc-bob-2"),
        ("alice.smith", "oc-alice-smith-6342582757"),
        ("alice@example.com", "oc-alice-example-com-ff8d9819fc"),
        ("a--b", "oc-a--b"),
    ],
)
def test_names_of_deployed_users_never_change(user_id: str, name: str) -> None:
    # Claims are found by these names: a new release that makes others loses people's work.
    assert names.user_object_name(user_id) == name


@given(IDS, IDS)
def test_hosts_and_selectors_differ_when_ids_do(one: str, two: str) -> None:
    assume(one != two)
    assert names.host_name(one, "d.test") != names.host_name(two, "d.test")
    assert names.user_selector(one) != names.user_selector(two)
    assert LABEL.fullmatch(names.host_name(one, "d.test").removesuffix(".d.test"))


SHORT = st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,9}", fullmatch=True)


@given(SHORT, SHORT, SHORT, SHORT)
@example("a", "b-c", "a-b", "c")
def test_namespaces_of_two_pools_never_meet(one: str, two: str, three: str, four: str) -> None:
    assume((one, two) != (three, four))
    for name in (one, three):
        TypeAdapter(EnvironmentName).validate_python(name)
    assert names.namespace_name(one, two) != names.namespace_name(three, four)
    assert names.shared_volume_name(one, two) != names.shared_volume_name(three, four)


def test_the_longest_names_still_fit() -> None:
    environment, pool, scene, user = "e" * 20, "p" * 20, "s" * 40, "u" * 128
    TypeAdapter(EnvironmentName).validate_python(environment)
    TypeAdapter(PoolName).validate_python(pool)
    TypeAdapter(SceneId).validate_python(scene)
    TypeAdapter(UserId).validate_python(user)
    longest = [
        names.namespace_name(environment, pool),
        names.shared_volume_name(environment, pool),
        names.user_object_name(user),
        f"{names.user_object_name(user)}-tls",
        names.content_name("scene", scene, "0" * 64),
        names.content_name("managed", "config", "0" * 64),
        f"scene-{scene}",
    ]
    assert [name for name in longest if len(name) > 63 or not LABEL.fullmatch(name)] == []


@given(IDS)
def test_labels_are_what_kubernetes_takes(user_id: str) -> None:
    labels = names.user_labels("e" * 20, "p" * 20, user_id)
    assert all(LABEL_VALUE.fullmatch(value) for value in labels.values())
    assert names.user_selector(user_id).items() <= labels.items()
    assert names.runtime_selector().items() <= labels.items()
    assert names.pool_labels("e" * 20, "p" * 20).items() <= labels.items()


@given(TEXT)
def test_only_ids_that_look_as_they_are_stored_are_accepted(text: str) -> None:
    try:
        accepted = TypeAdapter(UserId).validate_python(text)
    except ValidationError:
        return
    assert accepted == text
    assert set(text) <= set(ID_ALPHABET)
    assert unicodedata.normalize("NFKC", text).casefold() == text
