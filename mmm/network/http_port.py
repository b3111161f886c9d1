"""A port that answers small questions over HTTP/1.1 (RFC 9112) at once: no bodies, no files, a bound for everything.

Requests are parsed by h11, once for each text: load balancers send the same one for ever. What is there when a plain
connection comes is answered then and there, at a third of what an asyncio transport costs; the kernel holds
connections back until something was sent (tcp(7), TCP_DEFER_ACCEPT).
"""

import asyncio
import http
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import h11

from mmm.config.allow import Allowed
from mmm.network.listener import Faults, Listener

METHODS = ("GET", "HEAD", "OPTIONS")
"""What load balancers ask by: HAProxy's `option httpchk` sends OPTIONS where nothing else is written."""
_KNOWN = 256
"""Texts of requests that are kept with what they mean, and answers with the bytes that say them."""
_AT_ONCE = 4096
"""Bytes of an answer that a new connection takes at once in any case."""
_TURN = 64
"""Connections that are accepted before others are looked after."""
_SWEEP = 1.0
"""Seconds between two looks for clients that take too long."""


class Answer(NamedTuple):
    """What is answered: an HTTP status and a body of JSON."""

    status: int
    body: bytes


class _Request(NamedTuple):
    method: str
    target: str
    stays: bool
    """The client wants to ask again on this connection, and has said nothing more yet."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take."""

    head: int = 8192
    """Bytes of a request."""
    clients: int = 256
    """Connections at once; one more ends the one that has been silent for longest."""
    idle: float = 15.0
    """Seconds for the next whole request, and for taking its answer."""
    handshake: float = 5.0
    """Seconds for the TLS handshake."""


class HttpPort:
    """Has `answer` answer what those ask who are `allowed`; it is given the target and must not wait for anything.

    `allowed` is asked about each client that comes.
    """

    def __init__(
        self,
        name: str,
        answer: Callable[[str], Answer],
        allowed: Callable[[], Allowed],
        limits: Limits | None = None,
    ) -> None:
        self._answer = answer
        self._allowed = allowed
        self._limits = limits or Limits()
        self._faults = Faults(name)
        self._tls: ssl.SSLContext | None = None
        self._adopted: set[asyncio.Task[None]] = set()
        self._clients: dict[_Client, None] = {}
        """The one that has been silent for longest comes first."""

    @asynccontextmanager
    async def listen(self, ip: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        """Serve on the address, and give the port; raises OSError when it cannot be had."""
        self._tls = tls
        with Listener(ip, port, self._admits) as listener:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, int(self._limits.idle))
            listener.listen(512)
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)
            sweeping = asyncio.create_task(self._sweep())
            try:
                yield listener.getsockname()[1]
            finally:
                sweeping.cancel()
                asyncio.get_running_loop().remove_reader(listener)
                for task in tuple(self._adopted):
                    task.cancel()
                for client in tuple(self._clients):
                    client.cut_off()

    def _accept(self, listener: Listener) -> None:
        for _ in range(_TURN):
            try:
                connection, _peer = listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:  # no more files: they come back when clients go
                self._faults.say("any", "accept", error.strerror or str(error))
                loop = asyncio.get_running_loop()
                loop.remove_reader(listener)
                loop.call_later(_SWEEP, loop.add_reader, listener, self._accept, listener)
                return
            self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        """Answer what a new client has sent already, and have asyncio look after the rest."""
        connection.setblocking(False)
        head = b""
        if self._tls is None:
            try:
                head = connection.recv(self._limits.head)
                done = self._is_done(connection, head)
            except BlockingIOError:
                done = False
            except OSError:  # it is gone already
                done = True
            if done:
                connection.close()
                return
        if len(self._adopted) + len(self._clients) > 2 * self._limits.clients:
            connection.close()
            return
        task = asyncio.get_running_loop().create_task(self._adopt(connection, head))
        self._adopted.add(task)
        task.add_done_callback(self._adopted.discard)

    def _is_done(self, connection: socket.socket, head: bytes) -> bool:
        """Tell whether the client was answered, and wanted nothing more."""
        if not _is_whole(head):
            return not head
        response, stays = self.answered(head)
        if stays or len(response) > _AT_ONCE:
            return False
        connection.send(response)
        return True

    async def _adopt(self, connection: socket.socket, head: bytes) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: _Client(self, head),
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=self._limits.handshake if self._tls else None,
            )
        except OSError as error:  # of these is ssl.SSLError
            self._faults.say("any", "handshake", f"no TLS: {error.strerror or error}")
            connection.close()

    def answered(self, head: bytes) -> tuple[bytes, bool]:
        """Return the answer to the bytes of a request, and whether the connection goes on."""
        try:
            request = _parsed(head)
        except h11.RemoteProtocolError as error:
            return _response(Answer(error.error_status_hint, b""), stays=False), False
        if request.method not in METHODS:
            return _response(Answer(405, b""), stays=False), False
        answer = self._answer(request.target)
        silent = request.method != "GET"
        return _response(answer, stays=request.stays, silent=silent), request.stays

    def come(self, client: "_Client") -> None:
        """Take a new client, or one that has been answered."""
        self._clients.pop(client, None)
        self._clients[client] = None
        if len(self._clients) > self._limits.clients:
            oldest = next(iter(self._clients))
            limit = self._limits.clients
            self._faults.say(
                oldest.address, "room", f"{limit} connections are open: the most silent ones are ended"
            )
            oldest.cut_off()

    def gone(self, client: "_Client") -> None:
        """Take it that a client's connection has ended."""
        self._clients.pop(client, None)

    def is_too_long(self, head: bytes) -> bool:
        """Tell whether a request is longer than it may be."""
        return len(head) > self._limits.head

    def _admits(self, ip: str, own: str) -> bool:
        allowed = self._allowed()
        if allowed.admits(ip, own):
            return True
        text = f"not let in: neither an address of the cluster nor in health_from ({allowed})"
        self._faults.say(
            ip, "stranger", f"{text}; if it is a load balancer, add it to health_from in mmm_common.conf"
        )
        return False

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            late = time.monotonic() - self._limits.idle
            for client in [each for each in self._clients if each.since < late]:
                client.cut_off()


