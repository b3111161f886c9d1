"""What listens on the ports of MMM: who is let in, and what is said of those who do wrong.

Who is not let in is reset before anything is read or said, TLS included. What a client does wrong is logged once for
each address and kind of fault in FAULT_SILENCE seconds.
"""

import ipaddress
import logging
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from mmm.network.privileged_port import FIRST_UNPRIVILEGED

FAULT_SILENCE = 60.0
_FAULTS_KEPT = 1000
AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: closing resets the connection and leaves nothing to the kernel."""

log = logging.getLogger(__name__)


class Peer(NamedTuple):
    """The two ends of a client's connection."""

    ip: str
    """The client's address."""
    port: int
    own: str
    """The address of this machine that it has connected to."""
    own_port: int


NOBODY = Peer("?", FIRST_UNPRIVILEGED, "", 0)

Claims = Callable[[socket.socket, Peer], bool]
"""Takes a new connection, which may be another process's to serve; tells whether it has."""


class Listener(socket.socket):
    """A listening socket that gives out only the connections of those who are let in, and that nobody else claims.

    Each that is left `takes` is asked for, where it is given: what it refuses is reset.
    """

    def __init__(
        self,
        ip: str,
        port: int,
        admits: Callable[[str, str], bool],
        claims: Claims | None = None,
        takes: Claims | None = None,
    ) -> None:
        super().__init__(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM)
        self._family = super().family
        self._admits = admits
        self._claims = claims
        self._takes = takes
        try:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.setblocking(False)
            self.bind((ip, port))
            own = self.getsockname()
            self._bound = None if ipaddress.ip_address(own[0]).is_unspecified else own
            """The one address that clients can come to; None where these are all of this machine's."""
        except BaseException:
            self.close()
            raise

    @property
    def family(self) -> socket.AddressFamily:
        """Return the family of its addresses. Looking it and the type up would be a tenth of a short connection."""
        return self._family

    @property
    def type(self) -> socket.SocketKind:
        """Return what kind of socket it is."""
        return socket.SOCK_STREAM

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection; ConnectionAbortedError, which asyncio passes over, for one that is not ours."""
        connection, peer = super().accept()
        own = self._own(connection)
        if own is None or not self._admits(peer[0], own[0]):
            _reset(connection)
        elif self._claims is not None and self._claims(connection, Peer(*peer[:2], *own[:2])):
            raise ConnectionAbortedError("another process serves it")
        elif self._takes is not None and not self._takes(connection, Peer(*peer[:2], *own[:2])):
            _reset(connection)
        return connection, peer

    def accept_bare(self) -> tuple[socket.SocketType, str]:
        """Return the next connection, and who it is from, as `accept` does, but nobody is asked to claim it.

        What Python's own socket is made of does for short connections: the class around it costs as much as the
        kernel takes to read and to write.
        """
        descriptor, peer = self._accept()  # type: ignore[attr-defined]
        connection = socket.SocketType(self._family, socket.SOCK_STREAM, 0, descriptor)
        own = self._own(connection)
        if own is None or not self._admits(peer[0], own[0]):
            _reset(connection)
        return connection, peer[0]

    def _own(self, connection: socket.SocketType) -> Any:
        """Return the address of this machine that it has come to; None where it is gone again."""
        if self._bound is not None:
            return self._bound
        try:
            return connection.getsockname()
        except OSError:
            return None


def _reset(connection: socket.SocketType) -> NoReturn:
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    connection.close()
    raise ConnectionAbortedError


def see_free(ip: str, port: int) -> None:
    """Raise OSError when the port cannot be listened on now."""
    Listener(ip, port, lambda _ip, _own: True).close()


class Faults:
    """What clients of the port `name` do wrong."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said: dict[tuple[str, str], float] = {}

    def say(self, address: str, kind: str, text: str) -> None:
        """Log it, unless that was done a moment ago."""
        now = time.monotonic()
        key = (address, kind)
        if now - self._said.get(key, -FAULT_SILENCE) < FAULT_SILENCE:
            return
        if len(self._said) >= _FAULTS_KEPT:
            self._said.clear()
        self._said[key] = now
        log.warning("%s: client %s: %s", self._name, address, text)
