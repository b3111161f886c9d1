"""A connection to a server on which everything has a limit.

    with connect(Address("10.0.0.4", 3306, "mmm_agent", password), timeout=2.0) as connection:
        rows = connection.query("SELECT @@global.read_only AS value")

`connect` limits connecting, the handshake and the session's set-up together; `query` and `execute` limit
each statement from its first byte to the last of its answer, also for a server that sends byte by byte.
A connection whose statement ran out of time is closed: the server may still be at work on it.
"""

import math
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import pymysql
from pymysql.cursors import DictCursor

from mmm.mysql.errors import ErrorKind, MysqlError, classify
from mmm.mysql.flavour import Flavour, detect

__all__ = ["Address", "Connection", "ErrorKind", "MysqlError", "Row", "connect"]

MAX_ANSWER = 64 * 1024 * 1024
"""Bytes that one statement's answer may have; a server that sends more is cut off."""

_GOODBYE = 0.2

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens (an IPv4 or IPv6 address) and who asks."""

    ip: str
    port: int
    user: str
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.ip}:{self.port} as {self.user}"


class _LimitedSocket(socket.socket):
    """A socket whose reads and writes share one deadline, and whose answers have a greatest size."""

    def __init__(self, family: socket.AddressFamily) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self._deadline = 0.0
        self._room = MAX_ANSWER

    def limit(self, seconds: float) -> None:
        """Give what follows `seconds` in all and room for one more answer."""
        self._deadline = time.monotonic() + seconds
        self._room = MAX_ANSWER

    def settimeout(self, value: float | None, /) -> None:
        """Leave the deadline alone: PyMySQL's own limits begin anew with every read."""

    def connect(self, address: Any, /) -> None:
        self._apply_deadline()
        super().connect(address)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        self._apply_deadline()
        count = super().recv_into(buffer, nbytes, flags)
        self._room -= count
        if self._room < 0:
            raise ConnectionAbortedError(f"answer longer than {MAX_ANSWER} bytes")
        return count

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        self._apply_deadline()
        super().sendall(data, flags)

    def _apply_deadline(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        super().settimeout(left)


class Connection:
    """One session of a server; a context manager that closes it. Made by `connect`."""

    def __init__(
        self,
        address: Address,
        timeout: float,
        session: "pymysql.connections.Connection[DictCursor]",
        sock: _LimitedSocket,
    ) -> None:
        self.address = address
        self.timeout = timeout
        self._session = session
        self._socket = sock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def flavour(self) -> Flavour:
        """What kind of server this is, asked once; raises MysqlError."""
        row = self.query("SELECT VERSION() AS version, @@version_comment AS comment")[0]
        return detect(str(row["version"]), str(row["comment"]))

    def query(self, sql: str, args: Sequence[object] = (), timeout: float | None = None) -> list[Row]:
        """Return a statement's rows; `timeout` in seconds, by default the connection's. Raises MysqlError."""
        self._socket.limit(self.timeout if timeout is None else timeout)
        try:
            with self._session.cursor() as cursor:
                cursor.execute(sql, tuple(args) or None)
                return list(cursor.fetchall())
        except Exception as error:
            failure = classify(error, str(self.address))
            if not failure.server_alive:
                self.close()
            raise failure from error

    def execute(self, sql: str, args: Sequence[object] = (), timeout: float | None = None) -> None:
        """Run a statement for its effect; otherwise as `query`."""
        self.query(sql, args, timeout)

    def fileno(self) -> int:
        """Return the descriptor of the socket, -1 when it is closed."""
        return self._socket.fileno()

    def close(self) -> None:
        """End the session. Never fails, and waits for nothing; closing twice is fine."""
        self._socket.limit(_GOODBYE)
        with suppress(pymysql.err.Error):
            self._session.close()
        self._socket.close()


def connect(address: Address, timeout: float) -> Connection:
    """Return a new session that is logged in within `timeout` seconds in all; raises MysqlError.

    Autocommit is on; `timeout` is also the limit of each statement unless one says otherwise, and
    (in whole seconds, at least 1) the session's lock_wait_timeout, so that the server gives up too.
    """
    session = _session(address, timeout)
    try:
        sock = _LimitedSocket(socket.AF_INET6 if ":" in address.ip else socket.AF_INET)
    except OSError as error:
        raise classify(error, str(address)) from error
    try:
        sock.limit(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect((address.ip, address.port))
        session.connect(sock)
    except Exception as error:
        sock.close()
        raise classify(error, str(address)) from error
    return Connection(address, timeout, session, sock)


def _session(address: Address, timeout: float) -> "pymysql.connections.Connection[DictCursor]":
    """Return a PyMySQL connection that is not connected: it gets a socket of ours."""
    return pymysql.connections.Connection(
        host=address.ip,
        port=address.port,
        user=address.user,
        password=address.password.encode(),  # PyMySQL would say it in Latin-1, the server knows it in UTF-8
        charset="utf8mb4",
        cursorclass=DictCursor,
        autocommit=True,
        ssl_disabled=True,
        init_command=f"SET SESSION lock_wait_timeout={max(1, math.ceil(timeout))}",
        program_name="mmm",
        defer_connect=True,
    )
