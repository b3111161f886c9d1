"""A connection to a server on which everything has a limit.

    with connect(Address("10.0.0.4", 3306, "mmm_agent", password), timeout=2.0) as connection:
        rows = connection.query("SELECT @@global.read_only AS value")

`connect` limits connecting, the handshake and the session's set-up together; `query` and `execute` limit
each statement from its first byte to the last of its answer, also for a server that sends byte by byte.
A connection whose statement ran out of time is closed: the server may still be at work on it.
"""

import math
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import pymysql
from pymysql.constants import CLIENT, CR
from pymysql.cursors import DictCursor

from mmm.mysql.flavour import Flavour, detect
from mmm.mysql.session import text_protocol
from mmm.mysql.session.deadline_socket import Limit, Limited, LimitedContext, limited_socket
from mmm.mysql.session.errors import ErrorKind, MysqlError, classify, lost
from mmm.mysql.session.question import Question
from mmm.mysql.session.text_protocol import Row
from mmm.mysql.session.tls import Tls, TlsFileError

__all__ = [
    "Address",
    "Connection",
    "ErrorKind",
    "MysqlError",
    "Row",
    "connect",
    "family",
    "login",
    "tls_context",
]

if TYPE_CHECKING:

    class _PyMysql(pymysql.connections.Connection[DictCursor]):
        """What its stubs leave out."""

        server_capabilities: int

        def _request_authentication(self) -> None: ...

else:
    _PyMysql = pymysql.connections.Connection

_GOODBYE = 0.2
_AS_WRITTEN = "sql_mode='STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', sql_quote_show_create=1"
"""What MMM's statements are written for, whatever the server's own setting: backslashes escape, `"` quotes no names."""

OF_THE_SERVER = "SET SESSION sql_mode=@@GLOBAL.sql_mode"
"""Has a session that applies what others have logged do so in the server's own sql_mode, as replication does."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens (an IPv4 or IPv6 address, or the path of its socket) and who asks."""

    ip: str
    port: int
    user: str
    password: str = field(default="", repr=False)
    tls: Tls | None = None
    """How the connection is encrypted; None: not at all."""
    sends_files: bool = False
    """LOAD DATA LOCAL works: it is sent any file of this machine that it asks for, so it has to be ours."""

    @property
    def endpoint(self) -> tuple[str, int] | str:
        """Return what a socket connects to."""
        return self.ip if self.is_local else (self.ip, self.port)

    @property
    def is_local(self) -> bool:
        """Tell whether this is a Unix socket."""
        return self.ip.startswith("/")

    def __str__(self) -> str:
        return f"{self.ip if self.is_local else f'{self.ip}:{self.port}'} as {self.user}"


class Connection:
    """One session of a server; a context manager that closes it. Made by `connect`."""

    def __init__(
        self,
        address: Address,
        timeout: float,
        session: "pymysql.connections.Connection[DictCursor]",
        limits: Limit,
    ) -> None:
        self.address = address
        self.timeout = timeout
        self._session = session
        self._limits = limits
        self._exchange = text_protocol.Exchange()
        self.semi_sync_names: tuple[str, ...] | None = None
        """The server's settings of semi-sync, once they are known."""

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
        """Return a statement's rows; `timeout` in seconds, by default the connection's. Raises MysqlError.

        All values are text, NULL is None.
        """
        statement = self._session.cursor().mogrify(sql, tuple(args)) if args else sql
        self._limits.begin(self.timeout if timeout is None else timeout)
        try:
            answer = self._exchanged(statement)
        except Exception as error:
            self.close()  # whatever it was, what comes next might be the rest of this answer
            raise classify(error, str(self.address)) from error
        if isinstance(answer, text_protocol.Failed):
            failure = classify(pymysql.err.OperationalError(answer.number, answer.text), str(self.address))
            if not failure.server_alive:
                self.close()
            raise failure
        return answer

    def execute(self, sql: str, args: Sequence[object] = (), timeout: float | None = None) -> None:
        """Run a statement for its effect; otherwise as `query`."""
        self.query(sql, args, timeout)

    def send(self, statement: bytes, timeout: float | None = None) -> None:
        """Run a statement of any length for its effect, in bytes as the session's character set has them.

        Otherwise as `query`.
        """
        self._limits.begin(self.timeout if timeout is None else timeout)
        try:
            self._session.query(statement)
        except Exception as error:
            failure = classify(error, str(self.address))
            if not failure.server_alive:
                self.close()
            raise failure from error

    def ask(self, question: Question[T], timeout: float | None = None, *, within: float = math.inf) -> T:
        """Return what a question comes to; `timeout` in seconds for each statement, by default the connection's.

        All of them together take no longer than `within` seconds. Raises MysqlError, and what the question makes of an
        answer that makes no sense.
        """
        limit, deadline = self.timeout if timeout is None else timeout, time.monotonic() + within
        try:
            statement = next(question)
            while True:
                try:
                    rows = self.query(statement, timeout=min(limit, deadline - time.monotonic()))
                except MysqlError as error:
                    statement = question.throw(error)
                else:
                    statement = question.send(rows)
        except StopIteration as done:
            answer: T = done.value
            return answer

    def _exchanged(self, statement: str) -> text_protocol.Answer:
        sock, answer = self._limits.sock, None
        sock.sendall(self._exchange.ask(statement))
        while answer is None:
            if not (piece := sock.receive(text_protocol.AT_ONCE)):
                raise lost()
            answer = self._exchange.take_in(piece)
        return answer

    @property
    def socket(self) -> socket.socket:
        """Return the socket, for one who waits for it in an event loop while no statement is under way."""
        return self._limits.sock

    def close(self) -> None:
        """End the session. Never fails, and waits for nothing; closing twice is fine."""
        self._limits.begin(_GOODBYE)
        with suppress(pymysql.err.Error):
            self._session.close()
        self._limits.sock.close()


