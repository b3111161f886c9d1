"""Serves the pages until it is told to end; who sends nothing, or holds on to a connection, is cut off."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp
from aiohttp import web

from mmm.config.addresses import is_loopback
from mmm.config.endpoint import Endpoint
from mmm.config.model import Cluster, Web
from mmm.control.connection import STATUS_LIMIT, tls
from mmm.process.beside import Beside
from mmm.process.conf_file import ConfFile
from mmm.process.inspection import Inspection
from mmm.process.renewal import Renewal
from mmm.process.started import on_end, on_reload
from mmm.process.tls import TlsError
from mmm.web.app import FOLLOW, Pages
from mmm.web.feed import Feed
from mmm.web.metrics import Metrics

log = logging.getLogger(__name__)

CONNECTIONS = 200
REQUEST = 10.0
"""Seconds for a client to send its request, after the handshake of TLS."""
ANSWER = 60.0
"""Seconds for it to take the answer."""
_HANDSHAKE = 10.0
# That of Debian 12 does neither: who has gone is seen at the next sign of life, and connections are cut off at the end.
_ENDS_HANDLERS = tuple(map(int, aiohttp.__version__.split(".")[:2])) >= (3, 9)
_ENDING: dict[str, Any] = {"handler_cancellation": True, "shutdown_timeout": 1.0} if _ENDS_HANDLERS else {}


@dataclass
class _Client:
    """A connection, and what has come of it."""

    protocol: "web.RequestHandler[web.Request]"
    asked: bool = False
    stays: bool = False
    was_open: bool = False

    @property
    def is_gone(self) -> bool:
        """Tell whether the connection has ended; one whose handshake of TLS is not over has no transport yet."""
        self.was_open = self.was_open or self.protocol.transport is not None
        return self.was_open and self.protocol.transport is None

    def cut_off(self) -> None:
        """End the connection."""
        if self.protocol.transport is not None:
            self.protocol.transport.abort()


class Door:
    """Makes the protocol of each connection: there are so many at most, and each has its time."""

    def __init__(self, app: web.Application, request: float = REQUEST, answer: float = ANSWER) -> None:
        app.middlewares.insert(0, self._seen)
        self._app = app
        self._request, self._answer = request, answer
        self._clients: dict[asyncio.BaseProtocol, _Client] = {}

    @asynccontextmanager
    async def listening(self, ip: str, port: int, context: ssl.SSLContext | None) -> AsyncIterator[int]:
        """Serve there, and give the port; raises OSError when it cannot be had."""
        runner = web.AppRunner(self._app, access_log=None, **_ENDING)
        await runner.setup()
        limit = _HANDSHAKE if context else None
        server = await asyncio.get_running_loop().create_server(
            lambda: self._protocol(runner.server()), ip, port, ssl=context, ssl_handshake_timeout=limit
        )
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for client in self._clients.values():
                client.cut_off()
            await runner.cleanup()

    def _protocol(self, protocol: "web.RequestHandler[web.Request]") -> "web.RequestHandler[web.Request]":
        self._clients = {each: client for each, client in self._clients.items() if not client.is_gone}
        client = self._clients[protocol] = _Client(protocol)
        wait = self._request if len(self._clients) <= CONNECTIONS else 0.0
        loop = asyncio.get_running_loop()
        loop.call_later(wait, self._see_asked, client)
        loop.call_later(wait + self._answer, self._see_answered, client)
        return protocol

    @web.middleware
    async def _seen(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if client := self._clients.get(request.protocol):
            client.asked = client.was_open = True
            client.stays = request.path == FOLLOW
        return await handler(request)

    @staticmethod
    def _see_asked(client: _Client) -> None:
        if not client.asked:
            client.cut_off()

    def _see_answered(self, client: _Client) -> None:
        if not client.stays:
            client.cut_off()
            self._clients.pop(client.protocol, None)


def inspect(conf: Cluster) -> Inspection:
    """Return what keeps mmm_web from serving as the conf says."""
    return Inspection(tuple(_errors(conf)))


def _errors(conf: Cluster) -> Iterator[str]:
    if conf.monitor is None or not (conf.monitor.ip or conf.monitors):
        yield "it names no monitor; add the <monitor> section"
    lacks = [name for name in ("cert_file", "key_file", "password") if not getattr(conf.web, name)]
    if not is_loopback(conf.web.ip) and lacks:
        yield (
            f"<web> has ip {conf.web.ip}, which others reach, and no {', '.join(lacks)};"
            " add TLS and a password, or write ip 127.0.0.1"
        )
    try:
        _contexts(conf.web)
    except TlsError as error:
        yield f"<web>: {error}; correct them"


def _contexts(settings: Web) -> tuple[ssl.SSLContext, ...]:
    """Return the context of the port, nothing for plain HTTP; raises TlsError."""
    if not settings.cert_file and not settings.key_file:
        return ()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file or None, password="")
    except (OSError, ValueError) as error:  # of these is ssl.SSLError
        pair = f"cert_file {settings.cert_file} and key_file {settings.key_file}"
        raise TlsError(f"{pair} cannot be used: {error}") from error
    return (context,)


async def work(file: ConfFile, _: Beside, ready: Callable[[], None]) -> int:
    """Serve until TERM; returns 0, or 1 where the port cannot be had."""
    task = asyncio.current_task()
    on_end(lambda: task.cancel() if task else None)
    conf = file.conf
    where = conf.web.ip, conf.web.port
    try:
        async with serving(conf, read_conf=file.read, on_hang_up=on_reload):
            log.info("mmm_web answers at %s:%d", *where)
            ready()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
    except TlsError as error:
        log.critical("%s", error)
        return 1
    except OSError as error:
        log.critical("cannot serve on %s:%d: %s", *where, error.strerror or error)
        return 1
    return 0


@asynccontextmanager
async def serving(
    conf: Cluster,
    request: float = REQUEST,
    answer: float = ANSWER,
    read_conf: Callable[[], Cluster] | None = None,
    on_hang_up: Callable[[Callable[[], None]], None] = lambda _: None,
    status: float = STATUS_LIMIT,
) -> AsyncIterator[int]:
    """Serve what the monitor of the conf tells, and give the port; raises OSError and TlsError.

    `read_conf` returns the conf as it is written now; without it that is taken to be this one. `on_hang_up`
    is given what an admin's word that TLS files are new has to call. The monitor has `status` seconds to say its
    status.
    """
    assert conf.monitor is not None  # noqa: S101 - `inspect` says it
    socket = asdict(conf.socket)
    ip = conf.monitor.ip or conf.monitors[0]
    monitor = Endpoint(str(conf.path), ip, conf.monitor.port, socket, conf.auth_key, conf.monitors)
    metrics = Metrics()
    feed = Feed(monitor, tls(socket), metrics.heard, status)
    pages = Pages(conf.web, feed, metrics, read_conf or (lambda: conf))
    door = Door(pages.app(), request, answer)
    renewal = Renewal(filter(None, (conf.web.cert_file, conf.web.key_file)), lambda: _contexts(conf.web))
    on_hang_up(renewal.ask)
    context = next(iter(renewal.contexts), None)
    async with door.listening(conf.web.ip, conf.web.port, context) as port, renewal.watched():
        feed.start()
        yield port
