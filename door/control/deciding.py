"""May this request reach this runtime, and where is it: the answer nginx asks for every request.

Owns: the order of the questions (who asks, from where, whose host, is it awake), waking by a
request, holding a program's call until the runtime is ready. Leaves out: what each refusal looks
like (`refusing`), the rules asked on the way (`crosssite`, `credentials`, `sessions`, `use`).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from door.control.asking import Asked
from door.control.context import Context, Proof, Refusal, Visitor
from door.control.counters import DECISIONS
from door.control.credentials import Denied
from door.control.crosssite import from_own_page
from door.control.grants import upstream_of
from door.control.header import others_word
from door.control.use import counts_as_use
from door.control.world import NotWakingError, Phase, Runtime, Wanted

HELD_SECONDS = 60.0
_EVENTS = frozenset({"/event", "/global/event", "/api/event"})
_HEALTH = frozenset({"/global/health", "/api/health"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Passed:
    """The request goes on."""

    upstream: str
    """Who serves it: the runtime's pod, the relay, or control itself."""
    host: str
    """`Host` that the runtime is to see."""
    authorization: str = ""
    grant: str = ""
    set_cookie: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """It does not."""

    refusal: Refusal
    wait: int = 0


async def who_asks(context: Context, asked: Asked) -> Visitor | Refused | None:
    """Return who is asking; None is nobody, Refused somebody who may not ask like this."""
    visitor = await context.credentials.judge(asked)
    if isinstance(visitor, Denied):
        return Refused(refusal=visitor.refusal, wait=visitor.wait)
    if visitor is not None:
        return visitor
    cookies = asked.headers.getlist("cookie")
    session = context.sessions.read(cookies, asked.host, context.now())
    if session is None:
        return None
    if not from_own_page(asked, context.settings.origin(asked.host)):
        return Refused(refusal=Refusal.CROSS_SITE)
    runtime = context.world.by_id(session.user)
    if runtime is None or others_word(context.settings, asked, runtime):
        return None
    return Visitor(runtime=runtime, proof=Proof.SESSION, session=session)


async def decide(context: Context, asked: Asked) -> Passed | Refused:
    """Return what becomes of a request."""
    answer = await _decide(context, asked)
    outcome = answer.refusal.value if isinstance(answer, Refused) else "passed"
    DECISIONS.labels(outcome).inc()
    return answer


async def _decide(context: Context, asked: Asked) -> Passed | Refused:
    settings = context.settings
    if asked.host == settings.domain:
        # Who asks the front is found out there; here only its cookie is kept fresh.
        return Passed(
            set_cookie=_kept_fresh(context, asked),
            upstream=context.serving.control,
            host=_authority(context, asked.host),
        )
    visitor = await who_asks(context, asked)
    if isinstance(visitor, Refused):
        return visitor
    if visitor is None:
        return Refused(refusal=Refusal.SIGNED_OUT)
    if visitor.runtime.host(settings.domain) != asked.host:
        return Refused(refusal=Refusal.UNKNOWN)
    set_cookie = ""
    uses = not is_stream(asked) and counts_as_use(asked.method, asked.uri, asked.headers)
    if uses:
        context.world.touch(visitor.runtime.id)
        if visitor.session is not None:
            set_cookie = context.sessions.use(visitor.session, context.now()) or ""
    wakes = uses or (visitor.session is None and _is_call(asked))
    runtime = await _awake(context, asked, visitor.runtime, wakes=wakes)
    if isinstance(runtime, Refused):
        return runtime
    return _passed(context, asked, visitor, runtime, set_cookie)


def _kept_fresh(context: Context, asked: Asked) -> str:
    """Return the cookie to set on the front where a person uses it."""
    cookies = asked.headers.getlist("cookie")
    session = context.sessions.read(cookies, asked.host, context.now())
    own = from_own_page(asked, context.settings.front)
    if session is None or not own or not (asked.opens_page or not asked.reads):
        return ""
    return context.sessions.use(session, context.now()) or ""


async def _awake(
    context: Context, asked: Asked, runtime: Runtime, *, wakes: bool
) -> Runtime | Refused:
    """Return the runtime once it is ready; a person who opens a page sees one meanwhile."""
    if runtime.wanted is Wanted.SUSPENDED or runtime.phase is Phase.SUSPENDED:
        return Refused(refusal=Refusal.SUSPENDED)
    if runtime.phase is Phase.READY and runtime.address is not None:
        return runtime
    if not wakes:
        return Refused(refusal=Refusal.WAKING)
    try:
        await context.world.wake(runtime.id)
        if asked.opens_page:
            failing = runtime.phase is Phase.FAILING
            return Refused(refusal=Refusal.FAILING if failing else Refusal.WAKING)
        ready = await context.world.wait_ready(runtime.id, HELD_SECONDS)
    except NotWakingError:
        now = context.world.by_id(runtime.id)
        failing = now is not None and now.phase is Phase.FAILING
        return Refused(refusal=Refusal.FAILING if failing else Refusal.WAKING)
    return ready if ready.address is not None else Refused(refusal=Refusal.WAKING)


def _passed(
    context: Context, asked: Asked, visitor: Visitor, runtime: Runtime, set_cookie: str
) -> Passed | Refused:
    upstream = upstream_of(runtime)
    if upstream is None:
        return Refused(refusal=Refusal.WAKING)
    served_by = upstream
    if is_stream(asked):
        served_by = context.serving.relay
    elif (asked.method, asked.path) in context.serving.on_workspaces:
        served_by = context.serving.control
    grant = ""
    if served_by != upstream:
        grant = context.grants.write(visitor, upstream, context.now())
    return Passed(
        upstream=served_by,
        host=_authority(context, asked.host),
        authorization=authorization(context, runtime),
        grant=grant,
        set_cookie=set_cookie,
    )


def is_stream(asked: Asked) -> bool:
    """Return whether an answer stays open: an event stream, a terminal."""
    return asked.upgrade or (asked.reads and asked.path in _EVENTS)


def _is_call(asked: Asked) -> bool:
    """Return whether a program wants more of a runtime than to hear whether it is up."""
    return not is_stream(asked) and asked.path not in _HEALTH


def authorization(context: Context, runtime: Runtime) -> str:
    """Return the credential that a runtime asks for: its user's id and password."""
    password = context.keys.password(runtime.id, runtime.password_version)
    return "Basic " + base64.b64encode(f"{runtime.id}:{password}".encode()).decode()


def _authority(context: Context, host: str) -> str:
    """Return a host as browsers write it: OpenCode compares it with `Origin`."""
    return context.settings.origin(host).partition("://")[2]
