"""A TCP server for line protocols that no client can block or fill up: the agent's port and the control port.

Many clients at once (rule 10.20); every read, write and line has a limit (10.21). A line that does not end before
the connection does may be half of one: it is answered apart from others (10.25).
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass

from mmm.config.allow import Allowed
from mmm.network.arrivals import Arrivals
from mmm.network.listener import AT_ONCE, NOBODY, Claims, Faults, Listener, Peer

log = logging.getLogger(__name__)

_CLOSES, _ENDS = 1.0, 2.0
"""Seconds for one connection to be closed, and for all of them when the server ends."""

_AHEAD = 64 * 1024
"""Bytes of a stream that the kernel keeps for a client that does not take them."""
_FAREWELL = 30.0
"""Seconds that such a client has for what was sent to it already, and for the last word."""


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on until the client has enough of it."""

    chunks: AsyncGenerator[bytes, None]
    slow: Callable[[], bytes]
    """Gives what a client is sent last that does not take it in time."""
    ended: Callable[[], None]


Answer = Callable[[bytes, Peer], Awaitable[bytes | Stream | None]]
"""Takes a line without its LF, and who sent it; returns what to send, None to end the connection.

May raise GarbageError.
"""


class GarbageError(Exception):
    """A line that cannot be a request of the protocol; `answer` is sent all the same."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(answer)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take; times in seconds."""

    line: int
    """Longest line in bytes."""
    clients: int = 200
    """Connections at once; one more ends the one that has been silent for longest."""
    idle: float = 60.0
    """Time for a client to send its next whole line."""
    write: float = 10.0
    """Time for a client to read its answer."""
    handshake: float = 5.0
    """Time for the TLS handshake."""
    arriving: int = 64
    """Connections of one address that are in their TLS handshake; one more is reset."""


class _Client:
    def __init__(self, writer: asyncio.StreamWriter, task: "asyncio.Task[None]") -> None:
        self.writer = writer
        self.task = task
        self.quiet_since = time.monotonic()
        self.answering = False
        peer, own = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        self.peer = Peer(str(peer[0]), int(peer[1]), str(own[0]), int(own[1])) if peer and own else NOBODY
        self.address = self.peer.ip


