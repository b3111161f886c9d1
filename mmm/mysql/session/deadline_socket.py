"""Sockets on which all that is read and written within one statement shares one deadline, TLS or not."""

import socket
import ssl
import time
from typing import Any, Self

from mmm.mysql.session.tls import Tls, prepare

MAX_ANSWER = 64 * 1024 * 1024
"""Bytes that one statement's answer may have; a server that sends more is cut off."""


class Limit:
    """A deadline and the greatest size of an answer, for the socket that a connection has at the time."""

    def __init__(self, sock: "Limited") -> None:
        self.sock = sock
        self._deadline = 0.0
        self._room = 0

    def begin(self, seconds: float) -> None:
        """Give what follows `seconds` in all and room for one more answer."""
        self._deadline = time.monotonic() + seconds
        self._room = MAX_ANSWER

    def left(self) -> float:
        """Return the seconds that are left; raises TimeoutError when none are."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def count(self, received: int) -> None:
        """Count bytes that have come; raises ConnectionAbortedError beyond the greatest size."""
        self._room -= received
        if self._room < 0:
            raise ConnectionAbortedError(f"answer longer than {MAX_ANSWER} bytes")


class Limited(socket.socket):
    """A socket whose reads and writes keep to its `limits`."""

    limits: Limit

    def settimeout(self, value: float | None, /) -> None:
        """Leave the deadline alone: PyMySQL's own limits begin anew with every read."""

    def connect(self, address: Any, /) -> None:
        """Connect; raises OSError."""
        self.apply_deadline()
        super().connect(address)

    def receive(self, most: int) -> bytes:
        """Wait for bytes and return them, at most `most`; nothing at the end of the stream. Raises OSError."""
        self.apply_deadline()
        data = self.recv(most)
        self.limits.count(len(data))
        return data

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """Return how many bytes were read into `buffer`; raises OSError."""
        self.apply_deadline()
        count = super().recv_into(buffer, nbytes or 0, flags)
        self.limits.count(count)
        return count

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all; raises OSError."""
        self.apply_deadline()
        super().sendall(data, flags)

    def apply_deadline(self) -> None:
        """Limit the next call of the system to what is left."""
        super().settimeout(self.limits.left())


class _LimitedTls(Limited, ssl.SSLSocket):
    """The same with TLS on it."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  (as its base has it)
        self.apply_deadline()
        super().do_handshake(block)


class LimitedContext(ssl.SSLContext):
    """A client's TLS context that goes on with the limits of the socket that it wraps."""

    sslsocket_class = _LimitedTls

    @classmethod
    def of(cls, tls: Tls) -> Self:
        """Return a context that demands and shows what `tls` says; raises TlsFileError."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        prepare(context, tls)
        return context

    def wrap_socket(self, sock: Limited, server_hostname: str) -> "_LimitedTls":  # type: ignore[override]
        """Return the socket after its handshake; raises OSError, of which SSLError is one."""
        wrapped = super().wrap_socket(sock, server_hostname=server_hostname, do_handshake_on_connect=False)
        if not isinstance(wrapped, _LimitedTls):
            raise TypeError(f"{type(wrapped).__name__} has no limits")  # never: it is made of sslsocket_class
        wrapped.limits = sock.limits
        wrapped.limits.sock = wrapped
        wrapped.do_handshake()
        return wrapped


def limited(sock: socket.socket) -> Limited:
    """Return the socket, which may be connected, as one with limits of its own."""
    found = Limited(fileno=sock.detach())
    found.limits = Limit(found)
    return found


def limited_socket(family: socket.AddressFamily) -> Limited:
    """Return a stream socket that is not connected, with limits of its own."""
    return limited(socket.socket(family, socket.SOCK_STREAM))
