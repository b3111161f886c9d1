"""What mmm_web answers, and to whom."""

import asyncio
import base64
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import exposition

from mmm.config.effective import fingerprint
from mmm.config.model import Cluster, Web
from mmm.process.conf_file import UnusableError
from mmm.web.feed import Change, Feed
from mmm.web.metrics import Metrics
from mmm.wire.follow import ALIVE, Kind, position

FOLLOW = "/api/follow"
FOLLOWERS = 50
"""Clients at once that follow what happens."""
PATIENCE = 10.0
"""Seconds for a client to take what it is sent."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

_PAGE = Path(__file__).with_name("page")
_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Pages:
    """What can be asked for."""

    def __init__(self, conf: Web, feed: Feed, metrics: Metrics, read_conf: Callable[[], Cluster]) -> None:
        self._conf, self._feed, self._metrics, self._read_conf = conf, feed, metrics, read_conf
        self._followers = 0
        self._files = {path: ((_PAGE / name).read_bytes(), kind) for path, (name, kind) in _FILES.items()}

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(middlewares=[self._guarded], client_max_size=1024)
        app.add_routes(
            [
                *(web.get(path, self.file) for path in _FILES),
                web.get("/metrics", self.metrics),
                web.get("/health", self.health),
                web.get("/api/status", self.status),
                web.get(FOLLOW, self.follow, allow_head=False),
            ]
        )
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who knows the password; without one, who means this machine by a name that is its own."""
        if self._conf.password:
            if not self._knows_password(request):
                challenge = {"WWW-Authenticate": 'Basic realm="MMM", charset="UTF-8"'}
                return _finished(web.Response(status=401, text="who are you?\n", headers=challenge))
        elif not self._is_own_name(request.host):
            return _finished(web.Response(status=421, text="this is not the host that you mean\n"))
        try:
            response = await handler(request)
        except web.HTTPException as error:
            _finished(error)
            raise
        return response if response.prepared else _finished(response)

    def _knows_password(self, request: web.Request) -> bool:
        wanted = base64.b64encode(f"{self._conf.user}:{self._conf.password}".encode()).decode()
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(errors="surrogateescape"), f"Basic {wanted}".encode())

    def _is_own_name(self, host: str) -> bool:
        """Tell whether a page from elsewhere cannot have sent the browser here under a name of its making."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        return name.strip("[]").lower() in {"localhost", "127.0.0.1", "::1", self._conf.ip}

    async def file(self, request: web.Request) -> web.Response:
        """Answer a file of the page."""
        body, kind = self._files[request.path]
        return web.Response(body=body, content_type=kind, charset="utf-8")

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer Prometheus, in the form that it asks for."""
        status, on_disk = await asyncio.gather(self._feed.fresh(), asyncio.to_thread(self._fingerprint))
        self._metrics.shown(status, on_disk)
        encode, content_type = exposition.choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._metrics.registry), headers={"Content-Type": content_type})

    def _fingerprint(self) -> str | None:
        """Return that of the conf as it is written now; None where it cannot be used."""
        try:
            return fingerprint(self._read_conf())
        except UnusableError:
            return None

    async def health(self, _: web.Request) -> web.Response:
        """Answer 200 while clients are served, 503 when they are not or nobody knows."""
        status = await self._feed.fresh()
        if status is None:
            return _json({"status": "UNKNOWN", "why": self._feed.away}, 503)
        health = status["health"]
        return _json(health, 503 if health["status"] == "CRITICAL" else 200)

    async def status(self, _: web.Request) -> web.Response:
        """Answer the document of `mmm_control status`; without a monitor the last one, and why."""
        status = await self._feed.fresh()
        if status is None:
            return _json({"away": self._feed.away, "last": self._feed.status}, 503)
        return _json(status)

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Send what happens as server-sent events, from the position on that the client has come to."""
        last = request.headers.get("Last-Event-ID") or request.query.get("position")
        asked = None if last is None else position(last)
        if last is not None and asked is None:
            return web.Response(status=400, text="that is no position\n")
        if self._followers >= FOLLOWERS:
            return web.Response(status=503, text="too many follow already\n", headers={"Retry-After": "10"})
        self._followers += 1
        try:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            _finished(response)
            await response.prepare(request)
            async with aclosing(self._feed.since(asked)) as changes:
                await self._send(request, response, changes)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._followers -= 1
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse, changes: Any) -> None:
        """Send each change, and a sign of life where there is none; raises TimeoutError for who does not take it."""
        coming = asyncio.ensure_future(anext(changes))
        try:
            while request.transport is not None and not request.transport.is_closing():
                await asyncio.wait({coming}, timeout=ALIVE)
                sent = b": alive\n\n"
                if coming.done():
                    sent = _event(coming.result())
                    coming = asyncio.ensure_future(anext(changes))
                async with asyncio.timeout(PATIENCE):
                    await response.write(sent)
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


def _finished(response: web.StreamResponse) -> web.StreamResponse:
    """Return the response with what all of them say; the connection ends with it."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.force_close()
    return response


def _event(change: Change) -> bytes:
    named = "" if change["kind"] == Kind.CHANGE else f"event: {change['kind']}\n"
    return f"id: {change['position']}\n{named}data: {json.dumps(change)}\n\n".encode()


def _json(values: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.json_response(values, status=status)
