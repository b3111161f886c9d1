"""Looks at the system itself: the cluster's VIPs on the interface, read_only and replication in the server."""

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from mmm.agent.decide.seen import Seen, Server, Source
from mmm.gtid.semi_sync import SemiSync
from mmm.mysql.server.read_only import Access, access, access_in
from mmm.mysql.server.replica_status import ReplicaStatus
from mmm.mysql.server.replication import is_untouched, replica_status
from mmm.mysql.server.semi_sync import ask_with_settings, switches
from mmm.mysql.session.connection import (
    Address,
    Connection,
    ErrorKind,
    MysqlError,
    connect,
)
from mmm.network.vips import Interface, NoInterfaceError, whole

ANSWER_LIMIT = 1.0
"""Seconds that a server on this host may take to let the agent in, and to answer a plain question."""

_SERVER = {
    ErrorKind.REFUSED: Server.DEAD,
    ErrorKind.TIMED_OUT: Server.SILENT,
    ErrorKind.UNREACHABLE: Server.SILENT,
}


RENEWED = 10.0
"""Seconds that a connection serves."""

T = TypeVar("T")


@dataclass
class Session:
    """A connection to a server that is opened when it is first needed, and again after it broke."""

    address: Address
    limit: float = ANSWER_LIMIT
    """Seconds that the server may take to let the agent in, and for each answer."""
    _connection: Connection | None = None
    _made: float = 0.0

    @property
    def is_open(self) -> bool:
        """Tell whether there is a connection: the server answered a moment ago."""
        return self._connection is not None

    def open(self) -> Connection:
        """Return the connection; raises MysqlError."""
        if self._connection is None:
            self._connection = connect(self.address, self.limit)
            self._made = time.monotonic()
        self._connection.timeout = self.limit
        return self._connection

    def ask(self, question: Callable[[Connection], T]) -> T:
        """Return what `question` finds out; raises MysqlError.

        A server that has ended the connection since it was last used is asked once more on a new one: only that
        tells whether it lives.
        """
        kept = self.is_open
        try:
            return question(self.open())
        except MysqlError as error:
            if not kept or error.server_alive or error.kind is ErrorKind.TIMED_OUT:
                raise
        self.close()
        return question(self.open())

    def rest(self) -> None:
        """Close the connection if it has served for long enough: a login shows what a kept one does not."""
        if time.monotonic() - self._made > RENEWED:
            self.close()

    def close(self) -> None:
        """Close the connection; `open` makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def look(interface: Interface, vips: Collection[str], session: Session) -> Seen:
    """Return what stands on interface and server, within about two times `ANSWER_LIMIT`.

    Raises InterfaceError when the kernel does not tell; an interface that does not exist has no addresses.
    """
    bound: dict[str, tuple[int, ...]] = {}
    with suppress(NoInterfaceError):
        bound = interface.bound(vips)
    ours = frozenset(bound)
    wide = frozenset(ip for ip in ours if bound[ip] != (whole(ip),))
    stray = frozenset(interface.elsewhere(vips))
    try:
        may, semi_sync = session.ask(_access)
    except MysqlError as error:
        session.close()
        return Seen(
            ours, wide, _SERVER.get(error.kind, Server.REFUSING), None, problem=error.text, stray=stray
        )
    source, problem = _source(session)
    semi_sync = semi_sync or _semi_sync(session)
    return Seen(ours, wide, Server.UP, may.writable, source, problem, may.sealed, semi_sync, stray)


def _access(connection: Connection) -> tuple[Access, SemiSync | None]:
    """Return who may write, and what of semi-sync is switched on where one statement can tell both."""
    row = connection.ask(ask_with_settings(connection, f"{connection.flavour.write_locks}, "))
    if row is None:
        return access(connection), None
    return access_in(row), switches(connection, row)


def _source(session: Session) -> tuple[Source | None, str]:
    try:
        status = replica_status(session.open())
        if status is None:
            return None, ""
        receives = status.io_running != "No"
        running = status.sql_running or receives
        asleep = not running and _is_asleep(session.open(), status)
    except MysqlError as error:
        if not error.server_alive:
            session.close()
        return None, error.text
    return Source(
        status.source_ip,
        status.source_port,
        running,
        receives,
        status.detached,
        status.refused,
        status.lifting,
        asleep,
        status.source_lacks_log,
    ), ""


def _is_asleep(connection: Connection, status: ReplicaStatus) -> bool:
    """Tell whether replication that does not run waits for its first start; neither an error nor a hand ended it."""
    return not (status.detached or status.last_error) and is_untouched(connection)


def _semi_sync(session: Session) -> SemiSync | None:
    try:
        return switches(session.open())
    except MysqlError as error:
        if not error.server_alive:
            session.close()
        return None