def connect(address: Address, timeout: float) -> Connection:
    """Return a new session that is logged in within `timeout` seconds in all; raises MysqlError.

    Autocommit is on; `timeout` is also the limit of each statement unless one says otherwise, and
    (in whole seconds, at least 1) the session's lock_wait_timeout, so that the server gives up too. The session's
    sql_mode is MMM's own, not the server's: see `OF_THE_SERVER`.
    """
    deadline = time.monotonic() + timeout
    context = tls_context(address)
    try:
        sock = limited_socket(family(address))
        sock.limits.begin(timeout)
        sock.connect(address.endpoint)
    except OSError as error:
        raise classify(error, str(address)) from error
    return login(sock, address, max(0.001, deadline - time.monotonic()), context)


def tls_context(address: Address) -> LimitedContext | None:
    """Return what encrypts a session, None where nothing does; raises MysqlError for files that cannot be used.

    To be asked before connecting: a server counts connections that do not log in, and turns such a client away.
    """
    try:
        return LimitedContext.of(address.tls) if address.tls else None
    except (OSError, TlsFileError) as error:
        raise classify(error, str(address)) from error


def family(address: Address) -> socket.AddressFamily:
    """Return the family of the server's address."""
    if address.is_local:
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address.ip else socket.AF_INET


def login(sock: Limited, address: Address, timeout: float, context: LimitedContext | None) -> Connection:
    """Return the same of a socket that is connected to the server, and closed where that fails."""
    limits = sock.limits
    try:
        limits.begin(timeout)
        session = _session(address, timeout, context)
        if address.is_local:
            setattr(session, "_secure", True)  # noqa: B010  # as the server takes a Unix socket for
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session.connect(sock)
    except Exception as error:
        shown = bool(address.tls and address.tls.cert) and isinstance(limits.sock, ssl.SSLSocket)
        limits.sock.close()
        raise classify(error, str(address), certificate=shown) from error
    strange = text_protocol.not_understood(session.client_flag & session.server_capabilities)  # type: ignore[attr-defined]
    if strange:
        limits.sock.close()
        raise MysqlError(
            ErrorKind.FAILED, 0,
            f"MySQL at {address}: not asked: PyMySQL {pymysql.__version__} agrees with the server on capabilities "
            f"({strange}) that MMM cannot read: install the PyMySQL of setup/constraints.txt",
        )  # fmt: skip
    return Connection(address, timeout, session, limits)


class _Session(_PyMysql):
    """A PyMySQL connection that says nothing in the clear where TLS is demanded.

    Before 1.2, which Debian 12 and 13 have, PyMySQL goes on without TLS when the server offers none.
    """

    def _request_authentication(self) -> None:
        if self.ssl and not self.server_capabilities & CLIENT.SSL:
            raise pymysql.err.OperationalError(
                CR.CR_SSL_CONNECTION_ERROR, "SSL is required but the server doesn't support it"
            )
        super()._request_authentication()


def _session(
    address: Address, timeout: float, context: LimitedContext | None
) -> "pymysql.connections.Connection[DictCursor]":
    """Return a PyMySQL connection that is not connected: it gets a socket of ours."""
    return _Session(
        host=address.ip,
        port=address.port,
        user=address.user,
        password=address.password.encode(),  # PyMySQL would say it in Latin-1, the server knows it in UTF-8
        charset="utf8mb4",
        cursorclass=DictCursor,
        autocommit=True,
        ssl=context,
        ssl_disabled=context is None,
        init_command=f"SET SESSION lock_wait_timeout={max(1, math.ceil(timeout))}, {_AS_WRITTEN}",
        program_name="mmm",
        local_infile=address.sends_files,
        defer_connect=True,
    )
