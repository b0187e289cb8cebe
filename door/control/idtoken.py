"""What an identity token must say to prove who somebody is (OpenID Connect Core, 3.1.3.7).

Short because it is the rule that sign-in by a provider rests on, kept where it can be read alone.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError

from door.control.bounded import json_object
from door.control.provider import Key, NotProvenError

LEEWAY = timedelta(minutes=2)
"""How far the provider's clock may be from the door's."""
# Signed by the provider's own key alone: neither `none` nor a secret that both know.
ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}
)
_LONGEST = 32 * 1024
_LONGEST_SUBJECT = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What the door knows before it reads a token."""

    issuer: str
    client_id: str
    nonce: str
    algorithms: Collection[str]
    """What the provider signs with; empty where it does not say."""


def key_id(token: str) -> str | None:
    """Return which key a token says has signed it; raises NotProvenError for no token."""
    head, _, _ = token.partition(".")
    try:
        values = json_object(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError):
        values = None
    if values is None or len(token) > _LONGEST:
        raise NotProvenError("the identity token is none")
    kid = values.get("kid")
    return kid if isinstance(kid, str) else None


def claims_of(token: str, keys: Sequence[Key], expected: Expected, now: datetime) -> dict[str, Any]:
    """Return what a token says; raises NotProvenError where it proves nothing."""
    allowed = ALGORITHMS & frozenset(expected.algorithms or ALGORITHMS)
    claims = _signed(token, keys, sorted(allowed))
    reason = _broken(claims, expected, now.timestamp())
    if reason is not None:
        raise NotProvenError(f"the identity token {reason}")
    return claims


def _signed(token: str, keys: Sequence[Key], algorithms: list[str]) -> dict[str, Any]:
    for key in keys:
        try:
            return dict(jwt.decode(token, key, algorithms=algorithms).claims)
        except (JoseError, ValueError, TypeError):
            continue
    raise NotProvenError("the identity token is signed by no key of the provider")


def _broken(claims: dict[str, Any], expected: Expected, now: float) -> str | None:
    """Return the first rule that a token breaks."""
    leeway = LEEWAY.total_seconds()
    subject, nonce = claims.get("sub"), claims.get("nonce")
    rules = (
        (claims.get("iss") == expected.issuer, "is another issuer's"),
        (_for_us(claims, expected.client_id), "is for somebody else"),
        (_number(claims, "exp", 0) > now - leeway, "has expired"),
        (0 < _number(claims, "iat", 0) <= now + leeway, "is of a time to come"),
        (_number(claims, "nbf", 0) <= now + leeway, "does not count yet"),
        (isinstance(subject, str) and 0 < len(subject) <= _LONGEST_SUBJECT, "names nobody"),
        (
            isinstance(nonce, str) and hmac.compare_digest(nonce.encode(), expected.nonce.encode()),
            "is of another sign-in",
        ),
    )
    return next((reason for holds, reason in rules if not holds), None)


def _for_us(claims: dict[str, Any], client_id: str) -> bool:
    audience: Any = claims.get("aud")
    party = claims.get("azp")
    if audience in (client_id, [client_id]):
        return party in (None, client_id)
    return isinstance(audience, list) and client_id in audience and party == client_id


def _number(claims: dict[str, Any], name: str, missing: float) -> float:
    """Return a time; one that is no number breaks every rule."""
    value = claims.get(name, missing)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else float("nan")
