"""What a decision hands to the relay and to control's own handlers: which runtime, for whom.

nginx carries it from the decision to whoever serves the request; it is signed, so that nobody else
can make one, and holds for seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from door.control.context import Context, Proof, Visitor
from door.control.keys import Keys
from door.control.names import RUNTIME_PORT
from door.control.sessions import Session, session_of
from door.control.world import Runtime, Wanted

HEADER = "x-door-grant"
# An API call may be held for a minute before it goes on.
_LIFETIME_SECONDS = 90


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """A decision that went well."""

    user: str
    password_version: int
    upstream: str
    """Address and port of the runtime's pod."""
    proof: Proof
    session: Session | None
    """None for a program."""
    service: str | None

    def holds(self, context: Context) -> bool:
        """Return whether whoever was let in may still stay."""
        runtime = context.world.by_id(self.user)
        if runtime is None or runtime.wanted is Wanted.SUSPENDED:
            return False
        if runtime.password_version != self.password_version:
            return False
        return self.session is None or context.sessions.holds(self.session, context.now())


class Grants:
    """Writes and reads them."""

    def __init__(self, keys: Keys) -> None:
        """Grants are signed by a key of their own."""
        self._signer = keys.signer("grant")

    def write(self, visitor: Visitor, upstream: str, now: datetime) -> str:
        """Return a grant as a header's value."""
        values: dict[str, Any] = {
            "u": visitor.runtime.id,
            "v": visitor.runtime.password_version,
            "a": upstream,
            "t": int(now.timestamp()),
            "w": visitor.proof.value,
            "n": visitor.service,
            "c": visitor.session.values if visitor.session is not None else None,
        }
        return self._signer.sign(values)

    def read(self, text: str, now: datetime) -> Grant | None:
        """Return the grant of a header's value."""
        values = self._signer.read(text)
        if values is None or abs(now.timestamp() - values["t"]) > _LIFETIME_SECONDS:
            return None
        return Grant(
            user=values["u"],
            password_version=values["v"],
            upstream=values["a"],
            proof=Proof(values["w"]),
            service=values["n"],
            session=session_of(values["c"]) if values["c"] is not None else None,
        )


def upstream_of(runtime: Runtime) -> str | None:
    """Return where a runtime answers; None when no pod of it is ready."""
    if runtime.address is None:
        return None
    address = f"[{runtime.address}]" if ":" in runtime.address else runtime.address
    return f"{address}:{RUNTIME_PORT}"
