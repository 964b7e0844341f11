"""The dashboard's server: loopback without a key, any other address only with one. It answers GET and never writes."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qs

import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from contracts.errors import BusyError, InputError, LedgerError, StillroomError
from flows.dashboard import attribution_pages, lineage_pages, plan_pages, quality_page, running_page, spend_pages
from flows.dashboard.page import Page
from flows.dashboard.query import Query, ServedLinks, parse
from flows.dashboard.render import BUILDS_OFFERED, Frame, choices, policy, render, script
from flows.dashboard.source import Source
from ledger.snapshot import BuildRow

LOOPBACK = ["localhost", "127.0.0.1", "[::1]", "::1"]
COOKIE = "stillroom_dashboard"
LEAST_KEY = 16
LONGEST_FORM = 4096
PANELS: dict[str, Callable[[Source, Query], Page]] = {
    "overview": spend_pages.overview,
    "spend": spend_pages.spend,
    "budgets": plan_pages.budgets,
    "estimates": plan_pages.estimates,
    "quality": quality_page.quality,
    "lineage": lineage_pages.lineage,
    "attribution": attribution_pages.attribution,
    "running": running_page.running,
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Drawing = Callable[[Source, Query], Page]


def application(source: Source, key: SecretStr, loopback: bool = True) -> Starlette:
    """The pages of a home. An empty ``key`` asks for none; on loopback only its own names are answered to."""
    routes = [
        Route("/" if name == "overview" else f"/{name}", _page(source, draw), name=name)
        for name, draw in PANELS.items()
    ]
    routes += [
        Route("/artifacts/{name:path}", _page(source, None)),
        Route("/builds/{name:path}", _page(source, None)),
        Route("/static/live.js", _script),
        Route("/key", _enter(source, key), methods=["GET", "POST"]),
    ]
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK, www_redirect=False)] if loopback else []
    middleware.append(Middleware(BaseHTTPMiddleware, dispatch=_guard(source, key)))
    return Starlette(routes=routes, middleware=middleware, exception_handlers={404: _missing(source)})


def serve(source: Source, host: str, port: int, key: SecretStr, told: Callable[[str], None]) -> None:
    """Answer until interrupted. Raises InputError for an address that wants a key, BusyError for a port in use."""
    loopback = is_loopback(host)
    refuse_without_key(host, key)
    held = _listening(host, port)
    shown = f"[{host}]" if ":" in host else host
    told(f"http://{shown}:{held.getsockname()[1]}/")
    config = uvicorn.Config(
        application(source, key, loopback), log_level="warning", access_log=False, server_header=False, lifespan="off"
    )
    with held, contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[held])


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_without_key(host: str, key: SecretStr) -> None:
    """Raise InputError where others could reach the pages without a key, or with one that can be guessed."""
    length = len(key.get_secret_value())
    if not is_loopback(host) and not length:
        hint = "set STILLROOM_DASHBOARD_KEY for its readers and put TLS in front, or stay on 127.0.0.1"
        raise InputError("--host", "is no loopback address: it is served only with a key", got=host, hint=hint)
    if 0 < length < LEAST_KEY:
        hint = "openssl rand -hex 24 makes one"
        raise InputError("STILLROOM_DASHBOARD_KEY", f"must have {LEAST_KEY} characters or more", got=length, hint=hint)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        held = socket.socket(family, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, port))
        held.listen()  # who follows the address at once waits for the first answer, and is not refused
    except socket.gaierror as error:
        raise InputError(
            "--host", "is not an address of this machine", got=host, hint="for example 127.0.0.1"
        ) from error
    except OSError as error:
        hint = "another dashboard may hold it; --port 0 takes a free one"
        raise BusyError(f"{host}:{port}", "cannot be listened on", got=error.strerror, hint=hint) from error
    return held


def _page(source: Source, draw: Drawing | None) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return await run_in_threadpool(_answer, source, request, draw)

    return answer


def _answer(source: Source, request: Request, draw: Drawing | None) -> Response:
    """The page, or the error as a page."""
    query = Query()
    try:
        query = parse(dict(request.query_params))
        page = draw(source, query) if draw is not None else _of_one(source, query, request)
    except StillroomError as error:
        page = _message(error)
    return _drawn(source, query, page, request.url.path)


def _of_one(source: Source, query: Query, request: Request) -> Page:
    name = request.path_params["name"]
    if request.url.path.startswith("/builds/"):
        return attribution_pages.build(source, query, name)
    return lineage_pages.artifact(source, query, name)


def _message(error: StillroomError) -> Page:
    """An error in the house's form as a page: what cannot be read now is 503, what is not there 404, else 400."""
    status = 503 if isinstance(error, LedgerError) and error.subject not in ("from", "to") else 400
    if "is not in this" in error.fact:
        status = 404
    title = {503: "The ledger cannot be shown", 404: "Not found"}.get(status, "This cannot be asked")
    told = {"message": error.line, "hint": error.hint, "key_wanted": False, "next_path": "/"}
    return Page("message", "", title, title, told=told, status=status)


