"""What the door asks an OpenID Connect provider, and how long it waits for an answer.

Owns: the provider's document and keys with how long they are kept, exchanging a code, asking who
it is. Everything that comes back is a stranger's: bounded in size and time, no redirect followed.
Leaves out: what an identity token must say (`idtoken`), the browser's way (`oidc`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from door.control.bounded import TooLongError, json_object, one_line, read_up_to
from door.control.settings import Oidc

DOCUMENT = "/.well-known/openid-configuration"
_LARGEST = 256 * 1024
_TIMEOUT = 10.0
# What a document says seldom changes; where it cannot be had anew, the old one goes on counting.
_DOCUMENT_SECONDS = 3600.0
# After a failure, and between two looks for a key that is not known.
_PAUSE_SECONDS = 5.0
_MOST_KEYS = 50
_OK, _CLIENT_ERROR, _TOO_MANY, _SERVER_ERROR = 200, 400, 429, 500
_KINDS: Mapping[str, type[RSAKey | ECKey]] = {"RSA": RSAKey, "EC": ECKey}
_log = logging.getLogger("door.sign-in")

Key = RSAKey | ECKey


class NoProviderError(Exception):
    """The provider does not answer, or not as one; the text says how."""


class NotProvenError(Exception):
    """The provider answers, and that proves nothing; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """What a provider says of itself."""

    issuer: str
    authorization: str
    token: str
    keys: str
    person: str | None
    """Where it says who somebody is; many say so little in the token itself."""
    sign_out: str | None
    algorithms: frozenset[str]
    """What it signs with; empty where it does not say."""
    secret_in_body: bool
    names_itself: bool
    """Whether its answers to browsers name the issuer (RFC 9207)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """What a code is exchanged for."""

    identity: str
    access: str | None


class Provider:
    """One provider."""

    def __init__(
        self,
        oidc: Oidc,
        secret: str,
        moment: Callable[[], float],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`moment` is a clock that only grows; nothing is asked before somebody signs in."""
        self._oidc = oidc
        self._secret = secret
        self._moment = moment
        self._client = httpx.AsyncClient(
            timeout=_TIMEOUT,
            follow_redirects=False,
            transport=transport,
            trust_env=transport is None,
            # Sign-ins are rare: no connection is kept for the next one.
            limits=httpx.Limits(max_connections=20, max_keepalive_connections=0),
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )
        self._document: Document | None = None
        self._document_until = 0.0
        self._failed: tuple[float, str] | None = None
        self._keys: list[Key] = []
        self._keys_from = ""
        self._keys_at = float("-inf")
        self._asking = asyncio.Lock()

    async def document(self) -> Document:
        """Return what the provider says of itself; raises NoProviderError."""
        async with self._asking:
            if self._document is not None and self._moment() < self._document_until:
                return self._document
            if self._failed is not None and self._moment() < self._failed[0]:
                raise NoProviderError(self._failed[1])
            try:
                self._document = await self._read_document()
            except NoProviderError as error:
                if self._document is None:
                    self._failed = (self._moment() + _PAUSE_SECONDS, str(error))
                    raise
                _log.warning("the provider does not answer, its old document counts: %s", error)
                self._document_until = self._moment() + _PAUSE_SECONDS
            else:
                self._document_until = self._moment() + _DOCUMENT_SECONDS
                self._failed = None
            return self._document

    async def keys(self, kid: str | None) -> list[Key]:
        """Return the provider's keys that may have signed as `kid`; raises NoProviderError.

        A key that is not known is looked for, as providers exchange theirs; not at every try.
        """
        document = await self.document()
        async with self._asking:
            found = self._known(document, kid)
            if not found and self._moment() >= self._keys_at + _PAUSE_SECONDS:
                answer = await self._asked("GET", document.keys)
                self._keys = _keys(_good(answer, "its keys"))
                self._keys_from, self._keys_at = document.keys, self._moment()
                found = self._known(document, kid)
            return found

    async def exchange(self, code: str, verifier: str, back: str) -> Granted:
        """Exchange a code; raises NoProviderError, NotProvenError where it is not taken."""
        document = await self.document()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "code_verifier": verifier,
        }
        login: tuple[str, str] | None = None
        if document.secret_in_body:
            form |= {"client_id": self._oidc.client_id, "client_secret": self._secret}
        else:
            # RFC 6749, 2.3.1: both are encoded as a form's fields are.
            login = (quote(self._oidc.client_id, safe=""), quote(self._secret, safe=""))
        status, body = await self._asked("POST", document.token, data=form, auth=login)
        values = json_object(body) or {}
        if _CLIENT_ERROR <= status < _SERVER_ERROR and status != _TOO_MANY:
            said = one_line(values.get("error"), 60) or f"status {status}"
            raise NotProvenError(f"the provider does not take the code: {said}")
        values = _good((status, body), "the exchange of a code")
        identity, access = values.get("id_token"), values.get("access_token")
        if not isinstance(identity, str):
            raise NotProvenError("the provider gives no identity token")
        return Granted(identity=identity, access=access if isinstance(access, str) else None)

    async def person(self, access: str | None) -> dict[str, Any]:
        """Return what the provider says of somebody; empty where it cannot be asked."""
        where = (await self.document()).person
        if where is None or access is None:
            return {}
        headers = {"Authorization": f"Bearer {access}"}
        return _good(await self._asked("GET", where, headers=headers), "who somebody is")

    def _known(self, document: Document, kid: str | None) -> list[Key]:
        if self._keys_from != document.keys:
            return []
        return [key for key in self._keys if kid is None or key.kid == kid]

    async def _read_document(self) -> Document:
        issuer = self._oidc.issuer.rstrip("/")
        values = _good(await self._asked("GET", issuer + DOCUMENT), "its document")
        said = values.get("issuer")
        if not isinstance(said, str) or said.rstrip("/") != issuer:
            raise NoProviderError(f"its document is that of another issuer: {one_line(said, 200)}")
        secure = not issuer.startswith("http:")
        authorization = _url(values, "authorization_endpoint", secure)
        token, keys = _url(values, "token_endpoint", secure), _url(values, "jwks_uri", secure)
        if authorization is None or token is None or keys is None:
            raise NoProviderError("its document does not say where to sign in, or not by https")
        ways = values.get("token_endpoint_auth_methods_supported")
        return Document(
            issuer=said,
            authorization=authorization,
            token=token,
            keys=keys,
            person=_url(values, "userinfo_endpoint", secure),
            sign_out=_url(values, "end_session_endpoint", secure),
            algorithms=frozenset(_texts(values.get("id_token_signing_alg_values_supported"))),
            secret_in_body=isinstance(ways, list)
            and "client_secret_basic" not in ways
            and "client_secret_post" in ways,
            names_itself=values.get("authorization_response_iss_parameter_supported") is True,
        )

    async def _asked(self, method: str, url: str, **more: Any) -> tuple[int, bytes]:
        """Return status and body; raises NoProviderError."""
        try:
            # The client's own time-outs are for each piece of an answer, not for all of it.
            async with (
                asyncio.timeout(_TIMEOUT),
                self._client.stream(method, url, **more) as answer,
            ):
                return answer.status_code, await read_up_to(answer.aiter_raw(), _LARGEST)
        except TimeoutError:
            raise NoProviderError(f"{_bare(url)}: no answer in {_TIMEOUT:.0f} s") from None
        except TooLongError:
            raise NoProviderError(f"{_bare(url)}: its answer has no end") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            said = one_line(str(error) or type(error).__name__, 200)
            raise NoProviderError(f"{_bare(url)}: {said}") from None


