"""A port that answers small questions over HTTP at once: no bodies, no files, a bound for everything.

All clients are served by one thread that waits by epoll itself: what asyncio does for a client costs more than its
answer. The kernel holds plain connections back until something was sent (tcp(7), TCP_DEFER_ACCEPT), so most are
answered as they are accepted, and the answer leaves in one packet with the end of the connection (send(2), MSG_MORE).
"""

import asyncio
import logging
import select
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

from mmm.config.allow import Allowed
from mmm.network.http_text import (
    NOTHING,
    Answer,
    RefusedError,
    Reply,
    Request,
    is_whole,
    parsed,
    refusal,
    reply,
)
from mmm.network.listener import Faults, Listener

_AT_ONCE = 1 << 14
"""Bytes that are read at once. A TLS record has no more, so none are left where epoll does not see them."""
_LET_IN = 256
"""Addresses that are known to be let in."""
_KNOWN = 256
"""Requests that are kept with what was answered last: load balancers send the same for ever."""
_SWEEP = 1.0
"""Seconds between two looks for clients that take too long."""

log = logging.getLogger(__name__)


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


class _Known(NamedTuple):
    """A request, what was answered to it last, and the bytes that say so."""

    request: Request
    answer: Answer
    said: Reply


class HttpPort:
    """Has `answer` answer what those ask who are `allowed`; it is given the target and must not wait for anything.

    `allowed` is asked about each client that comes. Both are called in a thread of its own.
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
        self._who: Allowed | None = None
        self._let_in: set[tuple[str, str]] = set()
        """Those of whom `_who` is known to let them in."""
        self._known: dict[bytes, _Known] = {}
        """By the bytes of the request."""

    @asynccontextmanager
    async def listen(self, ip: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        """Serve on the address, and give the port; raises OSError when it cannot be had."""
        listener = Listener(ip, port, self._admits)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, int(self._limits.idle))
        listener.listen(512)
        here, there = socket.socketpair()
        serving = _Serving(listener, there, self._replied, self._limits, self._faults, tls)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.to_thread(serving.run))
            with here:  # the thread ends when it is closed
                yield listener.getsockname()[1]

    def _replied(self, head: bytes) -> Reply:
        """Return what is sent to the bytes of a request, which are put together anew only where the answer is new."""
        known = self._known.get(head)
        if known is None:
            return self._replied_first(head)
        request, before, said = known
        answer = self._answered(request)
        if answer is None or answer is before:
            return said if answer else NOTHING
        return self._kept(head, request, answer)

    def _replied_first(self, head: bytes) -> Reply:
        if len(head) > self._limits.head:
            return refusal(431)
        try:
            request = parsed(head)
        except RefusedError as error:
            return refusal(error.status)
        answer = self._answered(request)
        return self._kept(head, request, answer) if answer else NOTHING

    def _answered(self, request: Request) -> Answer | None:
        """Return the answer; None where there is none because of an internal error."""
        try:
            return self._answer(request.target)
        except Exception:
            log.exception("answering %s ended by an internal error", request.target)
            return None

    def _kept(self, head: bytes, request: Request, answer: Answer) -> Reply:
        if len(self._known) >= _KNOWN:
            self._known.clear()
        said = reply(answer, stays=request.stays, silent=request.method != "GET")
        self._known[head] = _Known(request, answer, said)
        return said

    def _admits(self, ip: str, own: str) -> bool:
        allowed = self._allowed()
        if allowed is not self._who or len(self._let_in) >= _LET_IN:
            self._who, self._let_in = allowed, set()
        if (ip, own) in self._let_in:
            return True
        if allowed.admits(ip, own):
            self._let_in.add((ip, own))
            return True
        text = f"not let in: neither an address of the cluster nor in health_from ({allowed})"
        self._faults.say(
            ip, "stranger", f"{text}; if it is a load balancer, add it to health_from in mmm_common.conf"
        )
        return False


class _Client:
    """A connection."""

    __slots__ = ("address", "connection", "events", "head", "is_last", "left", "shaking", "stays", "until")

    def __init__(self, connection: socket.SocketType, address: str, *, shaking: bool) -> None:
        self.connection = connection
        self.address = address
        self.shaking = shaking
        """The TLS handshake is not done yet."""
        self.head = b""
        """What has come of a request."""
        self.left = b""
        """What is still to be sent of a reply."""
        self.stays, self.is_last = True, False
        """What the reply says of the connection."""
        self.events = 0
        """What epoll waits for."""
        self.until = 0.0
        """When it is cut off, by time.monotonic; 0 where it has a new span."""


class _Serving:
    """A listening socket and its clients, in a thread that ends once the other end of `stop` is closed."""

    def __init__(
        self,
        listener: Listener,
        stop: socket.socket,
        replied: Callable[[bytes], Reply],
        limits: Limits,
        faults: Faults,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._listener = listener
        self._stop = stop
        self._replied = replied
        self._limits = limits
        self._faults = faults
        self._tls = tls
        self._flags = 0 if tls else socket.MSG_DONTWAIT
        """Of reading and writing."""
        self._flags_last = 0 if tls else socket.MSG_DONTWAIT | socket.MSG_MORE
        """Of writing what nothing but the end of the connection follows."""
        self._epoll = select.epoll()
        self._read = memoryview(bytearray(_AT_ONCE))
        self._paused = False
        """No connection is taken until the next sweep."""
        self._clients: dict[int, _Client] = {}
        """By descriptor; the one that has been silent for longest comes first."""

    def run(self) -> None:
        """Serve until the end."""
        with self._listener, self._stop, self._epoll as epoll:
            epoll.register(self._stop, select.EPOLLIN)
            epoll.register(self._listener, select.EPOLLIN)
            swept = time.monotonic()
            while self._turned():
                if (now := time.monotonic()) > swept + _SWEEP:
                    swept = now
                    self._sweep(now)
            for client in self._clients.values():
                client.connection.close()

    def _turned(self) -> bool:
        """Wait for something, and do it; tell whether to go on."""
        waits = _SWEEP if self._clients or self._paused else None
        for descriptor, _ in self._epoll.poll(waits):
            if client := self._clients.get(descriptor):
                self._go_on(client)
            elif descriptor == self._listener.fileno():
                self._accept()
            elif descriptor == self._stop.fileno():
                return False
        return True

    def _accept(self) -> None:
        try:
            connection, address = self._listener.accept_bare()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:  # no more files: they come back when clients go
            self._faults.say("any", "accept", error.strerror or str(error))
            self._paused = True
            self._epoll.modify(self._listener, 0)
            return
        if self._tls is not None:
            self._go_on(_Client(connection, address, shaking=True))
        else:
            self._answer_at_once(connection, address)

    def _answer_at_once(self, connection: socket.SocketType, address: str) -> None:
        """Answer what has come with the connection, which mostly is all there is; go on with the rest as with any."""
        head, said, sent = b"", NOTHING, 0
        try:
            head = connection.recv(_AT_ONCE, self._flags)
            if self._is_all(head):
                said, head = self._replied(head), b""
                sent = connection.send(said.data, self._flags_last if said.is_last else self._flags)
                if sent == len(said.data) and not said.stays:
                    connection.close()
                    return
            elif not head:
                connection.close()
                return
        except BlockingIOError:
            pass
        except OSError:
            connection.close()
            return
        except Exception:
            log.exception("answering %s ended by an internal error", address)
            connection.close()
            return
        client = _Client(connection, address, shaking=False)
        client.head, client.left = head, said.data[sent:]
        if said is not NOTHING:
            client.stays, client.is_last = said.stays, said.is_last
        self._go_on(client)

    def _is_all(self, head: bytes) -> bool:
        """Tell whether there is something to be said to what has come."""
        return is_whole(head) or len(head) > self._limits.head

    def _go_on(self, client: _Client) -> None:
        """Do for a client what can be done at once, and wait for what it takes to do more."""
        try:
            events = self._next(client)
        except BlockingIOError:
            events = select.EPOLLOUT if client.left else select.EPOLLIN
        except ssl.SSLWantReadError:
            events = select.EPOLLIN
        except ssl.SSLWantWriteError:
            events = select.EPOLLOUT
        except OSError as error:  # of these is ssl.SSLError
            events = 0
            if client.shaking:
                self._faults.say(client.address, "handshake", f"no TLS: {error.strerror or error}")
                with suppress(OSError):
                    # Bytes left unread would have the kernel reset the connection before the client knows why.
                    socket.SocketType.recv(client.connection, _AT_ONCE)
        except Exception:
            events = 0
            log.exception("answering %s ended by an internal error", client.address)
        if events:
            self._wait_for(client, events)
        else:
            self._end(client)

    def _next(self, client: _Client) -> int:
        """Read, reply and write; return what is to be waited for then, 0 where the connection has ended."""
        if client.shaking:
            self._shake(client)
        if not client.left:
            size = client.connection.recv_into(self._read, 0, self._flags)
            if not size:
                return 0
            client.head += self._read[:size]
            if not self._is_all(client.head):
                return select.EPOLLIN
            client.left, client.stays, client.is_last = self._replied(client.head)
            client.head = b""
        flags = self._flags_last if client.is_last else self._flags
        client.left = client.left[client.connection.send(client.left, flags) :]
        if client.left:
            return select.EPOLLOUT
        client.until = 0.0
        return select.EPOLLIN if client.stays else 0

    def _shake(self, client: _Client) -> None:
        if self._tls is not None and not isinstance(client.connection, ssl.SSLSocket):
            plain = socket.socket(fileno=client.connection.detach())
            plain.setblocking(False)
            client.connection = self._tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        if isinstance(client.connection, ssl.SSLSocket):
            client.connection.do_handshake()
        client.shaking, client.until = False, 0.0

    def _wait_for(self, client: _Client, events: int) -> None:
        descriptor = client.connection.fileno()
        if not client.events:
            self._epoll.register(descriptor, events)
        elif client.events != events:
            self._epoll.modify(descriptor, events)
        client.events = events
        if client.until:
            return
        client.until = time.monotonic() + (self._limits.handshake if client.shaking else self._limits.idle)
        self._clients.pop(descriptor, None)
        self._clients[descriptor] = client
        if len(self._clients) > (limit := self._limits.clients):
            oldest = next(iter(self._clients.values()))
            text = f"{limit} connections are open: the most silent ones are ended"
            self._faults.say(oldest.address, "room", text)
            self._end(oldest)

    def _end(self, client: _Client) -> None:
        self._clients.pop(client.connection.fileno(), None)
        if isinstance(client.connection, ssl.SSLSocket) and not client.shaking:
            with suppress(OSError, ValueError):  # the client is told, and not waited for
                client.connection.unwrap()
        client.connection.close()

    def _sweep(self, now: float) -> None:
        for client in [each for each in self._clients.values() if each.until < now]:
            self._end(client)
        if self._paused:
            self._paused = False
            self._epoll.modify(self._listener, select.EPOLLIN)