class _Client(asyncio.Protocol):
    """A connection."""

    def __init__(self, port: HttpPort, head: bytes) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._begun = head
        """What has come already."""
        self._head = b""
        self.since = time.monotonic()
        """When it was answered last, or has come."""
        self.address = "?"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream's is
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else "?"
        self._port.come(self)
        self.data_received(self._begun)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._head += data
        if self._port.is_too_long(self._head):
            self._send(_response(Answer(431, b""), stays=False), stays=False)
        elif _is_whole(self._head):
            head, self._head = self._head, b""
            self._send(*self._port.answered(head))

    def connection_lost(self, _: Exception | None) -> None:
        self._port.gone(self)

    def cut_off(self) -> None:
        self._port.gone(self)
        if self._transport is not None:
            self._transport.abort()

    def _send(self, response: bytes, stays: bool) -> None:  # noqa: FBT001
        assert self._transport is not None  # noqa: S101
        self._transport.write(response)
        if stays:
            self.since = time.monotonic()
            self._port.come(self)
        else:
            self._transport.close()


def _is_whole(head: bytes) -> bool:
    """Tell whether an empty line has come: h11 need not look at anything before."""
    return b"\n\r\n" in head or b"\n\n" in head


@lru_cache(_KNOWN)
def _parsed(head: bytes) -> _Request:
    """Return the request that the bytes are; raises h11.RemoteProtocolError for anything but one without a body."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(head)
    request = connection.next_event()
    if not isinstance(request, h11.Request):
        raise h11.RemoteProtocolError("no request")
    if not isinstance(connection.next_event(), h11.EndOfMessage):
        raise h11.RemoteProtocolError("a body", error_status_hint=413)
    more, _ = connection.trailing_data
    stays = connection.their_state is h11.DONE and not more
    return _Request(request.method.decode(), request.target.decode(), stays)


@lru_cache(_KNOWN)
def _response(answer: Answer, *, stays: bool, silent: bool = False) -> bytes:
    """Return the bytes of a response; a `silent` one tells the length of the body that it leaves out."""
    allow = f"Allow: {', '.join(METHODS)}\r\n" if answer.status == http.HTTPStatus.METHOD_NOT_ALLOWED else ""
    head = (
        f"HTTP/1.1 {answer.status} {http.HTTPStatus(answer.status).phrase}\r\n{allow}"
        f"Content-Type: application/json\r\nContent-Length: {len(answer.body)}\r\n"
        f"Cache-Control: no-store\r\nConnection: {'keep-alive' if stays else 'close'}\r\n\r\n"
    ).encode()
    return head if silent else head + answer.body