def _good(answer: tuple[int, bytes], what: str) -> dict[str, Any]:
    status, body = answer
    if status != _OK:
        raise NoProviderError(f"{what}: status {status}")
    values = json_object(body)
    if values is None:
        raise NoProviderError(f"{what}: no JSON object")
    return values


def _keys(values: Mapping[str, Any]) -> list[Key]:
    """Return the public keys that can sign; what else stands there is left out."""
    given = values.get("keys")
    keys: list[Key] = []
    for one in cast("list[Any]", given)[:_MOST_KEYS] if isinstance(given, list) else []:
        if not isinstance(one, dict):
            continue
        fields = cast("dict[str, Any]", one)
        kind = _KINDS.get(str(fields.get("kty")))
        if kind is None or fields.get("use", "sig") != "sig":
            continue
        try:
            keys.append(kind.import_key(fields))
        except (JoseError, ValueError, TypeError, KeyError):
            _log.warning("a key of the provider cannot be read: %s", one_line(fields.get("kid")))
    return keys


def _url(values: Mapping[str, Any], name: str, secure: bool) -> str | None:
    value = values.get(name)
    begins = ("https://",) if secure else ("https://", "http://")
    return value if isinstance(value, str) and value.startswith(begins) else None


def _texts(value: object) -> list[str]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [item for item in items if isinstance(item, str)]


def _bare(url: str) -> str:
    return one_line(url.partition("?")[0], 200)
