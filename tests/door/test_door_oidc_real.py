"""Signing in at a certified provider: the shipped door, the real way there and back."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey

from tests.support.door_stack import ALICE, DOMAIN, FORM, Answer, Browser, RunningDoor, running_door
from tests.support.oidc_real import CLIENT, CLIENT_SECRET, RealProvider

pytestmark = pytest.mark.door
START = "/.door/oidc"


class Person:
    """A browser before the door and at the provider."""

    def __init__(self, door: RunningDoor, provider: RealProvider) -> None:
        self.browser: Browser = door.browser()
        self.provider = provider
        self.client = httpx.Client(trust_env=False, timeout=30)

    def there(self, path: str = START) -> str:
        """Begin; return where the door sends the browser."""
        answer = self.browser.ask(DOMAIN, path)
        assert answer.status == 303, answer.page
        return answer.header("location") or ""

    def back(self, location: str, login: str = "alice") -> str:
        """Sign in at the provider; return path and query that it sends back to."""
        parts = urlsplit(self.provider.walk(self.client, location, login))
        assert parts.path == "/.door/oidc/back"
        return f"{parts.path}?{parts.query}"

    def sign_in(self, login: str = "alice") -> Answer:
        """Go the whole way, up to the door's answer."""
        return self.browser.ask(DOMAIN, self.back(self.there(), login))

    @property
    def signed_in(self) -> bool:
        """Whether the front knows the browser."""
        return "__Host-fleet" in self.browser.jar.get(DOMAIN, {})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningDoor, RealProvider]]:
    """A door whose people sign in at a provider, not started yet."""
    folder = tmp_path_factory.mktemp("oidc")
    provider = RealProvider(folder, "")
    settings = {"signIn": "oidc", "oidc": {"issuer": provider.issuer, "clientId": CLIENT}}
    secrets = {"oidc-client-secret": CLIENT_SECRET}
    with running_door(folder, settings=settings, files=secrets) as door:
        provider.front = f"http://{DOMAIN}:{door.port}"
        try:
            yield door, provider
        finally:
            provider.stop()


@pytest.fixture
def person(place: tuple[RunningDoor, RealProvider]) -> Iterator[Person]:
    """Somebody new, and a provider that runs."""
    door, provider = place
    if provider.process is None:
        provider.start()
    one = Person(door, provider)
    with one.client:
        yield one


def refused(person: Person, answer: Answer, status: int, text: str) -> None:
    assert answer.status == status, answer.page
    assert text in answer.page
    assert not person.signed_in


FAILED = "Signing in did not work"


def test_a_person_signs_in_at_the_certified_provider_and_works(person: Person) -> None:
    page = person.browser.ask(DOMAIN, "/.door/sign-in?next=/people")
    assert "Sign in with your organisation" in page.page
    answer = person.browser.ask(DOMAIN, person.back(person.there(START + "?next=/people")))
    assert (answer.status, answer.header("location")) == (303, "/people")
    workspace = person.browser.open(ALICE, "/")
    assert workspace.status == 200
    assert "a workspace" in workspace.page


def test_the_certified_provider_signs_out_too(person: Person) -> None:
    person.sign_in()
    answer = person.browser.ask(DOMAIN, "/.door/sign-out", "POST", headers=FORM, body=b"")
    url = (answer.header("refresh") or "").partition("; url=")[2]
    end = person.provider.walk(person.client, url)
    assert end == f"{person.provider.front}/.door/signed-out"
    assert not person.signed_in
    # It asks who it is again: nobody is signed in there.
    page = person.client.get(person.there(), follow_redirects=True)
    assert 'name="login"' in page.text


def test_the_wrong_state_is_refused(person: Person) -> None:
    back = person.back(person.there())
    query = dict(parse_qsl(urlsplit(back).query)) | {"state": "a" * 32}
    answer = person.browser.ask(DOMAIN, f"/.door/oidc/back?{urlencode(query)}")
    refused(person, answer, 400, FAILED)


def test_a_code_is_taken_once(person: Person) -> None:
    back = person.back(person.there())
    kept = dict(person.browser.jar[DOMAIN])
    assert person.browser.ask(DOMAIN, back).status == 303
    person.browser.jar[DOMAIN] = kept
    refused(person, person.browser.ask(DOMAIN, back), 400, FAILED)


@pytest.mark.parametrize("name", ["nonce", "code_challenge"])
def test_a_way_that_was_changed_is_refused(person: Person, name: str) -> None:
    where, _, query = person.there().partition("?")
    changed = dict(parse_qsl(query)) | {name: "b" * 43}
    answer = person.browser.ask(DOMAIN, person.back(f"{where}?{urlencode(changed)}"))
    refused(person, answer, 400, FAILED)


def test_somebody_whom_only_the_provider_knows_is_told(person: Person) -> None:
    refused(person, person.sign_in("mallory"), 403, "You have no workspace here yet")


def test_an_expired_token_is_refused(person: Person) -> None:
    person.provider.stop()
    person.provider.start(behind=300 + 150)
    try:
        refused(person, person.sign_in(), 400, FAILED)
        assert "the identity token has expired" in person.browser.door.log()
    finally:
        person.provider.stop()


@pytest.mark.parametrize("behind", [-100, 300 + 60])
def test_a_clock_that_is_two_minutes_off_at_the_provider_is_right(
    person: Person, behind: int
) -> None:
    person.provider.stop()
    person.provider.start(behind=behind)
    try:
        assert person.sign_in().status == 303
    finally:
        person.provider.stop()


def test_a_provider_that_has_exchanged_its_key_is_believed(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert person.sign_in().status == 303
    person.provider.stop()
    monkeypatch.setattr(person.provider, "key", ECKey.generate_key("P-256", {"kid": "two"}))
    person.provider.start()
    door = person.browser.door
    # What the door knows of the provider is older than the pause between two looks: a new process.
    door.kill_control()
    door.start_control()
    other = Person(door, person.provider)
    with other.client:
        assert other.sign_in().status == 303
    person.provider.stop()


def test_a_provider_that_is_down_is_told_and_who_is_in_works_on(person: Person) -> None:
    person.sign_in()
    other = Person(person.browser.door, person.provider)
    with other.client:
        back = other.back(other.there())
    person.provider.stop()
    refused(other, other.browser.ask(DOMAIN, back), 503, "does not answer")
    assert person.browser.open(ALICE, "/").status == 200
    out = person.browser.ask(DOMAIN, "/.door/sign-out", "POST", headers=FORM, body=b"")
    assert out.status == 200
    assert not person.signed_in