class LineServer:
    """Answers lines of those who are `allowed`; `closed` is called after each connection that sent any.

    What `claims` takes is neither read nor closed here. `unfinished` gives the answer to what a client has sent behind
    its last line end, when it sends no more.
    """

    def __init__(
        self,
        name: str,
        answer: Answer,
        limits: Limits,
        closed: Callable[[], Awaitable[None]] | None = None,
        allowed: Allowed | None = None,
        claims: Claims | None = None,
        *,
        unfinished: Answer | None = None,
    ) -> None:
        self._name = name
        self._answer = answer
        self._limits = limits
        self._closed = closed
        self._allowed = allowed or Allowed()
        self._claims = claims
        self._unfinished = unfinished
        self._clients: set[_Client] = set()
        self._faults = Faults(name)
        self._arrivals = Arrivals(limits.arriving)

    @asynccontextmanager
    async def listen(self, ip: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        """Serve on the address, and give the port; raises OSError when it cannot be had."""
        server = await asyncio.start_server(
            self._serve,
            sock=Listener(ip, port, self._admits, self._claims, self._takes if tls else None),
            limit=self._limits.line,
            backlog=512,
            ssl=tls,
            ssl_handshake_timeout=self._limits.handshake if tls else None,
        )
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await self._end_all()

    async def _end_all(self) -> None:
        """Reset what is connected, and wait for the end of who serves it: a transport must not outlive its loop."""
        tasks = {client.task for client in self._clients} - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_ENDS)

    def let_in(self, allowed: Allowed) -> None:
        """Have others be let in from now on; connections that stand are left."""
        self._allowed = allowed

    def _admits(self, ip: str, own: str) -> bool:
        if self._allowed.admits(ip, own):
            return True
        self._faults.say(
            ip,
            "stranger",
            f"not let in: neither an address of the cluster nor in allow_from ({self._allowed});"
            f" if it is the monitor or an admin's machine, add it to allow_from in mmm_common.conf",
        )
        return False

    def _takes(self, connection: socket.socket, peer: Peer) -> bool:
        if self._arrivals.takes(connection, peer):
            return True
        text = f"{self._limits.arriving} connections are in their TLS handshake: more of them are reset"
        self._faults.say(peer.ip, "arriving", text)
        return False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        client = _Client(writer, task)
        self._arrivals.served(client.peer)
        if not self._has_room(client):
            writer.transport.abort()
            return
        self._clients.add(client)
        spoke = False
        try:
            while (line := await self._next_line(client, reader)) is not None:
                spoke = True
                if not await self._reply(client, line, self._answer):
                    break
        except asyncio.CancelledError:
            writer.transport.abort()  # the server ends, or needs the room
        except OSError as error:
            self._faults.say(client.address, "connection", f"connection broke: {error.strerror or error}")
        finally:
            self._clients.discard(client)
            await _close(writer)
        if spoke and self._closed is not None:
            await self._closed()

    async def _next_line(self, client: _Client, reader: asyncio.StreamReader) -> bytes | None:
        client.quiet_since = time.monotonic()
        try:
            async with asyncio.timeout(self._limits.idle):
                return (await reader.readuntil(b"\n"))[:-1]
        except TimeoutError:
            self._faults.say(client.address, "idle", f"silent for {self._limits.idle:g} s: connection ended")
        except asyncio.LimitOverrunError:
            self._faults.say(
                client.address, "line", f"line longer than {self._limits.line} bytes: connection ended"
            )
            client.writer.transport.abort()
        except asyncio.IncompleteReadError as error:
            if error.partial:
                await self._take_half(client, error.partial)
        return None

    async def _take_half(self, client: _Client, line: bytes) -> None:
        self._faults.say(
            client.address, "half", f"connection ended after {len(line)} bytes without a line end"
        )
        if self._unfinished is not None:
            with suppress(OSError):  # most of those who send half a line are gone
                await self._reply(client, line, self._unfinished)

    async def _reply(self, client: _Client, line: bytes, by: Answer) -> bool:
        client.answering = True
        answer: bytes | Stream | None
        try:
            answer = await by(line, client.peer)
        except GarbageError as garbage:
            self._faults.say(client.address, "garbage", f"not understood: {line[:80]!r}")
            answer = garbage.answer
        except Exception:
            log.exception("%s: answering %s ended by an internal error", self._name, line[:80])
            return False
        finally:
            client.answering = False
        if isinstance(answer, Stream):
            await self._stream(client, answer)
            return False
        if answer is None:
            return False
        if not await self._send(client, answer):
            _reset(client.writer)
            return False
        return True

    async def _send(self, client: _Client, answer: bytes) -> bool:
        """Return whether the client has taken it in time."""
        client.writer.write(answer)
        try:
            async with asyncio.timeout(self._limits.write):
                await client.writer.drain()
        except TimeoutError:
            self._faults.say(
                client.address,
                "write",
                f"has not read its answer for {self._limits.write:g} s: connection ended",
            )
            return False
        return True

    async def _stream(self, client: _Client, answer: Stream) -> None:
        """Send what comes, for as long as the client takes it; what it takes may come at any time."""
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _AHEAD)
        client.answering = True
        try:
            async with aclosing(answer.chunks) as chunks:
                async for chunk in chunks:
                    if not await self._send(client, chunk):
                        client.writer.write(answer.slow())
                        asyncio.get_running_loop().call_later(_FAREWELL, client.writer.transport.abort)
                        break
        finally:
            client.answering = False
            answer.ended()

    def _has_room(self, newcomer: _Client) -> bool:
        """Tell whether one more client can be served, after ending the most silent one where that is needed."""
        if len(self._clients) < self._limits.clients:
            return True
        quiet = [client for client in self._clients if not client.answering]
        if not quiet:
            self._faults.say(
                newcomer.address, "busy", f"{self._limits.clients} connections wait for answers: no room"
            )
            return False
        oldest = min(quiet, key=lambda client: client.quiet_since)
        self._faults.say(
            oldest.address,
            "room",
            f"{self._limits.clients} connections are open: the most silent ones are ended",
        )
        self._clients.discard(oldest)
        oldest.task.cancel()
        return True


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection without leaving what was not read to the kernel."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    writer.transport.abort()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError, TimeoutError, asyncio.CancelledError):
        async with asyncio.timeout(_CLOSES):
            await writer.wait_closed()
