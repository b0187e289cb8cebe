"""What stands in for a company's OpenID Connect provider: every answer of it can be made wrong.

Owns: its document, keys, tokens, and a record of what it was asked. Leaves out: a page where
somebody types a password; a test says who it is. The real one is in `tests/support/oidc_real.py`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

ISSUER = "https://id.example.com/realms/main"
CLIENT, CLIENT_SECRET = "fleet", "a secret: of+these tests"


def new_key(kid: str) -> ECKey:
    """Return a key that signs."""
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


@dataclass
class FakeProvider(httpx.AsyncBaseTransport):
    """A provider, reached as the transport of an httpx client."""

    now: Callable[[], datetime]
    login: str = "bob"
    claims: dict[str, Any] = field(default_factory=dict[str, Any])
    """Beside and instead of what a token says; None leaves a claim out."""
    person: dict[str, Any] = field(default_factory=dict[str, Any])
    """What it says of somebody when it is asked."""
    document: dict[str, Any] = field(default_factory=dict[str, Any])
    """Beside and instead of what its document says."""
    key: ECKey | RSAKey | OctKey = field(default_factory=lambda: new_key("one"))
    shown: list[dict[str, Any]] | None = None
    """Keys it shows, where they are not the one it signs with."""
    algorithm: str = "ES256"
    down: bool = False
    answers: dict[str, Callable[[], httpx.Response]] = field(
        default_factory=dict[str, Callable[[], httpx.Response]]
    )
    """What makes whole answers, by the last part of the path."""
    asked: list[str] = field(default_factory=list[str])
    """Last parts of the paths it was asked for."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    def sign_in(self, location: str, **more: str) -> str:
        """Do what a person does there; return path and query of the way back."""
        query = dict(parse_qsl(urlsplit(location).query))
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        back = {"code": code, "state": query["state"], "iss": ISSUER} | more
        return f"{urlsplit(query['redirect_uri']).path}?{urlencode(back)}"

    def token(self, **claims: Any) -> str:
        """Return an identity token."""
        moment = int(self.now().timestamp())
        said: dict[str, Any] = {
            "iss": ISSUER,
            "aud": CLIENT,
            "sub": "subject-1",
            "iat": moment,
            "exp": moment + 300,
            "preferred_username": self.login,
        }
        said |= claims | self.claims
        said = {name: value for name, value in said.items() if value is not None}
        header = {"alg": self.algorithm, "kid": self.key.kid}
        return jwt.encode(header, said, self.key, algorithms=[self.algorithm])

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rpartition("/")[2]
        self.asked.append(name)
        if self.down:
            raise httpx.ConnectError("connection refused", request=request)
        if name in self.answers:
            return self.answers[name]()
        body = dict(parse_qsl((await request.aread()).decode()))
        match name:
            case "openid-configuration":
                return _json(200, self._document())
            case "keys":
                mine = [self.key.as_dict(private=False)]
                return _json(200, {"keys": mine if self.shown is None else self.shown})
            case "token":
                return self._exchanged(request, body)
            case "me":
                return _json(200, self.person)
            case _:
                return _json(404, {})

    def _document(self) -> dict[str, Any]:
        places = {
            "authorization_endpoint": "auth",
            "token_endpoint": "token",
            "jwks_uri": "keys",
            "userinfo_endpoint": "me",
            "end_session_endpoint": "end?a=b",
        }
        urls = {name: f"{ISSUER}/{place}" for name, place in places.items()}
        said = {"issuer": ISSUER, "authorization_response_iss_parameter_supported": True}
        return said | urls | self.document

    def _exchanged(self, request: httpx.Request, body: dict[str, str]) -> httpx.Response:
        basic = base64.b64encode(b"fleet:a%20secret%3A%20of%2Bthese%20tests").decode()
        in_body = (body.get("client_id"), body.get("client_secret")) == (CLIENT, CLIENT_SECRET)
        if not in_body and request.headers.get("authorization") != f"Basic {basic}":
            return _json(401, {"error": "invalid_client"})
        begun = self.codes.pop(body["code"], None)
        digest = hashlib.sha256(body["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            begun is None
            or begun["code_challenge"] != challenge
            or begun["redirect_uri"] != body["redirect_uri"]
        ):
            return _json(400, {"error": "invalid_grant"})
        token = self.token(nonce=begun["nonce"])
        return _json(200, {"id_token": token, "access_token": "access", "token_type": "Bearer"})


def answer(status: int, body: bytes, **headers: str) -> httpx.Response:
    """Return an answer that is read as it comes, as those of a network are."""

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    return httpx.Response(status, headers=headers, content=pieces())


def _json(status: int, value: Any) -> httpx.Response:
    return answer(status, json.dumps(value).encode())