def _drawn(source: Source, query: Query, page: Page, path: str) -> Response:
    builds: Sequence[BuildRow]
    try:
        builds = () if page.template == "message" else source.builds()
        ledger = source.name
    except StillroomError:
        builds, ledger = (), "unread"
    asks = page.template not in ("message", "artifact", "build")
    frame = Frame(
        query, ServedLinks(query), source.now(), ledger, path,
        filters=asks, builds=tuple(builds[:BUILDS_OFFERED]), offered=choices(builds),
    )  # fmt: skip
    headers = {"Content-Security-Policy": f"{policy(scripts=page.live)}; frame-ancestors 'none'"}
    return HTMLResponse(render(page, frame), page.status, headers)


def _missing(source: Source) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, _error: Exception) -> Response:
        error = InputError("page", "is not in this dashboard", hint="the menu names all pages")
        return await run_in_threadpool(_drawn, source, Query(), _message(error), request.url.path)

    return answer


async def _script(_request: Request) -> Response:
    return PlainTextResponse(script(), media_type="text/javascript")


def _token(key: SecretStr) -> str:
    """What the cookie holds: it tells the key to nobody."""
    return hmac.new(key.get_secret_value().encode(), b"stillroom dashboard", hashlib.sha256).hexdigest()


def _guard(source: Source, key: SecretStr) -> Callable[[Request, RequestResponseEndpoint], Awaitable[Response]]:
    """Ask for the key where there is one, and put the headers on every answer."""

    async def dispatch(request: Request, call_next: RequestResponseEndpoint) -> Response:
        wanted = key.get_secret_value()
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        shown = hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), _token(key).encode())
        if not wanted or request.url.path == "/key" or shown or hmac.compare_digest(given.encode(), wanted.encode()):
            response = await call_next(request)
        else:
            response = await run_in_threadpool(
                _ask, source, str(request.url.path), "These pages are shown to who has the key."
            )
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return dispatch


def _ask(source: Source, path: str, told: str) -> Response:
    words = {"message": told, "hint": "", "key_wanted": True, "next_path": path}
    return _drawn(source, Query(), Page("message", "", "Key", "A key is asked for", told=words, status=401), path)


def _enter(source: Source, key: SecretStr) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LONGEST_FORM:
                return PlainTextResponse("too long", 413)
        form = parse_qs(body.decode("utf-8", "replace"))
        given, path = form.get("key", [""])[0], form.get("next", ["/"])[0]
        wanted = key.get_secret_value()
        if wanted and hmac.compare_digest(given.encode(), wanted.encode()):
            inside = path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
            response = RedirectResponse(inside, 303)
            response.set_cookie(COOKIE, _token(key), httponly=True, samesite="strict")
            return response
        return await run_in_threadpool(_ask, source, "/", "That is not the key." if given else "Give the key.")

    return answer
